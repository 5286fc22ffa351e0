/**
 * Named places where a test makes the process fail. Off unless the operator of a test sets them; each name
 * stands beside the system call that it breaks, and docs/hacking.md lists them.
 */
export interface Failpoints {
  /** Does what was asked for at this name: nothing, throw, wait, or kill the process at once. */
  hit(name: string): Promise<void>;
}

/** No failpoint is set. */
export const noFailpoints: Failpoints = { hit: async () => {} };

/**
 * Parses `name=kill`, `name=throw`, `name=delay:500`, `name=kill@3` (the third time), separated by commas.
 * @throws RangeError with the faulty item.
 */
export function parseFailpoints(spec: string): Failpoints {
  interface Action {
    kind: string;
    argMs: number;
    nth: number;
    seen: number;
  }
  const actions = new Map<string, Action>();
  for (const item of spec.split(',').filter((s) => s !== '')) {
    const m = /^([\w.-]+)=(kill|throw|delay)(?::(\d+))?(?:@(\d+))?$/.exec(item.trim());
    if (!m)
      throw new RangeError(
        `failpoint ${JSON.stringify(item)}: write name=kill|throw|delay:MS, optionally @N`,
      );
    actions.set(m[1]!, { kind: m[2]!, argMs: Number(m[3] ?? 0), nth: Number(m[4] ?? 1), seen: 0 });
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
