/** The Metrics that components report to: the rows of src/async/metric-table.ts in Prometheus' words. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { METRICS, type MetricLabels, type MetricName, type MetricRow } from '../async/metric-table.js';
import type { Metrics } from '../async/metrics.js';

/** prom-client's gauges that end in _total: promtool refuses them, and the same figures stand beside by type. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

type Labels = Readonly<Record<string, string>>;

/** The registry of this process: one per gateway, so that two gateways in one test do not mix. */
export class PrometheusMetrics implements Metrics {
  readonly registry = new Registry();
  readonly #rows = new Map<string, MetricRow>();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();

  constructor(build: { readonly version: string; readonly format: string }, options?: { process?: boolean }) {
    const registers = [this.registry];
    for (const row of METRICS) {
      this.#rows.set(row.name, row);
      const common = { name: row.name, help: row.help, labelNames: [...row.labels], registers };
      if (row.kind === 'counter') this.#counters.set(row.name, new Counter(common));
      else if (row.kind === 'gauge') this.#gauges.set(row.name, new Gauge(common));
      else this.#histograms.set(row.name, new Histogram({ ...common, buckets: [...row.buckets] }));
    }
    const info = new Gauge({
      name: 'gateway_build_info',
      help: 'Always 1; the labels say what runs.',
      labelNames: ['version', 'node_version', 'storage_format'],
      registers,
    });
    info.set({ version: build.version, node_version: process.version, storage_format: build.format }, 1);
    if (options?.process !== false) {
      collectDefaultMetrics({ register: this.registry });
      for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    }
  }

  count<N extends MetricName<'counter'>>(name: N, labels?: MetricLabels<N>, n = 1): void {
    this.#of(this.#counters, name, labels).inc({ ...labels }, n);
  }

  observe<N extends MetricName<'histogram'>>(name: N, value: number, labels?: MetricLabels<N>): void {
    this.#of(this.#histograms, name, labels).observe({ ...labels }, value);
  }

  set<N extends MetricName<'gauge'>>(name: N, value: number, labels?: MetricLabels<N>): void {
    this.#of(this.#gauges, name, labels).set({ ...labels }, value);
  }

  /** Drops the series of a bucket that is no more, so that no alarm rests on its last figures. */
  async forgetBucket(bucket: string): Promise<void> {
    for (const row of METRICS as readonly MetricRow[]) {
      if (!row.labels.includes('bucket')) continue;
      const metric = (this.#counters.get(row.name) ??
        this.#gauges.get(row.name) ??
        this.#histograms.get(row.name))!;
      const { values } = await metric.get();
      for (const { labels } of values as readonly { labels: Record<string, string> }[]) {
        if (labels['bucket'] !== bucket) continue;
        // A histogram's values have a label more, its bounds; a series goes whole.
        metric.remove(Object.fromEntries(row.labels.map((name) => [name, labels[name] ?? ''])));
      }
    }
  }

  /** The page of /metrics and its content type. */
  async page(): Promise<{ contentType: string; body: string }> {
    return { contentType: this.registry.contentType, body: await this.registry.metrics() };
  }

  #of<T>(kind: ReadonlyMap<string, T>, name: MetricName, labels: Labels = {}): T {
    const metric = kind.get(name);
    const row = this.#rows.get(name);
    if (!metric || !row) throw new RangeError(`${name} is no such metric in src/async/metric-table.ts`);
    const given = Object.keys(labels);
    if (given.length !== row.labels.length || given.some((label) => !row.labels.includes(label))) {
      throw new RangeError(`${name} has the labels {${row.labels.join()}}, not {${given.join()}}`);
    }
    return metric;
  }
}
