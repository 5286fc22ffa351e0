/** One bucket's storage over remotes in memory: opened, killed and opened again as a test asks. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '../../src/async/clock.js';
import { noFailpoints, type Failpoints } from '../../src/async/failpoint.js';
import { silentLog } from '../../src/async/log.js';
import { silentMetrics } from '../../src/async/metrics.js';
import { wholeExtent, type Extent } from '../../src/format/extent.js';
import type { ObjectKey } from '../../src/format/ids.js';
import { mustBePlain } from '../../src/format/object-form.js';
import { isLocalKey, type LayoutRules } from '../../src/format/tree-layout.js';
import { LmdbStore } from '../../src/index/lmdb-store.js';
import type { NewBody, ObjectRecord } from '../../src/index/object-record.js';
import { LmdbChangeLogs } from '../../src/journal/lmdb-change-logs.js';
import { openBucket, type BucketTimings, type OpenBucket } from '../../src/journal/open-bucket.js';
import { MemoryChunks } from './memory-chunks.js';
import { MemoryHeadRemote, MemoryRepository } from './memory-head-remote.js';
import { CONDITION_LIMIT_MS } from './time-limits.js';

export const GENERIC: LayoutRules = {
  preset: 'generic',
  registryRoot: '',
  inlineLimitBytes: 64,
  chunkSizeBytes: 100,
};
export const REGISTRY: LayoutRules = { ...GENERIC, preset: 'registry' };

/** Nothing takes long; what Gitee says three times is final, and what it shows of the branch at once. */
const QUICK = {
  ...{ retryMaxMs: 20, pausedRetryMs: 20, pollMs: 60_000, lagMaxMs: 0 },
  ...{ missingForMs: 0, refusedForMs: 0 },
};

export const key = (text: string) => text as ObjectKey;
export const bytesOf = (text: string) => new TextEncoder().encode(text);
export const signal = new AbortController().signal;

export interface HarnessOptions {
  readonly rules?: LayoutRules;
  readonly timings?: Partial<BucketTimings>;
  readonly repositoryId?: number | (() => Promise<number>);
  readonly branch?: string;
  readonly clock?: Clock;
  readonly isStrictOrder?: boolean;
}

export class JournalBucket {
  readonly fatal: unknown[] = [];
  failpoints: Failpoints = noFailpoints;
  /** Throws where another process has taken over. */
  checkLease: () => void = () => {};
  /** A gateway's remote; a new one for every opening, as for a new process. */
  remote: MemoryHeadRemote;
  bucket!: OpenBucket;
  overlay!: LmdbStore;

  private constructor(
    readonly directory: string,
    readonly repository: MemoryRepository,
    readonly chunks: MemoryChunks,
    readonly options: HarnessOptions,
  ) {
    this.remote = new MemoryHeadRemote(repository);
  }

  /** Makes a bucket on this repository and opens it; start() is left to the test. */
  static async open(
    options: HarnessOptions = {},
    repository = new MemoryRepository(),
  ): Promise<JournalBucket> {
    const directory = await mkdtemp(join(tmpdir(), 'journal-bucket-'));
    const chunks = new MemoryChunks((options.rules ?? GENERIC).chunkSizeBytes);
    const harness = new JournalBucket(directory, repository, chunks, options);
    await harness.reopen();
    return harness;
  }

  get rules(): LayoutRules {
    return this.options.rules ?? GENERIC;
  }

  get state() {
    return this.bucket.state;
  }

  /** Opens the state directory as a new process would. */
  async reopen(): Promise<void> {
    this.overlay = LmdbStore.open(join(this.directory, 'overlay'));
    this.bucket = await openBucket({
      bucket: {
        name: 'bucket',
        repository: 'acme/bucket',
        repositoryId: this.options.repositoryId ?? 7,
        branch: this.options.branch ?? 'master',
        pathPrefix: '',
        layout: this.rules,
        isStrictOrder: this.options.isStrictOrder ?? false,
      },
      stateDirectory: this.directory,
      logs: new LmdbChangeLogs(this.overlay),
      chunks: this.chunks,
      head: this.remote,
      clock: this.options.clock ?? systemClock,
      log: silentLog,
      metrics: silentMetrics,
      failpoints: { hit: (name) => this.failpoints.hit(name) },
      timings: { ...QUICK, ...this.options.timings },
      onFatal: (error) => this.fatal.push(error),
      checkLease: () => this.checkLease(),
    });
  }

  /** Stops without landing anything, as a kill would; the remote of the next process knows nothing. */
  async kill(): Promise<void> {
    await Promise.all([this.bucket.committer.stop(), this.bucket.follower.stop()]);
    await this.bucket.close();
    await this.overlay.close();
    this.remote = new MemoryHeadRemote(this.repository);
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.reopen();
    this.bucket.start();
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Starts and waits for the first look at the branch. */
  async start(): Promise<void> {
    await this.bucket.follower.followOnce(signal);
    this.bucket.start();
  }

  async put(name: string, content: string | Uint8Array, fields: Partial<ObjectRecord> = {}): Promise<number> {
    const bytes = typeof content === 'string' ? bytesOf(content) : content;
    const body: NewBody = mustBePlain(this.rules, key(name), bytes.length)
      ? { kind: 'plain', bytes }
      : { kind: 'extents', extents: this.chunks.cut(bytes).map(wholeExtent) };
    return this.putBody(name, body, bytes.length, fields);
  }

  /** An object of these extents. */
  putExtents(name: string, extents: readonly Extent[]): Promise<number> {
    const sizeBytes = extents.reduce((sum, extent) => sum + extent.lengthBytes, 0);
    return this.putBody(name, { kind: 'extents', extents }, sizeBytes);
  }

  async putBody(
    name: string,
    body: NewBody,
    sizeBytes: number,
    fields: Partial<ObjectRecord> = {},
  ): Promise<number> {
    const { body: _body, ...rest } = fields;
    const object = {
      sizeBytes,
      etag: createHash('md5').update(name).digest('hex'),
      lastModifiedMs: 1_700_000_000_000,
      meta: {},
      ...rest,
      body,
    };
    const local = isLocalKey(this.rules, key(name));
    return (await this.state.append([{ kind: 'put', key: key(name), object }], { local }))!;
  }

  async delete(...names: string[]): Promise<number> {
    const local = isLocalKey(this.rules, key(names[0]!));
    return (await this.state.append(
      names.map((name) => ({ kind: 'delete', key: key(name) })),
      { local },
    ))!;
  }

  /** Waits until the change is on the branch. */
  async landed(seq: number, timeoutMs = CONDITION_LIMIT_MS): Promise<void> {
    if (!(await this.state.waitLanded(seq, { timeoutMs, signal })))
      throw new Error(`change ${seq} did not land: ${JSON.stringify(this.state.status())}`);
  }

  async read(name: string): Promise<string | undefined> {
    const record = await this.state.get(key(name));
    if (!record) return undefined;
    const body = await this.state.openBody(record);
    if (body.kind === 'plain') return Buffer.from(body.bytes).toString();
    const pieces: Uint8Array[] = [];
    for await (const piece of this.chunks.read(body.list, 0, record.sizeBytes))
      pieces.push(piece as Uint8Array);
    return Buffer.concat(pieces).toString();
  }

  async list(): Promise<string[]> {
    const keys: string[] = [];
    let start = '';
    for (;;) {
      const page = await this.state.page(start, undefined, 3);
      keys.push(...page.map((item) => item.key));
      const last = page.at(-1);
      if (!last) return keys;
      start = `${last.key}\0`;
    }
  }

  /** Everything that fsck finds. */
  async problems(deep = true): Promise<string[]> {
    const steps = await this.bucket.check({ deep, chunkRemote: this.chunks });
    return steps.flatMap((step) => step.problems.map((problem) => `${step.name}: ${problem}`));
  }

  /** Objects in the tree at the head: path to text, without what is the bucket's own. */
  tree(): Map<string, string> {
    const own = (path: string) => path === '.gitattributes' || path.startsWith('.gateway/');
    return new Map([...this.repository.texts()].filter(([path]) => !own(path)));
  }
}
