/**
 * Sends audit lines to a syslog server: RFC 5424, over UDP (RFC 5426), TCP with octet counting (RFC 6587 §3.4.1)
 * or a local socket. What waits is bounded and what is lost is counted: the file is the log, this is its copy
 * where nobody who owns this machine can reach it.
 */
import { hostname } from 'node:os';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { AuditRecord } from './record.js';
import { syslogMessage, type SyslogMessage } from './syslog-message.js';
import { connectSyslog, type SyslogConnection } from './syslog-transport.js';

export interface SyslogDeps {
  /** `udp://host:port`, `tcp://host:port` or `unix:///path`. */
  readonly url: string;
  /** Messages that wait while the server is away. Default 10,000. */
  readonly queueMax?: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

const RETRY_MAX_MS = 30_000;
/** One sender; send() from the audit log, in order. */
export class SyslogSender {
  readonly #queue: SyslogMessage[] = [];
  readonly #queueMax: number;
  readonly #stop = new AbortController();
  readonly #host = hostname();
  #connection: SyslogConnection | undefined;
  #running: Promise<void> | undefined;
  #failures = 0;

  constructor(private readonly deps: SyslogDeps) {
    this.#queueMax = deps.queueMax ?? 10_000;
  }

  send(record: AuditRecord, line: string): void {
    if (this.#queue.length >= this.#queueMax || this.#stop.signal.aborted) {
      this.#drop(1);
      return;
    }
    this.#queue.push(syslogMessage(record, line, this.#host, process.pid));
    this.#running ??= this.#drain().finally(() => {
      this.#running = undefined;
    });
  }

  /** Tries once to send what waits, within graceMs; drops the rest. */
  async close(graceMs: number): Promise<void> {
    const timer = setTimeout(() => this.#stop.abort(new Error('syslog closes')), graceMs);
    // Where the server is away there is nothing to wait for.
    if (this.#failures > 0) this.#stop.abort(new Error('syslog closes'));
    await this.#running;
    clearTimeout(timer);
    this.#stop.abort(new Error('syslog closes'));
    await this.#connection?.close();
    if (this.#queue.length > 0) this.#drop(this.#queue.length);
  }

  async #drain(): Promise<void> {
    const { signal } = this.#stop;
    while (this.#queue.length > 0 && !signal.aborted) {
      try {
        this.#connection ??= await connectSyslog(this.deps.url, signal);
        await this.#connection.send(this.#queue[0]!, signal);
        this.#queue.shift();
        if (this.#failures > 0) this.deps.log.info('syslog takes messages again');
        this.#failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        await this.#connection?.close();
        this.#connection = undefined;
        if (this.#failures === 0) this.deps.log.warn('syslog cannot be reached; messages wait', { error });
        this.#failures += 1;
        const waitMs = Math.min(RETRY_MAX_MS, 500 * 2 ** Math.min(this.#failures, 10));
        await this.deps.clock.sleep(waitMs, signal).catch(() => {}); // the stop: seen by the loop
      }
    }
  }

  #drop(messages: number): void {
    this.deps.metrics.count('gateway_audit_dropped_total', { where: 'syslog' }, messages);
  }
}
