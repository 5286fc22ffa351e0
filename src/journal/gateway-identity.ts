/**
 * Who this state directory is towards the branch. Commits carry the id, as Log-Id and as Gateway-Id: today each log
 * of changes is one gateway's. Commits of versions before the batch ids (claims.ts) have numbers only; the highest
 * one that was ever sent under the id is durable before it is sent, so that a branch which shows a higher one proves
 * that this state is older than what happened under its id: a restored snapshot.
 *
 * Which of the pending changes are the snapshot's then, and which were written here since, its runs say: each opening
 * notes a random id and the last change that it found, until a commit of ours has landed that carries all ids noted.
 * So an id that was in a snapshot is on the branch as soon as what came after the snapshot is, and one that is not on
 * the branch began after it was restored, however often the process was started since.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { CommitId } from '../format/ids.js';
import type { KeyValueStore, Write } from '../index/key-value-store.js';
import { packRow, unpackRow } from '../index/record-codec.js';
import type { Freeze, FreezeCode, LogIdentity, Run } from './change-log.js';
import type { Journal } from './journal.js';

/** Openings that are told apart. Those between which nothing was written are one. */
const RUNS_MAX = 20;

export class GatewayIdentity implements LogIdentity {
  private constructor(
    private readonly store: KeyValueStore,
    private readonly key: (name: string) => Uint8Array,
    private state: { id: string; epoch: number; attemptedSeq: number },
    private known: readonly Run[],
    private freeze: Freeze | undefined,
    /** Its id was made by this opening. */
    readonly isNew: boolean,
  ) {}

  /** Reads who we are, or becomes somebody new; each opening is an epoch of its own. */
  static async open(journal: Journal): Promise<GatewayIdentity> {
    const { store } = journal;
    const key = (name: string) => journal.single(name);
    const row = await store.get(key('gateway'));
    const [id, epoch, attemptedSeq] = row
      ? (unpackRow(row) as [string, number, number])
      : [randomUUID(), 0, 0];
    const frozen = await store.get(key('frozen'));
    const runs = await store.get(key('runs'));
    const known = runs ? runsOf(unpackRow(runs)) : [];
    const startSeq = journal.lastSeq;
    const run = { id: randomBytes(8).toString('hex'), startSeq };
    const identity = new GatewayIdentity(
      store,
      key,
      { id, epoch: epoch + 1, attemptedSeq },
      [...known.filter((earlier) => earlier.startSeq !== startSeq), run].slice(-RUNS_MAX),
      frozen && freezeOf(unpackRow(frozen)),
      row === undefined,
    );
    await identity.#save();
    return identity;
  }

  get id(): string {
    return this.state.id;
  }

  get epoch(): number {
    return this.state.epoch;
  }

  /** No commit of ours says that everything up to a higher seq has landed. */
  get attemptedSeq(): number {
    return this.state.attemptedSeq;
  }

  /** Openings since a commit of ours landed last, oldest first; the last one is this one. */
  get runs(): readonly Run[] {
    return this.known;
  }

  /** What becomes durable with the landing of a commit that carried the ids of all runs. */
  landed(): Write[] {
    this.known = this.known.slice(-1);
    return [{ key: this.key('runs'), value: undefined }];
  }

  get frozen(): Freeze | undefined {
    return this.freeze;
  }

  /** What must be durable before a push that carries the seq begins. */
  attempt(seq: number): Write[] {
    if (seq <= this.state.attemptedSeq) return [];
    this.state = { ...this.state, attemptedSeq: seq };
    return [this.#row()];
  }

  /** Becomes somebody else. */
  async renew(): Promise<void> {
    this.state = { id: randomUUID(), epoch: 1, attemptedSeq: 0 };
    await this.#save();
  }

  async setFrozen(freeze: Freeze | undefined): Promise<void> {
    const value = freeze && packRow([freeze.code, freeze.reason, freeze.sinceMs, freeze.head]);
    await this.store.commit([], [{ key: this.key('frozen'), value }]);
    this.freeze = freeze;
  }

  async #save(): Promise<void> {
    const runs = this.known.map(({ id, startSeq }) => [id, startSeq]);
    await this.store.commit([], [this.#row(), { key: this.key('runs'), value: packRow(runs) }]);
  }

  #row(): Write {
    const { id, epoch, attemptedSeq } = this.state;
    return { key: this.key('gateway'), value: packRow([id, epoch, attemptedSeq]) };
  }
}

function runsOf(row: unknown[]): Run[] {
  return (row as [string, number][]).map(([id, startSeq]) => ({ id, startSeq }));
}

function freezeOf(row: unknown[]): Freeze {
  const [code, reason, sinceMs, head] = row as [FreezeCode, string, number, CommitId | null];
  return { code, reason, sinceMs, head };
}
