import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import type { AuditAction, AuditEvent } from '../../../src/async/audit.js';
import type { Clock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { AuditLog, type AuditLogDeps } from '../../../src/audit/audit-log.js';

export const DAY_MS = 86_400_000;

/** Time stands still until a test moves it; a sleep takes no time. */
export class TestClock implements Clock {
  constructor(public ms = Date.parse('2026-11-24T10:00:00Z')) {}

  nowMs(): number {
    return this.ms;
  }

  steadyMs(): number {
    return this.ms;
  }

  async sleep(_ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** An audit directory of its own, with the log that is open on it. */
export class TestAudit {
  readonly clock = new TestClock();

  private constructor(readonly directory: string) {}

  static async make(): Promise<TestAudit> {
    return new TestAudit(await mkdtemp(path.join(tmpdir(), 'audit-')));
  }

  open(options: Partial<AuditLogDeps> = {}): Promise<AuditLog> {
    return AuditLog.open({
      directory: this.directory,
      keepDays: 190,
      fileMaxBytes: 1024 ** 2,
      clock: this.clock,
      log: silentLog,
      metrics: silentMetrics,
      ...options,
    });
  }

  /** Opens, records, closes: one run of a gateway. */
  async write(...events: readonly AuditEvent[]): Promise<void> {
    const log = await this.open();
    for (const event of events) await log.record(event);
    await log.close();
  }

  async files(): Promise<string[]> {
    return (await readdir(this.directory)).sort();
  }

  async lines(file: string): Promise<string[]> {
    const text = await readFile(path.join(this.directory, file), 'utf8');
    return text.split('\n').slice(0, -1);
  }

  path(file: string): string {
    return path.join(this.directory, file);
  }

  remove(): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }
}

/** Of whatever action: the log keeps those of other versions, too. */
export const event = (action: string, over: Partial<AuditEvent> = {}): AuditEvent => ({
  who: 'alice',
  action: action as AuditAction,
  subject: 'acme/app:1',
  from: '192.0.2.7',
  result: 'ok',
  ...over,
});
