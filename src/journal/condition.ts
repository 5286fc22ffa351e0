/** Whether a bucket can be read, written and committed, and why not. */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { RemoteError } from '../gitee/errors.js';
import type { CommitId } from '../format/ids.js';
import { StorageError } from '../index/errors.js';
import type { Freeze, FreezeCode, LogIdentity } from './change-log.js';

/** Who met the error: a fetch that works again says nothing of pushes. */
export type PauseSource = 'fetch' | 'commit';

export interface Pause {
  readonly code: string;
  readonly message: string;
  readonly sinceMs: number;
}

export class Condition {
  readonly #pauses = new Map<PauseSource, Pause>();

  constructor(
    private readonly bucket: string,
    private readonly identity: LogIdentity,
    private readonly deps: { clock: Clock; log: Log; metrics: Metrics },
  ) {
    deps.metrics.set('gateway_bucket_frozen', identity.frozen ? 1 : 0, { bucket });
  }

  get paused(): Pause | undefined {
    return this.#pauses.get('commit') ?? this.#pauses.get('fetch');
  }

  get frozen(): Freeze | undefined {
    return this.identity.frozen;
  }

  /** @throws StorageError read-only. */
  checkWritable(): void {
    const { frozen } = this.identity;
    if (frozen)
      throw new StorageError('read-only', `the bucket is read-only until accept-remote: ${frozen.reason}`);
  }

  pause(source: PauseSource, error: RemoteError): void {
    const before = this.#pauses.get(source);
    if (before?.code === error.code) return;
    this.resume(source);
    const { code, message } = error;
    this.#pauses.set(source, { code, message, sinceMs: this.deps.clock.nowMs() });
    this.deps.metrics.set('gateway_bucket_paused', 1, { bucket: this.bucket, cause: code });
    this.deps.log.error('nothing lands on Gitee until this is mended; nothing is lost', {
      bucket: this.bucket,
      cause: code,
      problem: message,
      detail: error.detail,
    });
  }

  resume(source: PauseSource): void {
    const before = this.#pauses.get(source);
    if (!before) return;
    this.#pauses.delete(source);
    this.deps.metrics.set('gateway_bucket_paused', 0, { bucket: this.bucket, cause: before.code });
    this.deps.log.info('goes on after a pause', { bucket: this.bucket, cause: before.code });
  }

  /** Read-only from now on, also after a restart. */
  async freeze(code: FreezeCode, reason: string, head: CommitId | null): Promise<void> {
    if (this.identity.frozen?.code === code && this.identity.frozen.head === head) return;
    const sinceMs = this.identity.frozen?.sinceMs ?? this.deps.clock.nowMs();
    await this.identity.setFrozen({ code, reason, sinceMs, head });
    this.deps.metrics.set('gateway_bucket_frozen', 1, { bucket: this.bucket });
    this.deps.log.error('the bucket is read-only until an operator runs accept-remote', {
      bucket: this.bucket,
      cause: code,
      reason,
    });
  }

  async thaw(): Promise<void> {
    if (!this.identity.frozen) return;
    await this.identity.setFrozen(undefined);
    this.deps.metrics.set('gateway_bucket_frozen', 0, { bucket: this.bucket });
    this.deps.log.info('the bucket is writable again', { bucket: this.bucket });
  }
}
