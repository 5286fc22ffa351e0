import { abortable } from './abort.js';

/**
 * The time, passed in so that tests own it. It has two readings, since a wall clock is set: by NTP after a boot with
 * a wrong time, by an operator, by days and to either side. Whoever decides something by how long ago something was
 * asks the steady one; the wall clock is for people, for other machines and for what is kept over a restart.
 */
export interface Clock {
  /** Wall clock, milliseconds since 1970. It may jump: two readings say nothing of the time between them. */
  nowMs(): number;
  /** Milliseconds since some moment of this process's life; nobody sets it, and it never runs back. */
  steadyMs(): number;
  /** Resolves after the time, or rejects with the signal's reason. Not moved by a clock that is set. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  steadyMs: () => performance.now(),
  sleep: (ms, signal) =>
    abortable<void>(signal, (resolve) => {
      const timer = setTimeout(resolve, ms);
      return () => clearTimeout(timer);
    }),
};

/** A moment of the steady clock as people tell the time: by the wall clock as it is now, whatever it was then. */
export function wallTime(clock: Pick<Clock, 'nowMs' | 'steadyMs'>, atSteadyMs: number): number {
  return Math.round(clock.nowMs() - (clock.steadyMs() - atSteadyMs));
}

/** A moment that an earlier run or a file has written down, on the steady clock; one that lies ahead counts as now. */
export function steadyTime(clock: Pick<Clock, 'nowMs' | 'steadyMs'>, atWallMs: number): number {
  return clock.steadyMs() - Math.max(0, clock.nowMs() - atWallMs);
}
