/** Reads a clone with the git program: what its HEAD names, whatever is checked out. */
import { isUtf8 } from 'node:buffer';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Chunk } from '../../format/extent.js';

const run = promisify(execFile);

export interface CloneFile {
  /** Path from the clone's root. */
  readonly path: string;
  /** False where the path is not UTF-8: `path` then has replacement characters. */
  readonly utf8: boolean;
  /** 'file', or what no object can be. */
  readonly kind: 'file' | 'link' | 'submodule' | 'other';
  readonly blobId: string;
  readonly sizeBytes: number;
}

/** One clone. All methods read; nothing is changed. */
export class CloneReader {
  private constructor(
    readonly directory: string,
    private readonly lfsObjects: string,
  ) {}

  /** Rejects with a sentence where the directory is no clone with a commit. */
  static async open(directory: string): Promise<CloneReader> {
    const root = resolve(directory);
    const git = async (...args: string[]) => (await run('git', ['-C', root, ...args])).stdout.trim();
    try {
      await git('rev-parse', '--verify', '--quiet', 'HEAD^{commit}');
    } catch {
      // git's own words say no more than that.
      throw new Error(`${directory} is not a git clone with a commit checked out`);
    }
    const storage = await git('config', '--get', 'lfs.storage').catch(() => '');
    const gitDir = await git('rev-parse', '--absolute-git-dir');
    return new CloneReader(
      root,
      join(storage === '' ? join(gitDir, 'lfs') : resolve(gitDir, storage), 'objects'),
    );
  }

  /** All entries of HEAD but directories, in the tree's order. */
  async *files(): AsyncIterable<CloneFile> {
    const child = spawn('git', ['-C', this.directory, 'ls-tree', '-r', '-z', '-l', '--full-tree', 'HEAD'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let rest = '';
    child.stdout.setEncoding('latin1');
    for await (const piece of child.stdout) {
      const entries = (rest + String(piece)).split('\0');
      rest = entries.pop() ?? '';
      for (const entry of entries) {
        const m = /^(\d+) (\w+) ([0-9a-f]+) +(\d+|-)\t(.*)$/s.exec(entry);
        if (!m) continue;
        const bytes = Buffer.from(m[5]!, 'latin1');
        yield {
          path: bytes.toString('utf8'),
          utf8: isUtf8(bytes),
          kind: kindOf(m[1]!, m[2]!),
          blobId: m[3]!,
          sizeBytes: m[4] === '-' ? 0 : Number(m[4]),
        };
      }
    }
  }

  /** Contents of blobs, for as many as are given at once. */
  async contents(blobIds: readonly string[]): Promise<Buffer[]> {
    if (blobIds.length === 0) return [];
    const child = spawn('git', ['-C', this.directory, 'cat-file', '--batch'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(blobIds.map((id) => `${id}\n`).join(''));
    const pieces: Buffer[] = [];
    for await (const piece of child.stdout) pieces.push(piece as Buffer);
    const all = Buffer.concat(pieces);
    const contents: Buffer[] = [];
    let at = 0;
    while (contents.length < blobIds.length) {
      const lineEnd = all.indexOf(10, at);
      const header = /^[0-9a-f]+ blob (\d+)$/.exec(all.toString('latin1', at, Math.max(at, lineEnd)));
      if (!header) throw new Error(`git cannot read blob ${blobIds[contents.length]} of ${this.directory}`);
      const start = lineEnd + 1;
      contents.push(all.subarray(start, start + Number(header[1])));
      at = start + Number(header[1]) + 1;
    }
    return contents;
  }

  /** Where git-lfs keeps an object. */
  lfsPath(oid: string): string {
    return join(this.lfsObjects, oid.slice(0, 2), oid.slice(2, 4), oid);
  }

  /** undefined: there, of the right size and hash; else what is wrong. */
  async lfsProblem(chunk: Chunk): Promise<string | undefined> {
    const file = this.lfsPath(chunk.oid);
    const found = await stat(file).catch(() => undefined);
    if (!found) return `its LFS object ${chunk.oid} is not here; run git lfs pull`;
    if (found.size !== chunk.sizeBytes) {
      return `its LFS object ${chunk.oid} has ${found.size} bytes instead of ${chunk.sizeBytes}`;
    }
    const sha256 = await this.sha256Of([chunk.oid]);
    return sha256 === chunk.oid
      ? undefined
      : `its LFS object ${chunk.oid} has other bytes (SHA-256 ${sha256})`;
  }

  /** SHA-256 of LFS objects one after the other; rejects where one is missing. */
  async sha256Of(oids: readonly string[]): Promise<string> {
    const hash = createHash('sha256');
    for (const oid of oids) {
      for await (const piece of createReadStream(this.lfsPath(oid), { highWaterMark: 1 << 20 })) {
        hash.update(piece as Buffer);
      }
    }
    return hash.digest('hex');
  }
}

function kindOf(mode: string, type: string): CloneFile['kind'] {
  if (type === 'commit') return 'submodule';
  if (mode === '120000') return 'link';
  return type === 'blob' && mode.startsWith('100') ? 'file' : 'other';
}
