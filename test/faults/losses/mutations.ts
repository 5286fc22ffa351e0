/**
 * What keeps each loss of losses.test.ts from happening, as texts of the program that can be taken out. Each stands in
 * its file exactly once: where it does not any more, whoever changed it says here what keeps the promise now.
 */
export interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Mutation {
  /** The first word of its test in losses.test.ts. */
  readonly loss: string;
  readonly takesOut: string;
  readonly edits: readonly Edit[];
  /** What the judge says. */
  readonly finds: RegExp;
}

export const WRONG = /is there, which does not fit to what was told/;
export const UNREADABLE = /can't be read/;
export const COMMITTER = 'src/journal/committer.ts';
export const WRITE_CONCERN = 'src/objects/write-concern.ts';
const LMDB_STORE = 'src/index/lmdb-store.ts';

export const MUTATIONS: readonly Mutation[] = [
  {
    loss: 'A1',
    takesOut: 'what a fetch has shown as landed leaves the batch that is about to be sent',
    edits: [
      {
        file: COMMITTER,
        from: 'await headLock.run(() => sync.fetch(signal), signal);',
        to: 'void headLock, sync;',
      },
      {
        file: COMMITTER,
        from: 'const rest = await batchOf(journal, batch.seqs, batch.floorSeq);',
        to: 'const rest = batch;',
      },
    ],
    finds: WRONG,
  },
  {
    loss: 'A2',
    takesOut: 'a batch on the branch that the log knows nothing of says that this is an older snapshot',
    edits: [
      {
        file: 'src/journal/head-sync.ts',
        from: 'if (work.unknown === undefined || head === null) return work;',
        to: 'return work;',
      },
    ],
    finds: WRONG,
  },
  {
    loss: 'A3',
    takesOut: 'what a store says is final only after all of a patience',
    edits: [
      {
        file: 'src/journal/doubts.ts',
        from: 'return tries >= TRIES_MIN && nowMs - sinceMs >= patienceMs;',
        to: 'return tries >= TRIES_MIN;',
      },
    ],
    finds: WRONG,
  },
  {
    loss: 'A4',
    takesOut: 'what rests on a change that was set aside does not land',
    edits: [
      {
        file: 'src/journal/selection.ts',
        from: "if ((await journal.newest(key))?.state !== 'pending' && !(await base.get(key))) return key;",
        to: 'void base;',
      },
    ],
    finds: UNREADABLE,
  },
  {
    loss: 'A5',
    takesOut: 'an operation that found nothing to do waits for what it rests on',
    edits: [
      {
        file: WRITE_CONCERN,
        from: 'if (last === undefined) return;',
        to: 'if (last === undefined || !write.appended) return;',
      },
    ],
    finds: WRONG,
  },
  {
    loss: 'A6',
    takesOut: 'whoever writes checks that nobody has taken over',
    edits: [{ file: 'src/server/compose.ts', from: 'lease.check();', to: '' }],
    finds: WRONG,
  },
  {
    loss: 'A7',
    takesOut: 'what a pending change names stays pinned',
    edits: [
      {
        file: 'src/chunks/grace.ts',
        from: 'return known.oids.has(oid) || holds.has(oid) || known.since.has(oid);',
        to: 'return known.oids.has(oid) && holds.has(oid);',
      },
    ],
    finds: UNREADABLE,
  },
  {
    loss: 'A8',
    takesOut: 'a transaction is visible once it is synced, and none comes after a sync that failed',
    edits: [
      { file: LMDB_STORE, from: 'overlappingSync: false,', to: 'overlappingSync: true,' },
      {
        file: LMDB_STORE,
        from: 'await Promise.race([committed, unanswered]);',
        to: 'await Promise.race([committed, unanswered]); await (this.db as unknown as { flushed: Promise<void> }).flushed;',
      },
      {
        file: LMDB_STORE,
        from: 'if (!this.#isDiskFull(reason)) throw this.#fail(reason);',
        to: 'if (!this.#isDiskFull(reason)) throw reason;',
      },
    ],
    finds: /is there, which does not fit to what was told|can't be read/,
  },
  {
    loss: 'A9',
    takesOut: 'before a tag is acknowledged Gitee is asked for all of its image',
    edits: [
      {
        file: WRITE_CONCERN,
        from: 'for (const key of keys) await ensureImageKept(bucket, key, this.deps, signal);',
        to: '',
      },
    ],
    finds: UNREADABLE,
  },
  {
    loss: 'A10',
    takesOut: 'a push that may still land is decided before anything that came later counts as landed',
    edits: [
      {
        file: COMMITTER,
        from: 'if (claims.undecided.length > 0) return true; // the sooner it is decided, the less depends on it',
        to: 'void claims;',
      },
      {
        file: COMMITTER,
        from: 'for (const again of undecided) {',
        to: 'for (const again of undecided.slice(0, 0)) {',
      },
      {
        file: COMMITTER,
        from: 'const isFence = batch.entries === 0 || others.some((claim) => claim !== again);',
        to: 'const isFence = false;',
      },
    ],
    finds: WRONG,
  },
];
