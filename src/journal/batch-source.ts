/** Which pending changes are committed next, and when a look is worth it. */
import type { Clock } from '../async/clock.js';
import { closeBatch, type Batch } from './batch.js';
import type { Doubts } from './doubts.js';
import { Errands, type ErrandId, type ErrandsDeps, type FailedErrand } from './errands.js';
import type { ChangeLog } from './change-log.js';
import type { Landings } from './landings.js';
import { doomedOf, Selection, type Doomed, type SelectionSource } from './selection.js';

export interface Taken {
  readonly batch: Batch | undefined;
  /** To be set aside first: they rest on what was. */
  readonly doomed: readonly Doomed[];
}

export interface BatchSource {
  /** Something that is waited for, or was overdue, can be committed now. */
  readonly isReady: boolean;
  /** A look may find that something which is waited for can be committed. */
  readonly hasNews: boolean;
  /** Pending changes that can't be committed yet, when they were last looked at. */
  readonly heldCount: number;
  /** @param isDue commit whatever can be, waited for or not */
  take(maxEntries: number, isDue: boolean): Promise<Taken>;
  /** Of a batch that was closed before. */
  doomedOf(batch: Batch): Promise<readonly Doomed[]>;
  /** Why chunks can't be sent, where that is for the committer to judge. */
  takeFailure(): FailedErrand | undefined;
  /** What was taken did not land, for the sake of some of it that stands aside now: the rest need not wait for a look. */
  again(): void;
  /** What failed may work again. */
  kick(): void;
  stop(): Promise<void>;
}

/**
 * The oldest changes, in the log's order: what preset generic promises. Their chunks are sent by the committer. What
 * stands aside is passed by, except where a barrier waits for all that was written before it.
 */
export class LogOrder implements BatchSource {
  readonly isReady = false;
  #heldCount = 0;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #lookedUpToSeq = 0;

  constructor(
    private readonly deps: {
      readonly journal: ChangeLog;
      readonly doubts: Doubts;
      readonly clock: Clock;
      readonly isStrict: boolean;
    },
  ) {}

  get hasNews(): boolean {
    const { clock, journal } = this.deps;
    return (
      this.#heldCount === 0 ||
      journal.lastPendingSeq > this.#lookedUpToSeq ||
      clock.steadyMs() - this.#lookedMs >= LOOK_EVERY_MS
    );
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  async take(maxEntries: number): Promise<Taken> {
    const { clock, doubts, isStrict, journal } = this.deps;
    this.#lookedMs = clock.steadyMs();
    this.#lookedUpToSeq = journal.lastPendingSeq;
    const order = { isStrict, isAside: (seq: number) => doubts.has(seq) };
    const pending = journal.pendingCount;
    const { batch, heldCount } = await closeBatch(journal, maxEntries, order);
    this.#heldCount = heldOf(pending, heldCount, batch);
    return { batch, doomed: [] };
  }

  async doomedOf(): Promise<readonly Doomed[]> {
    return [];
  }

  takeFailure(): undefined {}

  again(): void {
    this.#lookedMs = Number.NEGATIVE_INFINITY;
  }

  kick(): void {
    this.#lookedMs = Number.NEGATIVE_INFINITY;
  }

  async stop(): Promise<void> {}
}

/**
 * Where nothing can be taken, what lies behind the last change that was looked at waits as well: it is not to be looked
 * at before something has landed or come.
 */
function heldOf(pending: number, heldCount: number, batch: Batch | undefined): number {
  return batch || heldCount === 0 ? heldCount : pending;
}

/** Chunks that one errand sends; a longer one goes on with the next look. */
const ERRAND_CHUNKS_MAX = 2_000;
/** Of what nobody waits for less goes at a time: it lands as it comes. */
const OLDEST_CHUNKS_MAX = 32;
/** A look without any news: chunks are also sent by others than our errands. */
const LOOK_EVERY_MS = 1_000;

/** Sets: everything whose chunks are on Gitee and that rests on nothing else (preset registry). */
export class ReadySets implements BatchSource {
  readonly #errands: Errands;
  #isReady = false;
  /** What was overdue has been sent. */
  #isOverdueSent = false;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #heldCount = 0;
  /** Waited for, and looked at already. */
  readonly #looked = new Set<number>();

  constructor(
    private readonly deps: SelectionSource & {
      readonly landings: Landings;
      readonly clock: Clock;
      readonly onNews: () => void;
      readonly errands: Omit<ErrandsDeps, 'onNews'>;
    },
  ) {
    this.#errands = new Errands({ ...deps.errands, onNews: (id) => this.#news(id) });
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get hasNews(): boolean {
    if (this.deps.clock.steadyMs() - this.#lookedMs >= LOOK_EVERY_MS) return true;
    for (const seq of this.deps.landings.wanted) if (!this.#looked.has(seq)) return true;
    return false;
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  async take(maxEntries: number, isAsked: boolean): Promise<Taken> {
    const { clock, journal, landings } = this.deps;
    const isDue = isAsked || this.#isOverdueSent || landings.isAllWanted;
    this.#isReady = false;
    this.#isOverdueSent = false;
    this.#lookedMs = clock.steadyMs();
    const wanted = [...landings.wanted];
    const pending = journal.pendingCount;
    const selection = await Selection.of(this.deps, maxEntries);
    const { batch, doomed, heldSeqs } = selection;
    this.#heldCount = heldOf(pending, heldSeqs.length, batch);
    this.#looked.clear();
    for (const seq of wanted) this.#looked.add(seq);
    // There is more to do at once: what was set aside, or did not fit.
    this.#isReady = doomed.length > 0 || (isDue && selection.isFull);
    if (doomed.length > 0) return { batch: undefined, doomed };
    await this.#sendFor(selection, wanted, { isDue, maxEntries });
    const isWorthIt = isDue || wanted.some((seq) => selection.isServedByBatch(seq));
    if (!isWorthIt) return { batch: undefined, doomed };
    // What is held behind changes of this batch is looked at again as soon as they have landed.
    for (const seq of wanted)
      if (selection.isHeld(seq) && selection.isServedByBatch(seq)) this.#looked.delete(seq);
    return { batch, doomed };
  }

  doomedOf(batch: Batch): Promise<readonly Doomed[]> {
    return doomedOf(this.deps, batch.net.values());
  }

  takeFailure(): FailedErrand | undefined {
    return this.#errands.takeFailure();
  }

  again(): void {
    this.#lookedMs = Number.NEGATIVE_INFINITY;
  }

  kick(): void {
    this.#errands.kick();
  }

  stop(): Promise<void> {
    this.deps.closure.stop();
    return this.#errands.stop();
  }

  #news(id: ErrandId): void {
    this.#isReady = true;
    if (typeof id === 'string') this.#isOverdueSent = true;
    this.deps.onNews();
  }

  /** What is waited for goes first; of the rest, the oldest, when it is their time. */
  async #sendFor(
    selection: Selection,
    wanted: readonly number[],
    { isDue, maxEntries: changes }: { isDue: boolean; maxEntries: number },
  ): Promise<void> {
    const stillWanted = new Set(wanted);
    const { isAllWanted } = this.deps.landings;
    this.#errands.keepOnly((id) => id === 'oldest' || (id === 'all' ? isAllWanted : stillWanted.has(id)));
    for (const seq of wanted)
      if (selection.isHeld(seq))
        await this.#run(selection, seq, [seq], { changes, chunks: ERRAND_CHUNKS_MAX });
    if (isDue)
      await this.#run(selection, isAllWanted ? 'all' : 'oldest', selection.heldSeqs, {
        ...{ changes, chunks: OLDEST_CHUNKS_MAX },
      });
  }

  async #run(
    selection: Selection,
    id: ErrandId,
    roots: readonly number[],
    max: { readonly changes: number; readonly chunks: number },
  ): Promise<void> {
    if (this.#errands.has(id) || this.#errands.isFull) return;
    const { seqs, chunks } = await selection.closureOf(roots, max);
    if (chunks.length > 0) this.#errands.run(id, seqs, chunks);
  }
}
