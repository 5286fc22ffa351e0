import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GitBranch } from '../gitee/git/git-branch.js';
import { InStep } from '../journal/in-step.js';
import type { LineHealth } from '../line/health.js';
import type { UploadLine } from '../line/upload-line.js';
import type { BucketConfig, Config } from './config/config.js';
import type { GatewayParts } from './gateway.js';
import type { GiteeClient } from './gitee-client.js';

/** What the buckets of one branch share. */
export interface SharedBranch {
  readonly git: GitBranch;
  readonly step: InStep;
}

export interface BranchesDeps {
  readonly config: Config;
  readonly parts: GatewayParts;
  readonly gitee: GiteeClient;
  readonly line: LineHealth;
  readonly uploads: UploadLine;
}

/**
 * The branches that this gateway works on, each with one local repository, however many buckets lie on it. It is kept
 * in the state of the bucket that is opened first: of the configuration, or the catalogue of those made at run time.
 */
export class Branches {
  readonly #branches = new Map<string, SharedBranch>();

  constructor(private readonly deps: BranchesDeps) {}

  /** Open as long as a bucket is on it. */
  of(bucket: Pick<BucketConfig, 'name' | 'repository' | 'branch'>, stateName: string): SharedBranch {
    const name = `${bucket.repository}\0${bucket.branch}`;
    const known = this.#branches.get(name);
    if (known && !known.git.isClosed) return known;
    const made = { git: this.#open(bucket, stateName), step: new InStep(this.deps.parts.clock) };
    this.#branches.set(name, made);
    return made;
  }

  /** Versions that had a local repository for each bucket left it in its state. */
  async removeUnused(stateName: string): Promise<void> {
    const directory = this.#directory(stateName);
    const isUsed = [...this.#branches.values()].some(({ git }) => git.settings.directory === directory);
    if (!isUsed) await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }

  #open(
    { name, repository, branch }: Pick<BucketConfig, 'name' | 'repository' | 'branch'>,
    stateName: string,
  ): GitBranch {
    const { config, line, parts, uploads } = this.deps;
    const { gitee } = config;
    return new GitBranch({
      ...{ clock: parts.clock, log: parts.log, observer: parts.metrics, failpoints: parts.failpoints, line },
      http: this.deps.gitee.http,
      url: `${gitee.url}/${repository}.git`,
      branch,
      directory: this.#directory(stateName),
      token: this.deps.gitee.token,
      user: gitee.user,
      identity: { name: gitee.identityName, email: gitee.identityEmail },
      gatewayId: name,
      clearLine: () => uploads.scheduler.clear(),
      timeouts: { pushBaseMs: gitee.timeouts.pushMs, per100kKeysMs: gitee.timeouts.pushPer100kKeysMs },
      ...(gitee.caFile === undefined ? {} : { caFile: gitee.caFile }),
    });
  }

  #directory(stateName: string): string {
    return join(this.deps.config.stateDir, 'buckets', stateName, 'git');
  }
}
