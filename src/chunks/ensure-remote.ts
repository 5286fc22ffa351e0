/**
 * Invariant 2 (this layer's share). A commit never names a chunk that is not on Gitee: after the uploads,
 * Gitee is asked for every chunk once more, and what it lacks is uploaded again or named. For a small one that went
 * over a long line seconds ago that was done while its upload was verified, and counts (confirmed.ts).
 * Invariant 1 (this layer's share). Whatever Gitee says that it lacks, and a good copy of is here, becomes unsent
 * again, so that no copy of it is evicted before Gitee has been seen to have it; and is queued with that, so that it
 * is sent whatever becomes of the call that found it out.
 */
import { setMaxListeners } from 'node:events';
import { onAbort } from '../async/abort.js';
import type { Clock } from '../async/clock.js';
import { retry } from '../async/retry.js';
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { joinedFailures, ofFirstCode, RemoteError } from '../gitee/errors.js';
import type { ChunkRemote } from '../gitee/remote.js';
import type { UnknownRefusals } from '../gitee/unknown-refusals.js';
import { ChunkError, type KeptState, type WaitedClass } from './api.js';
import { abortedBy } from './aborted.js';
import type { LocalChunks } from './local-chunks.js';
import type { PinnedChunks } from './pinned.js';
import type { UnkeptChunks } from './unkept.js';
import type { UploadQueue } from './upload-queue.js';
import type { EagerPlace } from './upload-task.js';

const ASK_ATTEMPTS = 3;
/** Numbers the calls: each is a group of its own in line. */
let calls = 0;

export interface EnsureRemoteDeps {
  readonly remote: ChunkRemote;
  /** Of the question which chunks it has. */
  readonly refusals: UnknownRefusals;
  readonly pinned: PinnedChunks;
  readonly local: LocalChunks;
  readonly queue: UploadQueue;
  readonly unkept: UnkeptChunks;
  /** Where chunks that Gitee has lost stand in line. */
  readonly lostPlace: EagerPlace;
  /** It was sent just now, and Gitee was asked for it after that and has it. */
  readonly isConfirmed: (oid: Oid) => boolean;
  /** Gitee was asked for these chunks just now, and has them. */
  readonly onConfirmed: (chunks: readonly Chunk[]) => void;
  /** It was asked for them just now, and has them not. */
  readonly onLacking: (chunks: readonly Chunk[]) => void;
  readonly clock: Clock;
}

/** See ChunksApi.ensureRemote. @throws RemoteError, or ChunkError `aborted` */
export async function ensureRemote(
  chunks: readonly Chunk[],
  deps: EnsureRemoteDeps,
  signal?: AbortSignal,
): Promise<void> {
  const all = unique(chunks);
  if (all.length === 0) return;

  await uploadUnsent(all, deps, 'waited', signal);
  const unsure = all.filter(({ oid }) => !deps.isConfirmed(oid));
  if (unsure.length === 0) return;
  const lacking = await lackingOf(unsure, deps, signal);
  if (lacking.length === 0) return;

  // What was sent and forgotten before has its time to wait: it is not sent twice in a row.
  const back = await bringBack(lacking, deps, (oid) => deps.unkept.has(oid));
  await upload(back, deps, 'waited', signal);
  const still = await lackingOf(back, deps, signal);
  if (still.length === 0) return;
  throw unkeptError(await bringBack(still, deps, () => true), deps);
}

/**
 * Asks Gitee for chunks that it had lost, and that were sent again: what it lacks once more is sent later. Waits for
 * no upload. @throws RemoteError, or ChunkError `aborted`
 */
export async function askAgain(
  chunks: readonly Chunk[],
  deps: EnsureRemoteDeps,
  signal: AbortSignal,
): Promise<void> {
  const lacking = await lackingOf(chunks, deps, signal);
  if (lacking.length > 0) throw unkeptError(await bringBack(lacking, deps, () => true), deps);
}

/** What Gitee has not, and another try at once would not bring it. */
const NOT_SENT: readonly string[] = ['chunk-missing', 'chunk-refused', 'chunk-corrupt', 'file-too-large'];

/** See ChunksApi.ensureKept. @throws ChunkError `aborted` */
export async function ensureKept(
  chunks: readonly Chunk[],
  deps: EnsureRemoteDeps,
  signal?: AbortSignal,
): Promise<KeptState> {
  try {
    await ensureRemote(chunks, deps, signal);
    return { kind: 'kept' };
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error;
    const { code, message, retryAfterMs = 0 } = error;
    if (NOT_SENT.includes(code)) return { kind: 'lost', message };
    if (code === 'chunk-unkept') return { kind: 'unkept', message, retryAfterMs };
    return { kind: error.pauses ? 'paused' : 'unknown', message };
  }
}

/** Those that Gitee does not have; the others are known to be there. */
async function lackingOf(
  chunks: readonly Chunk[],
  deps: EnsureRemoteDeps,
  signal?: AbortSignal,
): Promise<Chunk[]> {
  const lacking = await askMissing(chunks, deps, signal);
  const oids = new Set(lacking.map(({ oid }) => oid));
  const there = chunks.filter(({ oid }) => !oids.has(oid));
  for (const { oid } of there) deps.unkept.kept(oid);
  deps.onConfirmed(there);
  deps.onLacking(lacking);
  return lacking;
}

/** See ChunksApi.upload. @throws RemoteError, or ChunkError `aborted` */
export async function uploadUnsent(
  chunks: readonly Chunk[],
  deps: EnsureRemoteDeps,
  cls: WaitedClass,
  signal?: AbortSignal,
): Promise<void> {
  const unsent = unique(chunks).filter((chunk) => deps.pinned.isUnsent(chunk.oid));
  if (unsent.length > 0) await upload(unsent, deps, cls, signal);
}

function unique(chunks: readonly Chunk[]): Chunk[] {
  return [...new Map(chunks.map((chunk) => [chunk.oid, chunk])).values()];
}

/** Uploads side by side; after all have ended, throws the most telling failure. */
async function upload(
  chunks: readonly Chunk[],
  deps: EnsureRemoteDeps,
  cls: WaitedClass,
  signal?: AbortSignal,
): Promise<void> {
  calls += 1;
  const group = `call ${calls}`;
  const send = (chunk: Chunk, own: AbortSignal) =>
    deps.unkept.waitMs(chunk.oid) > 0
      ? Promise.reject(unkeptError([chunk], deps))
      : deps.queue.ensure(chunk, group, cls, own);
  const results = await withOwnSignal(signal, (own) =>
    Promise.allSettled(chunks.map((chunk) => send(chunk, own))),
  );
  const failures = results
    .filter((r): r is PromiseRejectedResult => r.status === 'rejected')
    .map((r): unknown => r.reason);
  if (failures.length === 0) return;
  const remote = failures.filter((e) => e instanceof RemoteError);
  const ofAll = remote.filter((e) => e.oids.length === 0);
  const pausing = ofAll.find((e) => e.pauses);
  if (pausing) throw pausing;
  // The committer takes out what does not land: it must learn of all of them at once.
  for (const code of ['chunk-refused', 'chunk-corrupt', 'chunk-missing', 'file-too-large'] as const) {
    const same = remote.filter((e) => e.code === code);
    if (same.length > 0) throw joinedFailures(same);
  }
  // What fails as a whole says more than what waits for its own time.
  throw ofAll[0] ?? (remote.length > 0 ? joinedFailures(ofFirstCode(remote)) : failures[0]);
}

/** One listener on the caller's signal, however many chunks listen here. */
async function withOwnSignal<T>(
  signal: AbortSignal | undefined,
  run: (own: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  setMaxListeners(0, own.signal);
  const release = onAbort(signal, (reason) => own.abort(reason));
  try {
    return await run(own.signal);
  } finally {
    release();
  }
}

async function askMissing(
  chunks: readonly Chunk[],
  { remote, refusals, clock }: EnsureRemoteDeps,
  signal?: AbortSignal,
): Promise<Chunk[]> {
  try {
    return await retry(() => refusals.of(() => remote.missing(chunks, signal)), {
      attempts: ASK_ATTEMPTS,
      baseMs: 300,
      maxMs: 2_000,
      clock,
      ...(signal ? { signal } : {}),
      isRetryable: (e) => e instanceof RemoteError && e.isTransient,
      retryAfterMs: (e) => (e instanceof RemoteError ? Math.min(e.retryAfterMs ?? 0, 5_000) : 0),
    });
  } catch (error) {
    throw signal?.aborted ? abortedBy(signal) : error;
  }
}

/**
 * Makes chunks that Gitee lacks unsent again, from whatever good copies are here, and queues them.
 * @param isForgotten Gitee has confirmed this one before: it waits for its time
 * @throws RemoteError `chunk-missing` that names those of which none is here; the others are unsent then, too
 */
async function bringBack(
  chunks: readonly Chunk[],
  deps: EnsureRemoteDeps,
  isForgotten: (oid: Oid) => boolean,
): Promise<Chunk[]> {
  const { lostPlace, pinned, queue, unkept } = deps;
  const back: Chunk[] = [];
  const gone: Chunk[] = [];
  for (const chunk of chunks) {
    const { oid } = chunk;
    try {
      ((await bringOneBack(chunk, deps)) ? back : gone).push(chunk);
    } finally {
      // Whatever failed on the way.
      if (pinned.isUnsent(oid)) {
        if (isForgotten(oid)) unkept.note(oid);
        queue.enqueue(chunk, lostPlace, unkept.waitMs(oid));
      }
    }
  }
  if (gone.length > 0) throw missingError(gone);
  return back;
}

async function bringOneBack(chunk: Chunk, { pinned, local }: EnsureRemoteDeps): Promise<boolean> {
  let checked;
  try {
    checked = await local.open(chunk);
  } catch (error) {
    // A wrong only copy is no copy; the caller names the chunk as missing.
    if (error instanceof ChunkError && error.code === 'corrupt') return false;
    throw error;
  }
  if (!checked) return false;
  await checked.close();
  return pinned.markLost(chunk.oid, chunk.sizeBytes);
}

function missingError(chunks: readonly Chunk[]): RemoteError {
  return new RemoteError('chunk-missing', `${named(chunks)} neither on Gitee nor on this disk`, {
    oids: chunks.map(({ oid }) => oid),
  });
}

function unkeptError(chunks: readonly Chunk[], { unkept }: EnsureRemoteDeps): RemoteError {
  return new RemoteError(
    'chunk-unkept',
    `${named(chunks)} not on Gitee, although their upload was confirmed; they are here, and are sent again`,
    {
      oids: chunks.map(({ oid }) => oid),
      retryAfterMs: Math.min(...chunks.map(({ oid }) => unkept.waitMs(oid))),
    },
  );
}

function named(chunks: readonly Chunk[]): string {
  const some = chunks.slice(0, 3).map(({ oid }) => oid);
  return `${chunks.length} chunk(s) (${some.join(', ')}) are`;
}
