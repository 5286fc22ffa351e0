/**
 * Where components report what is measured. The names, kinds and labels are rows of the table in
 * src/server/metrics.ts; a name that stands in no row throws there, so that a typing error fails a test.
 */
export interface Observer {
  /** Adds to a counter (default 1). */
  count(name: string, labels?: Record<string, string>, n?: number): void;
  /** Records a duration in seconds or a size in bytes in a histogram. */
  observe(name: string, value: number, labels?: Record<string, string>): void;
  /** Sets a gauge. */
  set(name: string, value: number, labels?: Record<string, string>): void;
}

/** An observer that keeps nothing. @internal for tests */
export const silentObserver: Observer = { count: () => {}, observe: () => {}, set: () => {} };
