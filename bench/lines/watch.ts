import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { LineNetwork } from './network.js';

const METRICS_URL = 'http://127.0.0.1:9464/metrics';
const SAMPLE_MS = 1_000;

export interface Sample {
  readonly seconds: number;
  /** What left the wire, each way, headers included. */
  readonly toGiteeBytes: number;
  readonly toServerBytes: number;
  readonly metrics: ReadonlyMap<string, number>;
}

/** What the gateway says of itself and what the wire carried, every second. */
export class GatewayWatch {
  readonly samples: Sample[] = [];
  readonly #late = monitorEventLoopDelay({ resolution: 50 });
  readonly #startedMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #base: { toGitee: number; toServer: number } | undefined;

  constructor(private readonly network: LineNetwork) {}

  async start(): Promise<void> {
    this.#base = await this.network.bytes();
    this.#late.enable();
    this.#timer = setInterval(() => {
      this.#running ??= this.#sample().finally(() => (this.#running = undefined));
    }, SAMPLE_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
    await this.#sample();
  }

  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  /** The longest time by which a timer of this process was late: the machine had no processor for it. */
  get machineLateSeconds(): number {
    return Math.max(0, this.#late.max / 1e9 - 0.05);
  }

  get last(): Sample | undefined {
    return this.samples.at(-1);
  }

  /** The highest value that a metric had. */
  peak(metric: string): number {
    return Math.max(0, ...this.samples.map((sample) => sample.metrics.get(metric) ?? 0));
  }

  /** One line a second, for a table or a plot. */
  get table(): string {
    const names = [
      'gateway_spool_unsent_bytes',
      'gateway_spool_unsent_chunks',
      'gateway_uplink_bytes_per_second',
      ...new Set(
        this.samples.flatMap((sample) =>
          [...sample.metrics.keys()].filter((name) =>
            /line|budget|admission|lfs_requests|gitee_errors/.test(name),
          ),
        ),
      ),
    ];
    return [
      ['seconds', 'to_gitee', 'to_server', ...names].join('\t'),
      ...this.samples.map((sample) =>
        [
          sample.seconds.toFixed(1),
          sample.toGiteeBytes,
          sample.toServerBytes,
          ...names.map((name) => sample.metrics.get(name) ?? ''),
        ].join('\t'),
      ),
      '',
    ].join('\n');
  }

  async #sample(): Promise<void> {
    const wire = await this.network.bytes().catch(() => this.#base!);
    const metrics = await readMetrics();
    this.samples.push({
      seconds: this.seconds,
      toGiteeBytes: wire.toGitee - this.#base!.toGitee,
      toServerBytes: wire.toServer - this.#base!.toServer,
      metrics,
    });
  }
}

/** Metrics by name, and with labels as they stand on the page; empty where the gateway does not answer. */
export async function readMetrics(): Promise<ReadonlyMap<string, number>> {
  const metrics = new Map<string, number>();
  const answer = await fetch(METRICS_URL, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
  const text = (await answer?.text().catch(() => undefined)) ?? '';
  for (const match of text.matchAll(/^(gateway_[^\s]+) (\S+)$/gm)) metrics.set(match[1]!, Number(match[2]));
  return metrics;
}
