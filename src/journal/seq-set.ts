/** A set of numbers of changes, kept as ranges: what one commit holds. */
export class SeqSet {
  static readonly EMPTY = new SeqSet([]);

  /** First and last of each range, one after the other, in order. */
  constructor(private readonly flat: readonly number[]) {}

  /** Everything from first to last; empty where last is before first. */
  static range(first: number, last: number): SeqSet {
    return first > last ? SeqSet.EMPTY : new SeqSet([first, last]);
  }

  /** In rising order. */
  static of(seqs: Iterable<number>): SeqSet {
    const flat: number[] = [];
    for (const seq of seqs) flat.push(seq, seq);
    return new SeqSet(flat);
  }

  toRow(): readonly number[] {
    return this.flat;
  }

  get isEmpty(): boolean {
    return this.flat.length === 0;
  }

  get first(): number | undefined {
    return this.flat[0];
  }

  has(seq: number): boolean {
    let low = 0;
    let high = this.flat.length / 2;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.flat[2 * middle + 1]! < seq) low = middle + 1;
      else high = middle;
    }
    const first = this.flat[2 * low];
    return first !== undefined && first <= seq;
  }

  /** In order, without overlaps. */
  *ranges(): Generator<{ first: number; last: number }> {
    for (let i = 0; i < this.flat.length; i += 2) yield { first: this.flat[i]!, last: this.flat[i + 1]! };
  }
}

/** True where every number of `inner` is in `outer`, whose ranges don't touch. */
export function isWithin(inner: SeqSet, outer: SeqSet): boolean {
  for (const { first, last } of inner.ranges()) {
    const around = [...outer.ranges()].find((range) => range.first <= first && range.last >= first);
    if (!around || around.last < last) return false;
  }
  return true;
}

/**
 * Takes seqs in rising order. Neighbours make one range, whatever stands between them: seqs of local changes are
 * in no commit. `leaveOut` says that there was one between that is not meant.
 */
export class SeqSetBuilder {
  readonly #flat: number[] = [];
  #isBroken = true;

  add(seq: number): void {
    if (this.#isBroken) this.#flat.push(seq, seq);
    else this.#flat[this.#flat.length - 1] = seq;
    this.#isBroken = false;
  }

  leaveOut(): void {
    this.#isBroken = true;
  }

  build(): SeqSet {
    return new SeqSet(this.#flat);
  }
}
