/**
 * Time limits. Every remote call ends (invariant 6): whoever starts one gives it a deadline from here, and the
 * deadline holds even where the callee does not listen to its signal.
 */
import { onAbort } from './abort.js';

/**
 * Runs with a signal that fires after `timeoutMs` or with the parent, and rejects at that moment, even if `run`
 * goes on: with `onTimeout()` at the deadline, with the parent's reason where the parent aborted. What `run`
 * does after that is ignored, so it must clean up by itself when its signal fires.
 */
export async function withDeadline<T>(
  timeoutMs: number,
  parent: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<T>,
  onTimeout: () => Error,
): Promise<T> {
  parent?.throwIfAborted();
  const controller = new AbortController();
  let release = () => {};
  let timer: NodeJS.Timeout | undefined;
  const cut = new Promise<never>((_resolve, reject) => {
    const stop = (reason: Error) => {
      controller.abort(reason);
      reject(reason);
    };
    timer = setTimeout(() => stop(onTimeout()), timeoutMs);
    release = onAbort(parent, (reason) => stop(reason as Error));
  });
  try {
    return await Promise.race([run(controller.signal), cut]);
  } finally {
    clearTimeout(timer);
    release();
  }
}

/**
 * A signal that fires with the parent, or after `timeoutMs` with a DOMException `TimeoutError`. For calls whose
 * end is not a promise (a stream that is still read). `dispose` stops the timer and lets go of the parent;
 * it may be called twice, and must be called once.
 */
export function linkedDeadline(
  timeoutMs: number,
  parent?: AbortSignal,
): { signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    release();
    controller.abort(new DOMException(`no end within ${timeoutMs} ms`, 'TimeoutError'));
  }, timeoutMs);
  const release = onAbort(parent, (reason) => {
    clearTimeout(timer);
    controller.abort(reason);
  });
  return {
    signal: controller.signal,
    dispose: () => {
      clearTimeout(timer);
      release();
    },
  };
}
