/**
 * Whether what clients were told of one key fits together: is there an order of its operations, each in effect at one
 * moment between its call and its answer, in which every read sees the write before it? (Linearizability of a register:
 * Herlihy and Wing 1990; the search is that of Wing and Gong 1993, with the states that were seen before left out as
 * Lowe does, 2017.) Unlike with the registers of these papers, two writes may write the same, as two deletions do.
 */

/** What stands at a key: a digest of its bytes, or that it is not there. */
export type Value = string;
export const ABSENT: Value = 'absent';

export interface Operation {
  readonly kind: 'write' | 'read';
  /** Written, or seen. A deletion writes ABSENT. */
  readonly value: Value;
  /** Moment of the call; of two different moments the smaller came first. */
  readonly calledAt: number;
  /** From here on it is in effect, or never will be. Infinity where nobody knows when that is. */
  readonly overAt: number;
  /** It is in effect for sure: it was acknowledged. Otherwise it may never be. Reads are sure. */
  readonly isSure: boolean;
}

/**
 * The first read, in the order of answers, that no order of the operations explains; undefined where all fit.
 * @param initial what stood there before the first operation
 */
export function unexplained(
  operations: readonly Operation[],
  initial: Value = ABSENT,
): Operation | undefined {
  const reads = operations.filter(({ kind }) => kind === 'read').sort((a, b) => a.overAt - b.overAt);
  const writes = operations.filter(({ kind }) => kind === 'write');
  // Usually all is well: only otherwise is it asked which of them it is.
  if (fits([...writes, ...reads], initial)) return undefined;
  return reads.find((_, i) => !fits([...writes, ...reads.slice(0, i + 1)], initial));
}

function fits(all: readonly Operation[], initial: Value): boolean {
  const seen = new Set(all.filter(({ kind }) => kind === 'read').map(({ value }) => value));
  // A write that may never have been in effect, and that nobody saw, explains nothing.
  const operations = all
    .filter((one) => one.isSure || seen.has(one.value))
    .sort((a, b) => a.calledAt - b.calledAt);
  const isDone = new Array<boolean>(operations.length).fill(false);
  const tried = new Set<string>();

  const goOn = (value: Value): boolean => {
    if (operations.every((one, i) => isDone[i] || !one.isSure)) return true;
    // Of what is left, the next in effect was called before any other that must be over was.
    const limit = Math.min(
      ...operations.filter((one, i) => !isDone[i] && one.isSure).map((one) => one.overAt),
    );
    const state = `${value} ${isDone.map(Number).join('')}`;
    if (tried.has(state)) return false;
    tried.add(state);
    for (const [i, one] of operations.entries()) {
      if (one.calledAt > limit) break;
      if (isDone[i] || one.overAt < lastCallOf(isDone, operations)) continue;
      if (one.kind === 'read' && one.value !== value) continue;
      isDone[i] = true;
      if (goOn(one.kind === 'write' ? one.value : value)) return true;
      isDone[i] = false;
    }
    return false;
  };
  return goOn(initial);
}

/** An operation that was over before another one was called comes before it. */
function lastCallOf(isDone: readonly boolean[], operations: readonly Operation[]): number {
  return Math.max(-Infinity, ...operations.filter((_, i) => isDone[i]).map(({ calledAt }) => calledAt));
}
