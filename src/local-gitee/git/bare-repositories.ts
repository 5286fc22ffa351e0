import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { LRUCache } from 'lru-cache';
import { git, GitFailure } from './git-process.js';
import type { Repository } from '../state.js';

export interface Branch {
  readonly name: string;
  readonly commit: string;
  readonly tree: string;
}

export interface CommitInfo {
  readonly id: string;
  readonly tree: string;
  readonly parents: string[];
  readonly authorName: string;
  readonly authorEmail: string;
  readonly timestamp: string;
  readonly message: string;
}

/** One path of a commit that somebody else makes. */
export interface ForeignEdit {
  readonly path: string;
  /** null: the path is deleted. */
  readonly content: Buffer | null;
}

/** A branch that is elsewhere now. */
export interface MovedBranch {
  readonly branch: string;
  /** undefined: it was made. */
  readonly before: string | undefined;
}

/** The git repositories: `<dataDir>/repositories/<owner>/<name>.git`, bare, plain git. */
export class BareRepositories {
  readonly root: string;
  /** Told of every branch that moved, whoever moved it. */
  onMoved: (repository: Repository, moved: MovedBranch) => void = () => {};
  /** By commit. */
  readonly #counts = new LRUCache<string, number>({ max: 1_000 });

  constructor(dataDir: string) {
    this.root = path.join(dataDir, 'repositories');
  }

  directory(repository: Repository): string {
    return path.join(this.root, repository.owner, `${repository.name}.git`);
  }

  /** Makes it where it is missing; a half made one of a killed process is made anew. */
  async ensure(repository: Repository): Promise<void> {
    const directory = this.directory(repository);
    if (existsSync(directory)) return;
    const unfinished = `${directory}.new`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    await git(unfinished, ['init', '--quiet', '--bare', '--template=', `-b`, repository.defaultBranch]);
    await rename(unfinished, directory);
  }

  async branches(repository: Repository, only?: string): Promise<Branch[]> {
    const out = await git(this.directory(repository), [
      'for-each-ref',
      '--format=%(refname:lstrip=2)%00%(objectname)%00%(tree)',
      only === undefined ? 'refs/heads/' : `refs/heads/${only}`,
    ]);
    return lines(out)
      .map((line) => {
        const [name = '', commit = '', tree = ''] = line.split('\0');
        return { name, commit, tree };
      })
      .filter((branch) => only === undefined || branch.name === only);
  }

  /** Of a commit and all that lead to it. They never change, and whoever waits for one asks some twenty times a second. */
  async commitCount(repository: Repository, commit: string): Promise<number> {
    const known = this.#counts.get(commit);
    if (known !== undefined) return known;
    const count = Number(await git(this.directory(repository), ['rev-list', '--count', commit]));
    this.#counts.set(commit, count);
    return count;
  }

  /** Newest first. `from` null: everything that leads to `to`. */
  async log(repository: Repository, from: string | null, to: string, max: number): Promise<CommitInfo[]> {
    const out = await git(this.directory(repository), [
      'log',
      '-z',
      `--max-count=${max}`,
      '--format=%H%x01%T%x01%P%x01%an%x01%ae%x01%aI%x01%B',
      to,
      ...(from === null ? [] : [`^${from}`]),
    ]);
    return out
      .toString('utf8')
      .split('\0')
      .filter((record) => record !== '')
      .map((record) => {
        const [id, tree, parents, authorName, authorEmail, timestamp, ...message] = record.split('\x01');
        return {
          id: id!,
          tree: tree!,
          parents: parents === '' ? [] : parents!.split(' '),
          authorName: authorName!,
          authorEmail: authorEmail!,
          timestamp: timestamp!,
          message: message.join('\x01'),
        };
      });
  }

  /** The object behind `<ref>:<path>`, or undefined where ref or path is missing. */
  async resolve(repository: Repository, revision: string): Promise<string | undefined> {
    try {
      const out = await git(this.directory(repository), [
        'rev-parse',
        '--verify',
        '--end-of-options',
        revision,
      ]);
      return out.toString('utf8').trim();
    } catch (error) {
      if (error instanceof GitFailure) return undefined;
      throw error;
    }
  }

  /** Entries of one directory. */
  async list(repository: Repository, tree: string): Promise<{ type: string; id: string; name: string }[]> {
    const out = await git(this.directory(repository), ['ls-tree', '-z', tree]);
    return out
      .toString('utf8')
      .split('\0')
      .filter((entry) => entry !== '')
      .map((entry) => {
        const tab = entry.indexOf('\t');
        const [, type = '', id = ''] = entry.slice(0, tab).split(' ');
        return { type, id, name: entry.slice(tab + 1) };
      });
  }

  async objectType(repository: Repository, id: string): Promise<string> {
    return (await git(this.directory(repository), ['cat-file', '-t', id])).toString('utf8').trim();
  }

  async blob(repository: Repository, id: string): Promise<Buffer> {
    return git(this.directory(repository), ['cat-file', 'blob', id]);
  }

  /** What Gitee's "GC" button does: the only thing that gives space back. */
  async gc(repository: Repository): Promise<void> {
    await git(this.directory(repository), ['gc', '--quiet', '--prune=now']);
  }

  /** Points a branch at a commit that is there, forward or not. */
  async setBranch(repository: Repository, branch: string, commit: string): Promise<void> {
    const before = await this.resolve(repository, `refs/heads/${branch}`);
    await git(this.directory(repository), ['update-ref', `refs/heads/${branch}`, commit]);
    this.onMoved(repository, { branch, before });
  }

  /**
   * A commit by somebody else on a branch. `orphan`: without a parent, so that the new head descends from
   * nothing that was known. Returns the new head.
   */
  async commit(
    repository: Repository,
    change: {
      branch: string;
      edits: readonly ForeignEdit[];
      message: string;
      orphan: boolean;
      nowMs: number;
    },
  ): Promise<string> {
    const directory = this.directory(repository);
    const ref = `refs/heads/${change.branch}`;
    const old = await this.resolve(repository, ref);
    const temporary = `refs/local-gitee/${process.pid}-${change.nowMs}-${Math.floor(Math.random() * 1e9)}`;
    const parts: (string | Buffer)[] = [
      `commit ${temporary}\nmark :1\n`,
      `committer Somebody Else <somebody@example.com> ${Math.floor(change.nowMs / 1000)} +0000\n`,
      `data ${Buffer.byteLength(change.message)}\n${change.message}\n`,
      old === undefined || change.orphan ? '' : `from ${old}\n`,
    ];
    for (const edit of change.edits) {
      if (edit.content === null) parts.push(`D ${quotePath(edit.path)}\n`);
      else
        parts.push(
          `M 100644 inline ${quotePath(edit.path)}\ndata ${edit.content.length}\n`,
          edit.content,
          '\n',
        );
    }
    parts.push('\nget-mark :1\ndone\n');
    const input = Buffer.concat(parts.map((p) => Buffer.from(p)));
    const out = await git(directory, ['fast-import', '--quiet', '--done', '--force'], { input });
    const head = out.toString('utf8').trim();
    await git(directory, ['update-ref', ref, head]);
    this.onMoved(repository, { branch: change.branch, before: old });
    await git(directory, ['update-ref', '-d', temporary]);
    return head;
  }
}

/** Paths as git-fast-import(1) reads them: always quoted, since then nothing in them matters. */
function quotePath(text: string): string {
  return `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
}

function lines(out: Buffer): string[] {
  return out
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
}
