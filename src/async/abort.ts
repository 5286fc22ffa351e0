/**
 * What listens to an AbortSignal. A signal that lives as long as the process keeps every listener that is not taken
 * away, and a listener that comes after the abort is never called: nobody else adds one (lint says so).
 */

/**
 * Calls when the signal fires, or at once if it has already; never, if there is no signal.
 * @returns what takes the listener away; it may be called at any time, and twice
 */
export function onAbort(signal: AbortSignal | undefined, listener: (reason: unknown) => void): () => void {
  if (!signal) return () => {};
  const fired = () => listener(signal.reason);
  if (signal.aborted) {
    fired();
    return () => {};
  }
  // eslint-disable-next-line no-restricted-syntax -- the one place
  signal.addEventListener('abort', fired, { once: true });
  // eslint-disable-next-line no-restricted-syntax -- the one place
  return () => signal.removeEventListener('abort', fired);
}

/**
 * As `new Promise(begin)`, but rejects when the signal fires. It does not begin if that was before, and listens no
 * longer than until it is settled; what `begin` says afterwards is ignored.
 * @param begin may return what undoes it: called at the abort, and then only
 * @param reasonOf what it rejects with: the signal's reason, if nothing else is said
 */
export function abortable<T>(
  signal: AbortSignal | undefined,
  begin: (resolve: (value: T) => void, reject: (error: Error) => void) => (() => void) | void,
  reasonOf: (signal: AbortSignal) => Error = ({ reason }) => reason as Error,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (signal?.aborted) {
      reject(reasonOf(signal));
      return;
    }
    let isLeft = false;
    let undo: (() => void) | void;
    const release = onAbort(signal, () => {
      isLeft = true;
      reject(reasonOf(signal!));
      undo?.();
    });
    try {
      undo = begin(
        (value) => {
          release();
          resolve(value);
        },
        (error) => {
          release();
          reject(error);
        },
      );
    } catch (error) {
      release();
      throw error;
    }
    if (isLeft) undo?.();
  });
}
