/** A gateway that answers from memory, for tests of what stands around it. */
import { Readable } from 'node:stream';
import type { CommitId } from '../../../src/format/ids.js';
import type { AccountAdmin } from '../../../src/auth/accounts/account-admin.js';
import type { NotificationAdmin } from '../../../src/notifications/notifier.js';
import type { QuarantineAdmin, QuarantinedChange } from '../../../src/buckets/quarantine.js';
import type { FsckOptions, FsckStep, Gateway, Problem, ProbeResult } from '../../../src/server/gateway.js';

export class GatewayInMemory implements Gateway {
  readonly calls: string[] = [];
  problemList: Problem[] = [];
  probes: ProbeResult[] = [{ name: 'token', verdict: 'ok', answer: 'it belongs to acme-bot.' }];
  steps: (FsckStep | Error)[] = [{ step: 'journal', figures: { changes: 3 }, problems: [] }];

  async start(): Promise<void> {
    this.calls.push('start');
  }
  async stop(graceMs: number): Promise<void> {
    this.calls.push(`stop ${graceMs}`);
  }
  s3Address() {
    return { host: '127.0.0.1', port: 1 };
  }
  metricsAddress() {
    return { host: '127.0.0.1', port: 2 };
  }
  webAddress() {
    return undefined;
  }
  statuses() {
    return [
      {
        bucket: 'registry',
        repository: 'acme/images',
        branch: 'main',
        head: 'c'.repeat(40) as CommitId,
        pendingChanges: 2,
        oldestPendingMs: 0,
        pendingBytes: 4096,
        quarantinedBytes: 0,
        quarantinedChanges: 0,
        damagedObjects: 0,
        doubtful: undefined,
        unseen: undefined,
        lastLandedMs: undefined,
        paused: { code: 'unauthorized', message: 'gitee.token is refused.', sinceMs: 0 },
        frozen: undefined,
        ready: false,
      },
    ];
  }
  lfsSpace() {
    return { usedBytes: 3 * 1024 ** 3, unsentBytes: 0, quotaBytes: 10 * 1024 ** 3, daysLeft: 12.5 };
  }
  uploadLine() {
    const pace = { pendingBytes: 9 * 1024 ** 2, budgetBytes: 10 * 1024 ** 2 };
    return { uplinkBytesPerSecond: 1024 ** 2, ...pace, waitingBodies: 4, oldestWaitMs: 12_000 };
  }
  localSpace() {
    return {
      unsentBytes: 1024 ** 2,
      graceBytes: 2 * 1024 ** 3,
      graceMaxBytes: 4 * 1024 ** 3,
      cacheBytes: 0,
      cacheMaxBytes: 20 * 1024 ** 3,
    };
  }
  problems() {
    return this.problemList;
  }
  async reload(): Promise<void> {
    this.calls.push('reload');
  }
  async *fsck(options: FsckOptions): AsyncIterable<FsckStep> {
    this.calls.push(`fsck ${JSON.stringify(options)}`);
    for (const step of this.steps) {
      if (step instanceof Error) throw step;
      yield step;
    }
  }
  async rebuild(bucket: string) {
    this.calls.push(`rebuild ${bucket}`);
    return { keys: 7, seconds: 0.5, head: 'd'.repeat(40) };
  }
  async acceptRemote(bucket: string) {
    this.calls.push(`accept-remote ${bucket}`);
    return { previousHead: null, head: 'e'.repeat(40) };
  }
  async previewAccept(bucket: string) {
    this.calls.push(`preview ${bucket}`);
    return {
      ...{
        previousHead: 'c'.repeat(40) as CommitId,
        head: 'e'.repeat(40) as CommitId,
        isWhole: this.isWhole,
      },
      added: { count: 1, some: ['new'] },
      changed: { count: 0, some: [] },
      removed: { count: 12, some: ['a', 'b\n'] },
      pendingChanges: 2,
    };
  }
  /** Of a preview. */
  isWhole = true;
  /** By key; what is written is the key's own text. */
  readonly setAside = new Map<string, QuarantinedChange>();
  /** Keys whose bytes break off in the middle. */
  readonly broken = new Set<string>();
  quarantine(): QuarantineAdmin {
    const { broken, calls, setAside } = this;
    return {
      async *list(bucket) {
        calls.push(`quarantine list ${bucket}`);
        yield* setAside.values();
      },
      async retry(bucket, key) {
        calls.push(`quarantine retry ${bucket} ${key}`);
        const keys = [...setAside.keys()].filter((each) => key === undefined || each === key);
        const left = keys.filter((each) => !setAside.get(each)!.shown);
        for (const each of keys) if (!left.includes(each)) setAside.delete(each);
        return {
          retried: keys.length - left.length,
          left: left.map((each) => ({ key: each, why: 'newer' })),
        };
      },
      async read(_bucket, key) {
        return Readable.from(
          (async function* () {
            yield Buffer.from(key);
            if (broken.has(key)) throw new Error('its bytes are gone');
          })(),
        );
      },
      async drop(bucket, key) {
        calls.push(`quarantine drop ${bucket} ${key}`);
        return setAside.delete(key);
      },
    };
  }
  notifications(): NotificationAdmin {
    throw new Error('notifications are switched off');
  }
  accounts(): AccountAdmin | undefined {
    return undefined;
  }
  async doctor() {
    return this.probes;
  }
}
