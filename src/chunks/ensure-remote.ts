/**
 * Invariant 2 (this layer's share). A commit never names a chunk that is not on Gitee: after the uploads,
 * Gitee is asked for every chunk once more, and what it lacks is uploaded again or named.
 */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../async/clock.js';
import { retry } from '../async/retry.js';
import type { Chunk } from '../format/extent.js';
import { RemoteError } from '../gitee/errors.js';
import type { ChunkRemote } from '../gitee/remote.js';
import { ChunkError } from './api.js';
import { abortedBy } from './bell.js';
import type { LocalChunks } from './local-chunks.js';
import type { PinnedChunks } from './pinned.js';
import type { UploadQueue } from './upload-queue.js';

const ASK_ATTEMPTS = 3;
/** Numbers the calls: each is a group of its own in line. */
let calls = 0;

export interface EnsureRemoteOptions {
  readonly remote: ChunkRemote;
  readonly pinned: PinnedChunks;
  readonly local: LocalChunks;
  readonly queue: UploadQueue;
  readonly clock: Clock;
}

/** See ChunksApi.ensureRemote. @throws RemoteError, or ChunkError `aborted` */
export async function ensureRemote(
  chunks: readonly Chunk[],
  options: EnsureRemoteOptions,
  signal?: AbortSignal,
): Promise<void> {
  const all = unique(chunks);
  if (all.length === 0) return;

  await uploadUnsent(all, options, signal);
  const lacking = await askMissing(all, options, signal);
  if (lacking.length === 0) return;

  const gone: Chunk[] = [];
  for (const chunk of lacking) if (!(await bringBack(chunk, options))) gone.push(chunk);
  if (gone.length > 0) throw missingError(gone, 'neither on Gitee nor on this disk');
  await upload(lacking, options, signal);
  const still = await askMissing(lacking, options, signal);
  if (still.length > 0) throw missingError(still, 'not on Gitee, although their upload was confirmed');
}

/** See ChunksApi.upload. @throws RemoteError, or ChunkError `aborted` */
export async function uploadUnsent(
  chunks: readonly Chunk[],
  options: EnsureRemoteOptions,
  signal?: AbortSignal,
): Promise<void> {
  const unsent = unique(chunks).filter((chunk) => options.pinned.isUnsent(chunk.oid));
  if (unsent.length > 0) await upload(unsent, options, signal);
}

function unique(chunks: readonly Chunk[]): Chunk[] {
  return [...new Map(chunks.map((chunk) => [chunk.oid, chunk])).values()];
}

/** Uploads side by side; after all have ended, throws the most telling failure. */
async function upload(
  chunks: readonly Chunk[],
  options: EnsureRemoteOptions,
  signal?: AbortSignal,
): Promise<void> {
  calls += 1;
  const group = `call ${calls}`;
  const results = await withOwnSignal(signal, (own) =>
    Promise.allSettled(chunks.map((chunk) => options.queue.ensure(chunk, group, own))),
  );
  const failures = results
    .filter((r): r is PromiseRejectedResult => r.status === 'rejected')
    .map((r): unknown => r.reason);
  if (failures.length === 0) return;
  const remote = failures.filter((e) => e instanceof RemoteError);
  const pausing = remote.find((e) => e.pauses);
  if (pausing) throw pausing;
  // The committer takes out what will never land: it must learn of all of them at once.
  for (const code of ['chunk-refused', 'chunk-corrupt', 'chunk-missing', 'file-too-large'] as const) {
    const same = remote.filter((e) => e.code === code);
    if (same.length === 0) continue;
    if (same.length === 1) throw same[0]!;
    throw new RemoteError(code, same[0]!.message, { cause: same[0], oids: same.flatMap((e) => e.oids) });
  }
  throw remote[0] ?? failures[0];
}

/** One listener on the caller's signal, however many chunks listen here. */
async function withOwnSignal<T>(
  signal: AbortSignal | undefined,
  run: (own: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  setMaxListeners(0, own.signal);
  const onAbort = () => own.abort(signal?.reason);
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await run(own.signal);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

async function askMissing(
  chunks: readonly Chunk[],
  { remote, clock }: EnsureRemoteOptions,
  signal?: AbortSignal,
): Promise<Chunk[]> {
  try {
    return await retry(() => remote.missing(chunks, signal), {
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

/** Makes a chunk that Gitee lost unsent again, from whatever good copy is here. */
async function bringBack(chunk: Chunk, { pinned, local }: EnsureRemoteOptions): Promise<boolean> {
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

function missingError(chunks: readonly Chunk[], where: string): RemoteError {
  const oids = chunks.map((chunk) => chunk.oid);
  const named = oids.slice(0, 3).join(', ');
  return new RemoteError('chunk-missing', `${oids.length} chunk(s) are ${where}: ${named}`, { oids });
}
