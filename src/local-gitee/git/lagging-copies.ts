import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import type { Repository } from '../state.js';
import type { BareRepositories, MovedBranch } from './bare-repositories.js';
import { git } from './git-process.js';

interface Move extends MovedBranch {
  readonly atMs: number;
}

/** No copy lags farther than this. */
const REMEMBERED_MS = 10 * 60_000;

/**
 * A second copy of each repository that reads may meet and pushes never do: its branches stand where those of the
 * repository stood some time ago, as with a host that spreads reads over replicas. `<dataDir>/copies/<owner>/<name>.git`;
 * the objects are the repository's own.
 */
export class LaggingCopies {
  readonly root: string;
  readonly #moves = new Map<number, Move[]>();
  /** By repository: one follows at a time. */
  readonly #following = new Map<number, Promise<void>>();

  constructor(
    dataDir: string,
    private readonly repositories: BareRepositories,
    private readonly now: () => number,
  ) {
    this.root = path.join(dataDir, 'copies');
    repositories.onMoved = (repository, moved) => this.#moved(repository, moved);
  }

  /** Resolves when the copy stands where the repository stood so long ago. */
  follow(repository: Repository, lagMs: number): Promise<void> {
    const before = this.#following.get(repository.id) ?? Promise.resolve();
    const next = before.catch(() => {}).then(() => this.#follow(repository, this.now() - lagMs));
    this.#following.set(repository.id, next);
    return next;
  }

  #moved(repository: Repository, moved: MovedBranch): void {
    const atMs = this.now();
    const kept = (this.#moves.get(repository.id) ?? []).filter((move) => move.atMs > atMs - REMEMBERED_MS);
    this.#moves.set(repository.id, [...kept, { ...moved, atMs }]);
  }

  async #follow(repository: Repository, asOfMs: number): Promise<void> {
    const directory = await this.#ensure(repository);
    const heads = new Map<string, string | undefined>();
    for (const { name, commit } of await this.repositories.branches(repository)) heads.set(name, commit);
    const undone = (this.#moves.get(repository.id) ?? []).filter(({ atMs }) => atMs > asOfMs).reverse();
    for (const { branch, before } of undone) heads.set(branch, before);
    const there = (await git(directory, ['for-each-ref', '--format=%(refname:lstrip=2)', 'refs/heads/']))
      .toString('utf8')
      .split('\n')
      .filter((name) => name !== '');
    const lines = [
      ...there.filter((name) => heads.get(name) === undefined).map((name) => `delete refs/heads/${name}`),
      ...[...heads].flatMap(([name, head]) => (head ? [`update refs/heads/${name} ${head}`] : [])),
    ];
    const input = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    await git(directory, ['update-ref', '--stdin'], { input });
  }

  async #ensure(repository: Repository): Promise<string> {
    const directory = path.join(this.root, repository.owner, `${repository.name}.git`);
    if (existsSync(directory)) return directory;
    const unfinished = `${directory}.new`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    await git(unfinished, ['init', '--quiet', '--bare', '--template=', '-b', repository.defaultBranch]);
    const objects = path.resolve(this.repositories.directory(repository), 'objects');
    await mkdir(path.join(unfinished, 'objects', 'info'), { recursive: true });
    await writeFile(path.join(unfinished, 'objects', 'info', 'alternates'), `${objects}\n`);
    await rename(unfinished, directory);
    return directory;
  }
}
