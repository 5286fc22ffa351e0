import type { Oid } from '../format/ids.js';
import { RemoteError } from '../gitee/errors.js';
import type { Downlink } from '../line/downlink.js';
import { ChunkError } from './api.js';
import { explainDiskError } from './durable-files.js';
import { WrongBytes } from './partial-file.js';
import type { ReadRequest } from './read-request.js';

/** A line that is gone for longer than that is waited for by nobody who has no byte yet. */
const WAIT_WHILE_DOWN_MS = 8_000;
/** A server that answers with errors may be well again soon; after so long it counts as a line that is gone. */
const LASTING_MS = 30_000;
/** For clients that repeat by themselves; the registry's driver is told not to (src/s3/registry-driver.ts). */
const RETRY_AFTER_MS = 1_000;

/** What a reader is told where its chunk did not come. */
export function explainDownload(error: unknown, oid: Oid): ChunkError {
  const explained = explainDiskError(error);
  if (explained instanceof ChunkError) return explained;
  if (error instanceof WrongBytes)
    return new ChunkError('corrupt', `what came for chunk ${oid} is not it: ${error.message}`, {
      cause: error,
    });
  if (error instanceof RemoteError && error.code === 'chunk-missing')
    return new ChunkError('missing', `chunk ${oid} is not on Gitee`, { cause: error });
  if (error instanceof RemoteError && error.code === 'chunk-corrupt')
    return new ChunkError('corrupt', `chunk ${oid} is damaged on Gitee`, { cause: error });
  const retryAfterMs = error instanceof RemoteError ? error.retryAfterMs : undefined;
  return new ChunkError('remote-unavailable', `chunk ${oid} could not be fetched`, {
    cause: error,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** Why one who has no byte yet should not wait for one, if that is so: the line has been down for some time. */
export function refusalWhileDown(
  downlink: Downlink,
  request: ReadRequest,
  nowMs: number,
): ChunkError | undefined {
  const sinceMs = downlink.downSinceMs;
  if (sinceMs === undefined) return undefined;
  const { isDown, uses, words } = downlink.health.state;
  const code = isDown || nowMs - sinceMs >= LASTING_MS ? 'remote-down' : 'remote-unavailable';
  // It has the patience of a new answer then, and a fault of 20 s ends none.
  const failures = uses.flatMap(({ failure, use }) =>
    failure && (use === 'download' || use === 'batch') ? [failure.code] : [],
  );
  const isAnswered = failures.length > 0 && failures.every((failure) => failure === 'server-fault');
  if (isAnswered && code !== 'remote-down') return undefined;
  if (nowMs - Math.min(sinceMs, request.startedMs) < WAIT_WHILE_DOWN_MS) return undefined;
  return new ChunkError(code, `not fetched while Gitee fails: ${words.join('; ')}`, {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
