import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../async/clock.js';
import { GitBranch } from '../gitee/git/git-branch.js';
import type { GitBranchSettings } from '../gitee/git/settings.js';
import { InStep } from '../journal/in-step.js';
import type { BucketPlace } from './place.js';

/** What the buckets of one branch share. */
export interface SharedBranch {
  readonly git: GitBranch;
  readonly step: InStep;
}

export interface BranchesDeps {
  readonly clock: Clock;
  readonly stateDirectory: string;
  /** Without trailing `/`. */
  readonly giteeUrl: string;
  /** Of every branch. */
  readonly settings: Omit<GitBranchSettings, 'url' | 'branch' | 'directory' | 'gatewayId'>;
}

type PlaceOnBranch = Pick<BucketPlace, 'name' | 'repository' | 'branch'>;

/**
 * The branches that this gateway works on, each with one local repository, however many buckets lie on it. It is kept
 * in the state of the bucket that is opened first: of the configuration, or the catalogue of those made at run time.
 */
export class Branches {
  readonly #branches = new Map<string, SharedBranch>();

  constructor(private readonly deps: BranchesDeps) {}

  /** Open as long as a bucket is on it. */
  of(place: PlaceOnBranch, stateName: string): SharedBranch {
    const name = `${place.repository}\0${place.branch}`;
    const known = this.#branches.get(name);
    if (known && !known.git.isClosed) return known;
    const made = { git: this.#open(place, stateName), step: new InStep(this.deps.clock) };
    this.#branches.set(name, made);
    return made;
  }

  /** Versions that had a local repository for each bucket left it in its state. */
  async removeUnused(stateName: string): Promise<void> {
    const directory = this.#directory(stateName);
    const isUsed = [...this.#branches.values()].some(({ git }) => git.settings.directory === directory);
    if (!isUsed) await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }

  #open({ name, repository, branch }: PlaceOnBranch, stateName: string): GitBranch {
    const { giteeUrl, settings } = this.deps;
    return new GitBranch({
      ...settings,
      url: `${giteeUrl}/${repository}.git`,
      branch,
      directory: this.#directory(stateName),
      gatewayId: name,
    });
  }

  #directory(stateName: string): string {
    return join(this.deps.stateDirectory, 'buckets', stateName, 'git');
  }
}
