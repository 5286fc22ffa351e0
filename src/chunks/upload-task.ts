/** One chunk of the upload queue, and who waits for it. */
import type { Chunk } from '../format/extent.js';
import type { RemoteError } from '../gitee/errors.js';
import type { LineClass, LineTurn, Ticket } from '../line/scheduler.js';
import type { WaitedClass } from './api.js';

export interface Waiter {
  readonly cls: WaitedClass;
  resolve(): void;
  reject(error: Error): void;
}

/** Where a chunk stands among those that nobody waits for. */
export interface EagerPlace {
  readonly cls: Exclude<LineClass, 'waited'>;
  /** The push that it belongs to. */
  readonly group: string;
  /** Gitee has said before that it has the chunk, and had it not. */
  readonly isDoubted?: boolean;
}

export class UploadTask {
  /** Of the call that waits for it; the first one of those in the highest class, where several do. */
  waitedBy = '';
  running = false;
  /** Of its body, while it runs. */
  turn: LineTurn | undefined;
  /** Its place in line; none while it runs, or waits for its own time. */
  ticket: Ticket | undefined;
  attempts = 0;
  /** Why it waits alone, until `againMs` (steady). */
  fault: RemoteError | undefined;
  againMs = 0;
  /** Uploads of this bucket that had succeeded when it began or failed last. */
  seenStored = -1;
  readonly waiters = new Set<Waiter>();

  constructor(
    readonly chunk: Chunk,
    /** Where it stands while nobody waits for it. */
    readonly place: EagerPlace,
  ) {}

  /** Of those who wait for it, the highest; undefined where nobody does. */
  get waitedClass(): WaitedClass | undefined {
    let cls: WaitedClass | undefined;
    for (const waiter of this.waiters) if (cls !== 'waited') cls = waiter.cls;
    return cls;
  }

  leaveLine(): void {
    this.ticket?.cancel();
    this.ticket = undefined;
  }

  resolveAll(): void {
    for (const waiter of [...this.waiters]) waiter.resolve();
  }

  rejectAll(error: Error): void {
    for (const waiter of [...this.waiters]) waiter.reject(error);
  }
}
