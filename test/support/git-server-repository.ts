import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CommitId } from '../../src/format/ids.js';

const execFileAsync = promisify(execFile);

/** Runs git without anybody's configuration; the output as text. */
export async function git(directory: string, args: readonly string[], input?: string): Promise<string> {
  const running = execFileAsync('git', args, {
    cwd: directory,
    maxBuffer: 64 << 20,
    env: {
      PATH: process.env['PATH'],
      HOME: directory,
      LC_ALL: 'C',
      GIT_DIR: directory,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_AUTHOR_NAME: 'Somebody',
      GIT_AUTHOR_EMAIL: 'somebody@example.com',
      GIT_COMMITTER_NAME: 'Somebody',
      GIT_COMMITTER_EMAIL: 'somebody@example.com',
    },
  });
  // git may have ended without reading anything.
  running.child.stdin?.on('error', () => {});
  running.child.stdin?.end(input ?? '');
  return (await running).stdout;
}

/** A bare repository as the server has it, changed by somebody who is not the gateway. */
export class GitServerRepository {
  constructor(
    readonly directory: string,
    readonly branch = 'main',
  ) {}

  /** A new one in a temporary directory, as strict as a host's. */
  static async create(): Promise<GitServerRepository> {
    const directory = await mkdtemp(join(tmpdir(), 'git-server-'));
    await git(directory, ['init', '--bare', '--quiet', directory]);
    await git(directory, ['config', 'receive.fsckObjects', 'true']);
    return new GitServerRepository(directory);
  }

  get url(): string {
    return `file://${this.directory}`;
  }

  async head(): Promise<CommitId | null> {
    const text = await git(this.directory, [
      'for-each-ref',
      '--format=%(objectname)',
      `refs/heads/${this.branch}`,
    ]);
    return text.trim() === '' ? null : (text.trim() as CommitId);
  }

  /** Paths and contents at the head, in order. */
  async files(): Promise<Map<string, string>> {
    const files = new Map<string, string>();
    if ((await this.head()) === null) return files;
    const listing = await git(this.directory, ['ls-tree', '-r', '-z', `refs/heads/${this.branch}`]);
    for (const line of listing.split('\0').filter((l) => l !== '')) {
      const [info, path] = line.split('\t') as [string, string];
      files.set(path, await git(this.directory, ['cat-file', 'blob', info.split(' ')[2]!]));
    }
    return files;
  }

  /** A commit on top of the head; null removes the file. */
  async commit(files: Record<string, string | null>, message = 'edited by hand'): Promise<CommitId> {
    return this.#import(files, message, await this.head());
  }

  /** A commit without parents takes the branch's place. */
  async rewrite(files: Record<string, string>): Promise<CommitId> {
    const old = await this.head();
    if (old) await git(this.directory, ['update-ref', '-d', `refs/heads/${this.branch}`]);
    return this.#import(files, 'squashed', null);
  }

  /** The reflog-free way back: the branch points to an earlier commit. */
  async moveTo(commit: CommitId): Promise<void> {
    await git(this.directory, ['update-ref', `refs/heads/${this.branch}`, commit]);
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }

  async #import(
    files: Record<string, string | null>,
    message: string,
    parent: CommitId | null,
  ): Promise<CommitId> {
    const lines = [
      `commit refs/heads/${this.branch}`,
      `committer Somebody <somebody@example.com> ${Math.floor(Date.now() / 1000)} +0000`,
      `data ${Buffer.byteLength(message)}`,
      message,
      ...(parent === null ? [] : [`from ${parent}`]),
    ];
    for (const [path, content] of Object.entries(files)) {
      if (content === null) lines.push(`D ${path}`);
      else lines.push(`M 100644 inline ${path}`, `data ${Buffer.byteLength(content)}`, content);
    }
    await git(this.directory, ['fast-import', '--quiet'], `${lines.join('\n')}\n`);
    return (await this.head())!;
  }
}
