import { dirname, resolve } from 'node:path';
import type { Audit } from '../async/audit.js';
import { AuditLog } from '../audit/audit-log.js';
import { FloodGuard } from '../audit/flood-guard.js';
import { SyslogSender } from '../audit/syslog.js';
import type { Lease } from '../journal/lease.js';
import { FileLease } from '../journal/state-lock.js';
import type { Config } from './config/config.js';
import type { GatewayParts } from './gateway.js';

const SYSLOG_GRACE_MS = 2000;

/** The audit log of one gateway with what stands around it. */
export class AuditParts {
  /** For logins and the like: what was refused anybody can cause, the rest is recorded one by one. */
  readonly summarised: Audit = {
    record: (event) => (event.result === 'refused' ? this.guarded : this.log).record(event),
  };

  private constructor(
    readonly log: AuditLog,
    /** For events that anybody can cause: a flood of them is summarised. */
    readonly guarded: FloodGuard,
    private readonly syslog: SyslogSender | undefined,
    private readonly lease: FileLease | undefined,
  ) {}

  /** The caller holds the lease of the state directory. Rejects where another gateway writes to the directory. */
  static async open(config: Config, parts: GatewayParts, stateLease: Lease): Promise<AuditParts> {
    const { clock, log, metrics } = parts;
    const { keepDays, fileMaxBytes, syslog: url } = config.audit;
    const directory = config.audit.directory;
    const lease =
      dirname(directory) === resolve(config.stateDir)
        ? undefined
        : new FileLease(directory, clock, parts.onLeaseLost);
    await lease?.acquire();
    try {
      const syslog = url === undefined ? undefined : new SyslogSender({ url, clock, log, metrics });
      const audit = await AuditLog.open({
        ...{ directory, keepDays, fileMaxBytes, clock, log, metrics },
        checkLease: () => (lease ?? stateLease).check(),
        ...(syslog ? { onRecord: (record, line) => syslog.send(record, line) } : {}),
      });
      return new AuditParts(audit, new FloodGuard(audit, clock), syslog, lease);
    } catch (error) {
      await lease?.release();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.guarded.flush();
    await this.log.close();
    await this.syslog?.close(SYSLOG_GRACE_MS);
    await this.lease?.release();
  }
}
