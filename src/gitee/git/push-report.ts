/**
 * Reads `git push --porcelain`: one line per reference, `<flag>\t<from>:<to>\t<summary> (<reason>)`
 * (git-push(1), OUTPUT). The exit status decides nothing: an answer lost after the server applied the push
 * has the status of a failure (docs/facts/git-at-scale.md §2).
 */

export interface PushLine {
  readonly to: string;
  /** accepted: the server says that the reference moved, or that it was there already. */
  readonly accepted: boolean;
  /** The text in brackets at the end, such as `stale info`; empty where there is none. */
  readonly reason: string;
}

/** The line about this reference, or undefined: then the outcome is unknown. */
export function pushLineOf(stdout: string, ref: string): PushLine | undefined {
  for (const line of stdout.split('\n')) {
    const match = /^([ +\-*!=])\t([^\t]*):([^:\t]+)\t(.*)$/.exec(line);
    if (!match || match[3] !== ref) continue;
    const reason = /\((.*)\)\s*$/.exec(match[4] ?? '')?.[1] ?? '';
    return { to: ref, accepted: match[1] !== '!', reason };
  }
  return undefined;
}

/**
 * True where the reason means that the branch stood elsewhere: seen before the push (`stale info`,
 * `fetch first`, `non-fast-forward`) or lost in a race on the server (`atomic transaction failed`, a lock, an old
 * value that no longer holds).
 */
export function meansMoved(reason: string): boolean {
  return /stale info|fetch first|non-fast-forward|needs force|already exists|remote ref updated since|atomic (transaction|push) fail|failed to (update|lock) ref|cannot lock ref|incorrect old value|reference already exists/i.test(
    reason,
  );
}
