/**
 * The audit log: an append-only chain of hashes in files of one day each. It keeps two promises to its reporters:
 * an event that was recorded is in the file when the promise resolves (on the disk within a second), and a log
 * that cannot be written keeps nobody from working: what waits is bounded, what is lost is counted, and once the
 * file takes lines again the loss stands in the chain.
 */
import { mkdir, rm } from 'node:fs/promises';
import { syncDirectory } from '../disk/durable.js';
import type { Audit, AuditAction, AuditEvent } from '../async/audit.js';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import { Semaphore } from '../async/semaphore.js';
import { readAnchor, writeAnchor } from './anchor.js';
import { ChainFile } from './chain-file.js';
import { chain, cleanEvent, encodeLine, type AuditRecord, type UnchainedRecord } from './record.js';
import { recoverEnd, type ChainEnd } from './recovery.js';
import { planRetirement } from './retirement.js';

export interface AuditLogDeps {
  readonly directory: string;
  readonly keepDays: number;
  readonly fileMaxBytes: number;
  /** Events that wait while nothing can be written. Default 50,000: fifty requests that delete 1,000 keys each. */
  readonly queueMax?: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Told of every line that is in the file, in order. */
  readonly onRecord?: (record: AuditRecord, line: string) => void;
  /** Throws where another process has taken over the directory: two writers would break the chain. */
  readonly checkLease?: () => void;
}

export interface ChainHead {
  readonly seq: number;
  readonly hash: string;
}

interface Waiting {
  readonly record: UnchainedRecord;
  readonly resolve: () => void;
}

const BATCH_MAX = 500;
const SYNC_MS = 1000;
const RETRY_MS = 1000;
const HEAD_LOG_MS = 3600_000;
const DAY_MS = 86_400_000;

/** One per directory; the caller sees to that. */
export class AuditLog implements Audit {
  readonly #queue: Waiting[] = [];
  readonly #queueMax: number;
  /** One at a time works on the file. */
  readonly #file_ = new Semaphore(1);
  readonly #stop = new AbortController();
  #file: ChainFile | undefined;
  #head: ChainHead;
  #running: Promise<void> | undefined;
  #syncTimer: NodeJS.Timeout | undefined;
  #timers: NodeJS.Timeout[] = [];
  #dropped = 0;
  #isFailing = false;

  private constructor(
    private readonly deps: AuditLogDeps,
    end: ChainEnd,
    file: ChainFile | undefined,
  ) {
    this.#queueMax = deps.queueMax ?? 50_000;
    this.#head = { seq: end.seq, hash: end.hash };
    this.#file = file;
    deps.metrics.set('gateway_audit_events', end.seq);
  }

  /** Goes on with the chain that is there. Rejects with the system's error. */
  static async open(deps: AuditLogDeps): Promise<AuditLog> {
    await mkdir(deps.directory, { recursive: true, mode: 0o700 });
    const end = await recoverEnd(deps.directory);
    const file = end.segment && (await ChainFile.takeOver(deps.directory, end.segment, end.sizeBytes));
    const log = new AuditLog(deps, end, file);
    for (const piece of end.aside) {
      deps.log.error('the audit log did not end with a whole line: what was there is put aside', {
        ...piece,
      });
      const { from, to, sizeBytes } = piece;
      await log.record(own('audit.recover', { file: from, aside: to, bytes: sizeBytes }));
    }
    return log;
  }

  /** The last line: whoever noted it elsewhere can tell later whether the end of the log was cut off. */
  get head(): ChainHead {
    return this.#head;
  }

  /** Begins to say the head every hour and to delete what is old. */
  start(): void {
    this.#logHead();
    void this.retire();
    this.#timers = [
      setInterval(() => this.#logHead(), HEAD_LOG_MS),
      // Not only when a file is begun: a quiet log ages too.
      setInterval(() => void this.retire(), DAY_MS),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  record(event: AuditEvent): Promise<void> {
    const { clock, metrics } = this.deps;
    if (this.#queue.length >= this.#queueMax || this.#stop.signal.aborted) {
      this.#dropped += 1;
      metrics.count('gateway_audit_dropped_total', { where: 'file' });
      return Promise.resolve();
    }
    const record = cleanEvent(event, clock.nowMs());
    return new Promise((resolve) => {
      this.#queue.push({ record, resolve });
      this.#running ??= this.#drain();
    });
  }

  /**
   * Deletes files whose day ended more than `keepDays` ago. The chain says first where it begins from then on, so
   * that files that are missing for another reason are noticed. Never rejects.
   */
  async retire(): Promise<void> {
    const { directory, keepDays, clock, log } = this.deps;
    try {
      const plan = await planRetirement(directory, clock.nowMs() - keepDays * DAY_MS);
      if (!plan || this.#isFailing) return;
      const { firstSeq, firstPrev, files } = plan;
      const before = await readAnchor(directory).catch(() => undefined);
      if (before?.firstSeq !== firstSeq)
        await this.record(own('audit.retire', { firstSeq, firstPrev, files: files.length, keepDays }));
      await this.sync();
      await writeAnchor(directory, { firstSeq, firstPrev });
      for (const { path } of files) await rm(path);
      await syncDirectory(directory);
      log.info('old files of the audit log are deleted', { files: files.length, firstSeq, keepDays });
    } catch (error) {
      log.error('old files of the audit log could not be deleted', { error });
    }
  }

  /** fsync of what was written. Never rejects. */
  async sync(): Promise<void> {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    await this.#file_.run(async () => {
      try {
        await this.#file?.sync();
      } catch (error) {
        this.#failed('the audit log could not be synced', error);
      }
    });
  }

  /** Writes what waits, tries a failing file once more, and closes. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#stop.abort(new Error('the audit log closes'));
    await this.#running;
    if (this.#timers.length > 0) this.#logHead();
    await this.sync();
    await this.#file_.run(async () => {
      try {
        await this.#file?.close();
      } catch (error) {
        this.#failed('the audit log could not be closed in order', error);
      }
      this.#file = undefined;
    });
  }

  async #drain(): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (this.#queue.length > 0) {
        if (await this.#file_.run(() => this.#writeBatch())) continue;
        // Nobody waits for a disk that is full; the events stay here.
        for (const { resolve } of this.#queue) resolve();
        if (signal.aborted) return this.#giveUp();
        await this.deps.clock.sleep(RETRY_MS, signal).catch(() => {}); // the stop: one more try
      }
    } finally {
      // In the same step that found the queue empty: an event of the next step begins a new round.
      this.#running = undefined;
    }
  }

  #giveUp(): void {
    const { log, metrics } = this.deps;
    log.error('audit events are lost: the log cannot be written', { events: this.#queue.length });
    metrics.count('gateway_audit_dropped_total', { where: 'file' }, this.#queue.length);
    this.#queue.length = 0;
  }

  /** False where nothing could be written; the batch then still waits. */
  async #writeBatch(): Promise<boolean> {
    const { clock, metrics, onRecord } = this.deps;
    const dropped = this.#dropped;
    const batch = this.#queue.slice(0, BATCH_MAX);
    const events = batch.map(({ record }) => record);
    if (dropped > 0)
      events.unshift(cleanEvent(own('audit.drop', { events: dropped }, 'failed'), clock.nowMs()));
    const records: AuditRecord[] = [];
    let head = this.#head;
    for (const event of events) {
      const record: AuditRecord = chain(event, head);
      records.push(record);
      head = record;
    }
    const lines = records.map(encodeLine);
    try {
      this.deps.checkLease?.();
      let file = this.#fileOfToday();
      if (!file) {
        file = await this.#nextFile(records[0]!);
        // That took a while.
        this.deps.checkLease?.();
      }
      await file.append(Buffer.from(lines.join(''), 'utf8'));
    } catch (error) {
      this.#failed('the audit log could not be written; it is tried again every second', error);
      return false;
    }
    this.#isFailing = false;
    this.#head = { seq: head.seq, hash: head.hash };
    this.#dropped -= dropped;
    this.#queue.splice(0, batch.length);
    metrics.set('gateway_audit_events', head.seq);
    this.#syncTimer ??= setTimeout(() => void this.sync(), SYNC_MS);
    for (const { resolve } of batch) resolve();
    records.forEach((record, i) => onRecord?.(record, lines[i]!.trimEnd()));
    return true;
  }

  /** undefined where it is not there yet, or full. */
  #fileOfToday(): ChainFile | undefined {
    const file = this.#file;
    return file && file.day === this.#today() && file.sizeBytes < this.deps.fileMaxBytes ? file : undefined;
  }

  async #nextFile(first: AuditRecord): Promise<ChainFile> {
    const old = this.#file;
    if (old) {
      await old.sync();
      this.#file = undefined;
      await old.close();
    }
    this.#file = await ChainFile.create(this.deps.directory, this.#today(), first.seq);
    return this.#file;
  }

  #today(): string {
    return new Date(this.deps.clock.nowMs()).toISOString().slice(0, 10);
  }

  #failed(message: string, error: unknown): void {
    const { log, metrics } = this.deps;
    metrics.count('gateway_audit_write_failures_total');
    // Once per outage, not once per second of it.
    if (!this.#isFailing) log.error(message, { error });
    this.#isFailing = true;
  }

  #logHead(): void {
    this.deps.log.info('audit head', { ...this.#head });
  }
}

function own(
  action: AuditAction,
  detail: AuditEvent['detail'] & object,
  result: AuditEvent['result'] = 'ok',
): AuditEvent {
  return { who: 'gateway', action, subject: '', from: 'local', result, detail };
}
