import { FairShare, type Claim } from './fair-queue.js';

/**
 * Bodies below this size count as small: they are bound by round trips and not by bytes. A piece of a large object is
 * never smaller where a slow line cuts it small (admission.ts), but for its end.
 */
export const SMALL_BYTES = 1024 * 1024;

export interface QueuedJob {
  readonly bytes: number;
  /** What stands behind its like of any size: it has failed before. */
  readonly isSuspect: boolean;
}

/** One bucket's uploads. */
export interface LineSource {
  readonly name: string;
  /** False while it rests after a failure, or is paused. */
  isReady(): boolean;
}

/** What has left the queue. */
export interface Next<Job> {
  readonly source: LineSource;
  readonly group: string;
  readonly job: Job;
}

type May = (source: LineSource) => boolean;

interface Queued<Job> {
  readonly job: Job;
  readonly sinceMs: number;
}

interface Group<Job> extends Claim {
  readonly name: string;
  readonly small: Set<Queued<Job>>;
  readonly large: Set<Queued<Job>>;
  /** Small ones since the last large one: endless small ones starve no large one. */
  smallBytes: number;
}

interface SourceQueue<Job> extends Claim {
  readonly source: LineSource;
  readonly groups: Map<string, Group<Job>>;
  readonly share: FairShare;
}

/**
 * What waits within one class: buckets share alike, within a bucket the groups (one call that waits, one push)
 * share alike, and small ones go first.
 *
 * Invariant 5. Memory is bounded: an entry per queued upload, no bytes.
 */
export class LineQueue<Job extends QueuedJob> {
  readonly #share = new FairShare();
  readonly #sources = new Map<LineSource, SourceQueue<Job>>();

  /** Takes its place; returns what leaves it, which says whether it was still there. */
  add(source: LineSource, groupName: string, job: Job, sinceMs: number): () => boolean {
    let queue = this.#sources.get(source);
    if (!queue) {
      queue = { tag: this.#share.begin(), source, groups: new Map(), share: new FairShare() };
      this.#sources.set(source, queue);
    }
    let group = queue.groups.get(groupName);
    if (!group) {
      group = {
        ...{ tag: queue.share.begin(), name: groupName },
        ...{ small: new Set(), large: new Set(), smallBytes: 0 },
      };
      queue.groups.set(groupName, group);
    }
    const queued: Queued<Job> = { job, sinceMs };
    const set = job.bytes < SMALL_BYTES && !job.isSuspect ? group.small : group.large;
    set.add(queued);
    const [inQueue, inGroup] = [queue, group];
    return () => {
      if (!set.delete(queued)) return false;
      this.#tidy(inQueue, inGroup);
      return true;
    };
  }

  /** Something waits here of a source that may. */
  has(may: May): boolean {
    for (const { source } of this.#sources.values()) if (may(source)) return true;
    return false;
  }

  /** Since when the one waits that has waited longest, of sources that may. */
  oldestMs(may: May): number | undefined {
    let oldest: number | undefined;
    for (const { source, groups } of this.#sources.values()) {
      if (!may(source)) continue;
      for (const { small, large } of groups.values())
        for (const set of [small, large]) {
          const sinceMs = first(set)?.sinceMs;
          if (sinceMs !== undefined && (oldest === undefined || sinceMs < oldest)) oldest = sinceMs;
        }
    }
    return oldest;
  }

  /** Takes out what comes next, of sources that may. */
  next(may: May): Next<Job> | undefined {
    const queue = this.#share.next(this.#sources.values(), ({ source }) => may(source));
    if (!queue) return undefined;
    return this.#take(
      queue,
      queue.share.next(queue.groups.values(), () => true)!,
      false,
    );
  }

  /** As next, of small ones only. */
  nextSmall(may: (source: LineSource, group: string) => boolean): Next<Job> | undefined {
    const mayGroup = ({ source }: SourceQueue<Job>, { name, small }: Group<Job>) =>
      small.size > 0 && may(source, name);
    const queue = this.#share.next(this.#sources.values(), (one) => {
      for (const group of one.groups.values()) if (mayGroup(one, group)) return true;
      return false;
    });
    if (!queue) return undefined;
    const group = queue.share.next(queue.groups.values(), (one) => mayGroup(queue, one))!;
    return this.#take(queue, group, true);
  }

  #take(queue: SourceQueue<Job>, group: Group<Job>, onlySmall: boolean): Next<Job> {
    const { job } = take(group, onlySmall);
    this.#share.serve(queue, job.bytes, this.#sources.values());
    queue.share.serve(group, job.bytes, queue.groups.values());
    this.#tidy(queue, group);
    return { source: queue.source, group: group.name, job };
  }

  #tidy(queue: SourceQueue<Job>, group: Group<Job>): void {
    if (group.small.size + group.large.size > 0) return;
    if (queue.groups.get(group.name) === group) queue.groups.delete(group.name);
    if (queue.groups.size === 0 && this.#sources.get(queue.source) === queue)
      this.#sources.delete(queue.source);
  }
}

function take<Job extends QueuedJob>(group: Group<Job>, onlySmall: boolean): Queued<Job> {
  const large = first(group.large);
  const small = first(group.small);
  const isSmall = small && (onlySmall || !large || group.smallBytes < large.job.bytes);
  if (isSmall) {
    group.small.delete(small);
    group.smallBytes += small.job.bytes;
    return small;
  }
  group.large.delete(large!);
  group.smallBytes = 0;
  return large!;
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const item of set) return item;
  return undefined;
}
