/** Exit codes of `gitee-s3`; README and docs/operations.md list them. */
export const EXIT = {
  /** Done, and nothing is wrong. */
  ok: 0,
  /** Done, and something is wrong with what was looked at: not ready, a failed probe, a problem found. */
  found: 1,
  /** The command line or the configuration is wrong; nothing was done. */
  usage: 2,
  /** It could not be done: Gitee or the gateway failed, or another process has the state directory. */
  failed: 3,
} as const;
