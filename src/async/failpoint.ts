/**
 * Every failpoint, in the order in which a push passes them, then those of making and deleting a bucket. Its first half
 * is a word of the path of the one file that has it; test/docs/failpoints.test.ts checks that, and that each is killed.
 */
export const FAILPOINTS = [
  'chunks.beforeSync',
  'chunks.afterSync',
  'chunks.afterRename',
  'journal.beforeSync',
  'journal.afterSync',
  'committer.batchClosed',
  'committer.beforeUpload',
  'committer.chunksRemote',
  'committer.beforeClaim',
  'committer.claimed',
  'committer.claimedElsewhere',
  'git.packStored',
  'git.beforePush',
  'git.afterPush',
  'committer.afterLanded',
  'committer.baseApplied',
  'committer.overlayDropped',
  'buckets.stateOpened',
  'buckets.rowWritten',
  'buckets.rowRemoved',
  'buckets.stateClosed',
  'buckets.stateRemoved',
] as const;

export type FailpointName = (typeof FAILPOINTS)[number];

const isFailpoint = (name: string): name is FailpointName => (FAILPOINTS as readonly string[]).includes(name);

/** Named places where a test makes the process fail. Off unless the operator of a test sets them. */
export interface Failpoints {
  /** Does what was asked for at this name: nothing, throw, wait, or kill the process at once. */
  hit(name: FailpointName): Promise<void>;
}

/** No failpoint is set. */
export const noFailpoints: Failpoints = { hit: async () => {} };

/**
 * Parses `name=kill`, `name=throw`, `name=delay:500`, `name=kill@3` (the third time), separated by commas.
 * @throws RangeError with the faulty item, or the name that no failpoint has.
 */
export function parseFailpoints(spec: string): Failpoints {
  interface Action {
    kind: string;
    argMs: number;
    nth: number;
    seen: number;
  }
  const actions = new Map<FailpointName, Action>();
  for (const item of spec.split(',').filter((s) => s !== '')) {
    const m = /^([\w.-]+)=(kill|throw|delay)(?::(\d+))?(?:@(\d+))?$/.exec(item.trim());
    if (!m)
      throw new RangeError(
        `failpoint ${JSON.stringify(item)}: write name=kill|throw|delay:MS, optionally @N`,
      );
    const name = m[1]!;
    if (!isFailpoint(name)) throw new RangeError(`there is no failpoint ${JSON.stringify(name)}`);
    actions.set(name, { kind: m[2]!, argMs: Number(m[3] ?? 0), nth: Number(m[4] ?? 1), seen: 0 });
  }
  return {
    hit: async (name) => {
      const action = actions.get(name);
      if (!action) return;
      action.seen += 1;
      if (action.seen < action.nth) return;
      if (action.kind === 'kill') process.kill(process.pid, 'SIGKILL');
      if (action.kind === 'throw') throw new Error(`failpoint ${name}`);
      await new Promise((resolve) => setTimeout(resolve, action.argMs));
    },
  };
}
