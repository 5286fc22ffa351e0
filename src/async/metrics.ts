import type { MetricLabels, MetricName } from './metric-table.js';

/** Where components report what is measured: rows of metric-table.ts. */
export interface Metrics {
  /** Adds to a counter (default 1). */
  count<N extends MetricName<'counter'>>(name: N, labels?: MetricLabels<N>, n?: number): void;
  /** Records a duration in seconds or a size in bytes in a histogram. */
  observe<N extends MetricName<'histogram'>>(name: N, value: number, labels?: MetricLabels<N>): void;
  /** Sets a gauge. */
  set<N extends MetricName<'gauge'>>(name: N, value: number, labels?: MetricLabels<N>): void;
}

/** Metrics that keep nothing. @internal for tests */
export const silentMetrics: Metrics = { count: () => {}, observe: () => {}, set: () => {} };
