/** Buckets in one process that are directories of one branch on local Gitee: git is the real one, the LFS store is not. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/async/clock.js';
import { noFailpoints } from '../../src/async/failpoint.js';
import { silentLog } from '../../src/async/log.js';
import { silentMetrics } from '../../src/async/metrics.js';
import { retry } from '../../src/async/retry.js';
import type { CommitId } from '../../src/format/ids.js';
import { GitBranch } from '../../src/gitee/git/git-branch.js';
import { GitHeadRemote } from '../../src/gitee/git/git-head-remote.js';
import { createDispatcher } from '../../src/gitee/http/dispatcher.js';
import { LmdbStore } from '../../src/index/lmdb-store.js';
import { LmdbChangeLogs } from '../../src/journal/lmdb-change-logs.js';
import { InStep } from '../../src/journal/in-step.js';
import { openBucket, type OpenBucket } from '../../src/journal/open-bucket.js';
import { git, GitServerRepository } from './git-server-repository.js';
import { GENERIC, key, signal } from './journal-bucket.js';
import { LatePushes } from './late-pushes.js';
import type { RunningLocalGitee } from './local-gitee.js';
import { MemoryChunks } from './memory-chunks.js';
import { CONDITION_LIMIT_MS, limitMs } from './time-limits.js';

let made = 0;

/** A commit of the branch as the server has it. */
export interface ServerCommit {
  readonly id: string;
  readonly parent: string | null;
  readonly trailers: ReadonlyMap<string, string>;
  readonly paths: readonly string[];
}

export class SharedBranch {
  buckets: OpenBucket[] = [];
  readonly fatal: unknown[] = [];
  /** In the order of the buckets. */
  readonly remotes: GitHeadRemote[] = [];
  #overlay!: LmdbStore;
  #open!: (name: string) => Promise<OpenBucket>;
  #isRemoved = false;

  private constructor(
    readonly names: readonly string[],
    /** Its name on local Gitee. */
    readonly repository: string,
    readonly directory: string,
    readonly url: string,
    readonly token: string,
    readonly server: GitServerRepository,
    readonly http: LatePushes,
  ) {}

  /** @param repository fields of the repository on local Gitee */
  static async open(
    gitee: RunningLocalGitee,
    names: readonly string[],
    repository: Record<string, unknown> = {},
  ): Promise<SharedBranch> {
    made += 1;
    const name = `shared-${made}`;
    const collaborators = { gateway: 'push' };
    await gitee.admin('repositories', {
      owner: 'acme',
      name,
      enterprise: true,
      collaborators,
      ...repository,
    });
    const shared = new SharedBranch(
      names,
      name,
      await mkdtemp(join(tmpdir(), 'shared-branch-')),
      `${gitee.url}/acme/${name}.git`,
      gitee.token,
      new GitServerRepository(join(gitee.dataDir, 'repositories', 'acme', `${name}.git`), 'master'),
      new LatePushes({
        dispatcher: createDispatcher({ connectTimeoutMs: limitMs(10_000), env: {} }),
        userAgent: 'test',
      }),
    );
    await shared.reopen();
    return shared;
  }

  /** Opens all of it as a new process would. */
  async reopen(): Promise<void> {
    this.#overlay = LmdbStore.open(join(this.directory, 'overlay'));
    const branch = new GitBranch({
      http: this.http,
      url: this.url,
      branch: 'master',
      directory: join(this.directory, 'git'),
      token: { current: () => this.token, reload: async () => false },
      identity: { name: 'Gateway', email: 'gateway@example.com' },
      gatewayId: 'gw-1',
      ...{ clock: systemClock, log: silentLog, metrics: silentMetrics, failpoints: noFailpoints },
    });
    const step = new InStep(systemClock);
    const remoteOf = (name: string) => {
      const remote = new GitHeadRemote({ pathPrefix: `buckets/${name}`, keyCount: () => 0 }, branch);
      this.remotes.push(remote);
      return remote;
    };
    this.#open = async (name) =>
      openBucket({
        bucket: {
          ...{ name, repository: 'acme/shared', repositoryId: 7, branch: 'master' },
          pathPrefix: `buckets/${name}`,
          layout: GENERIC,
        },
        stateDirectory: this.directory,
        logs: new LmdbChangeLogs(this.#overlay),
        chunks: new MemoryChunks(GENERIC.chunkSizeBytes),
        head: remoteOf(name),
        step,
        ...{ clock: systemClock, log: silentLog, metrics: silentMetrics, failpoints: noFailpoints },
        // Nothing is committed by its age: tests say when.
        timings: { retryMaxMs: 20, pausedRetryMs: 20, lagMaxMs: 0, maxAgeMs: 3_600_000, pollMs: 3_600_000 },
        onFatal: (error) => this.fatal.push(error),
      });
    this.buckets = [];
    for (const name of this.names) await this.add(name);
  }

  /** Opens one more, as the last of them; until the next reopen(). */
  async add(name: string): Promise<OpenBucket> {
    const bucket = await this.#open(name);
    this.buckets.push(bucket);
    return bucket;
  }

  /** Looks at the branch once for each, then starts them all. */
  async start(): Promise<void> {
    await this.look();
    for (const bucket of this.buckets) bucket.start();
  }

  async look(): Promise<void> {
    await Promise.all(this.buckets.map(({ follower }) => follower.followOnce(signal)));
  }

  /** Stops without landing anything, as a kill would. */
  async kill(): Promise<void> {
    const buckets = this.buckets.splice(0);
    for (const { committer, follower } of buckets) await Promise.all([committer.stop(), follower.stop()]);
    for (const bucket of buckets) await bucket.close();
    for (const remote of this.remotes.splice(0)) await remote.close();
    await this.#overlay.close();
  }

  /** May be called again. */
  async remove(): Promise<void> {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    await this.kill();
    await this.http.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** A commit of somebody else, while the buckets may push. */
  async byHand(files: Record<string, string>): Promise<void> {
    await retry(() => this.server.commit(files), {
      ...{ attempts: 20, baseMs: 20, maxMs: 500, clock: systemClock },
      isRetryable: () => true,
    });
  }

  /** Small enough for a file of the tree. */
  async put(at: number, name: string, content: string): Promise<number> {
    const bytes = Buffer.from(content);
    const object = {
      sizeBytes: bytes.length,
      etag: createHash('md5').update(bytes).digest('hex'),
      lastModifiedMs: 1_700_000_000_000,
      meta: {},
      body: { kind: 'plain' as const, bytes },
    };
    return (await this.buckets[at]!.state.append([{ kind: 'put', key: key(name), object }]))!;
  }

  async delete(at: number, name: string): Promise<number> {
    return (await this.buckets[at]!.state.append([{ kind: 'delete', key: key(name) }]))!;
  }

  async read(at: number, name: string): Promise<string | undefined> {
    const { state } = this.buckets[at]!;
    const record = await state.get(key(name));
    const body = record && (await state.openBody(record));
    return body?.kind === 'plain' ? Buffer.from(body.bytes).toString() : undefined;
  }

  /** Commits what waits in these buckets, begun at the same moment. */
  async land(...at: number[]): Promise<void> {
    const landed = await Promise.all(
      at.map((each) => this.buckets[each]!.settle({ timeoutMs: CONDITION_LIMIT_MS, signal })),
    );
    if (landed.includes(false)) throw new Error('not all of it landed');
  }

  /** Of the bucket on the server: key to content, without what is the bucket's own. */
  async tree(at: number): Promise<Map<string, string>> {
    const lead = `buckets/${this.names[at]}/`;
    const files = [...(await this.server.files())].filter(([path]) => path.startsWith(lead));
    return new Map(
      files
        .map(([path, text]) => [path.slice(lead.length), text] as const)
        .filter(([path]) => !path.startsWith('.')),
    );
  }

  /** Oldest first. */
  async commits(): Promise<ServerCommit[]> {
    if ((await this.server.head()) === null) return [];
    const text = await git(this.server.directory, [
      ...['log', '--reverse', '--name-only', '-m', '--first-parent', '--root'],
      ...['--format=%x01%H%x02%P%x02%(trailers:only,unfold)%x02', `refs/heads/${this.server.branch}`],
    ]);
    return text
      .split('\x01')
      .slice(1)
      .map((commit) => {
        const [id, parents, trailers, paths] = commit.split('\x02') as [string, string, string, string];
        const pairs = trailers.split('\n').flatMap((line) => {
          const match = /^([^:]+): (.*)$/.exec(line);
          return match ? [[match[1]!, match[2]!] as const] : [];
        });
        return {
          id,
          parent: parents.split(' ')[0] || null,
          trailers: new Map(pairs),
          paths: paths.split('\n').filter((path) => path !== ''),
        };
      });
  }

  get head(): Promise<CommitId | null> {
    return this.server.head();
  }
}
