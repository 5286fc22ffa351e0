/**
 * Invariant 2 for what the branch names already. An image that is pushed again, or tagged anew, is mostly there: its
 * client sends no layer, and nothing of it is committed. Gitee may have lost some of it since (somebody deleted LFS
 * objects). So before its tag is acknowledged, Gitee is asked for all of it that it was not seen to have within the
 * last minutes, and what it lacks is sent again from here.
 */
import type { Clock } from '../async/clock.js';
import { ChunkError, type KeptState } from '../chunks/api.js';
import { withDeadline } from '../async/deadline.js';
import type { Log } from '../async/log.js';
import type { Chunk } from '../format/extent.js';
import type { ObjectKey } from '../format/ids.js';
import { registryKey } from '../format/registry-keys.js';
import type { Bucket } from './bucket.js';
import { ObjectError } from './errors.js';
import { imageParts, type ClosureLimits } from './manifest-closure.js';

/** An image beyond them is left to `fsck`. */
const LIMITS: ClosureLimits = { blobs: 2_000, readBytes: 16 * 1024 * 1024, timeMs: 5_000 };
/** As long as nothing was found lost, a push waits no longer for a Gitee that does not answer. */
const ASK_MS = 10_000;
const ASK_AGAIN_MS = 1_000;
/** What waits for an operator is answered quickly; but he may just have mended it. */
export const PAUSED_HOLD_MS = 2_000;
/** 80 GiB in chunks of 8 MiB. */
const CHUNKS_MAX = 10_000;

/**
 * Of a tag's link in a registry's bucket; of any other key nothing is asked. Where Gitee gives no answer the tag is
 * acknowledged all the same: it has all of it by what was last heard.
 * @throws ObjectError not-yet-remote where a part of the image is not on Gitee and does not get there in time
 */
export async function ensureImageKept(
  bucket: Bucket,
  key: ObjectKey,
  deps: { readonly clock: Clock; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = deps;
  if (registryKey(bucket.rules.registryRoot, key)?.kind !== 'tag-link') return;
  const begunMs = clock.steadyMs();
  const untilMs = begunMs + bucket.concern.holdMs;
  const chunks = await unlessUnknown(key, () => chunksOf(bucket, key, signal));
  for (;;) {
    const state = (await unlessUnknown(key, () => askOnce(bucket, chunks, signal))) ?? TOO_LONG;
    signal.throwIfAborted();
    if (state.kind === 'kept') return;
    if (state.kind === 'lost') throw lost(key, state.message);
    if (state.kind === 'unkept') {
      if (clock.steadyMs() + state.retryAfterMs >= untilMs) throw lost(key, state.message);
      await clock.sleep(state.retryAfterMs, signal);
      continue;
    }
    // What was found lost is on its way there, and not there.
    if (!chunks?.some(({ oid }) => bucket.chunks.isUnsent(oid))) {
      const why = state.message;
      log.warn('whether Gitee still has all of an image could not be found out', {
        ...{ bucket: bucket.name, key, why },
      });
      return;
    }
    const endMs = state.kind === 'paused' ? Math.min(untilMs, begunMs + PAUSED_HOLD_MS) : untilMs;
    if (clock.steadyMs() >= endMs) throw lost(key, state.message);
    await clock.sleep(ASK_AGAIN_MS, signal);
  }
}

const TOO_LONG: KeptState = { kind: 'unknown', message: 'Gitee was asked for too long' };

async function askOnce(
  bucket: Bucket,
  chunks: readonly Chunk[] | undefined,
  signal: AbortSignal,
): Promise<KeptState> {
  if (!chunks) return { kind: 'unknown', message: 'it could not be looked through' };
  if (chunks.length === 0) return { kind: 'kept' };
  const tooLong = () => new ChunkError('remote-unavailable', 'Gitee was asked for an image for too long');
  return withDeadline(ASK_MS, signal, (own) => bucket.chunks.ensureKept(chunks, own), tooLong);
}

/**
 * undefined where something is not known now, through no fault of ours.
 * @throws ObjectError not-yet-remote where bytes that had to be read (a manifest's) are neither here nor there
 */
async function unlessUnknown<T>(key: ObjectKey, run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof ChunkError && (error.code === 'missing' || error.code === 'corrupt'))
      throw lost(key, error.message);
    if (error instanceof ChunkError || error instanceof ObjectError) return undefined;
    throw error;
  }
}

/** Of all blobs of the image. @throws ObjectError where there are too many to be asked for */
async function chunksOf(bucket: Bucket, key: ObjectKey, signal: AbortSignal): Promise<Chunk[]> {
  const { blobs } = await imageParts(bucket, key, signal, LIMITS);
  const chunks = new Map<string, Chunk>();
  for (const blob of blobs) {
    const record = await bucket.state.get(blob);
    if (!record || record.body.kind === 'plain') continue;
    const body = await bucket.state.openBody(record);
    if (body.kind === 'plain') continue;
    for await (const { oid, chunkLengthBytes, volume } of body.list.range(0, record.sizeBytes))
      chunks.set(oid, { oid, sizeBytes: chunkLengthBytes, volume });
    if (chunks.size > CHUNKS_MAX)
      throw new ObjectError('not-yet-remote', `this image has more than ${CHUNKS_MAX} chunks`);
  }
  return [...chunks.values()];
}

function lost(key: ObjectKey, message: string): ObjectError {
  return new ObjectError(
    'not-yet-remote',
    `A part of this image is not on Gitee (${key}): ${message}. See 'gitee-s3 fsck'.`,
  );
}
