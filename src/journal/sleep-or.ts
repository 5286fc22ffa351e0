import { onAbort } from '../async/abort.js';
import type { Clock } from '../async/clock.js';

/**
 * The other promise's value, or undefined after the time, whichever is first; rejects with the signal's reason.
 * Leaves no timer and no listener behind: the signal is one that lives as long as the process. Nor does it leave a
 * rejection of the other promise that nobody hears, which would end the process, however early it gives up.
 */
export async function sleepOr<T>(
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
  other: Promise<T>,
): Promise<T | undefined> {
  other.catch(() => {}); // whoever waits below hears of it besides
  signal.throwIfAborted();
  const over = new AbortController();
  const release = onAbort(signal, (reason) => over.abort(reason));
  const slept = clock.sleep(timeoutMs, over.signal).then(() => undefined);
  slept.catch(() => {}); // when it loses the race, nobody else looks at it
  try {
    return await Promise.race([other, slept]);
  } finally {
    release();
    over.abort(new Error('the other was first'));
  }
}
