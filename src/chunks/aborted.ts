import { ChunkError } from './api.js';

/** The error for a call that its caller ended. */
export function abortedBy(signal: AbortSignal): ChunkError {
  const reason: unknown = signal.reason;
  if (reason instanceof ChunkError) return reason;
  return new ChunkError('aborted', 'the caller went away', { cause: reason });
}
