/**
 * A bucket in a bare repository, made with the layout of src/format and the real git, and read back with the real
 * git-lfs through its file transport. Independent of src/gitee and src/journal: it shows what the format alone
 * promises to somebody who has only git.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toOid, type ObjectKey } from '../../src/format/ids.js';
import { formatPointer } from '../../src/format/lfs-pointer.js';
import { representation } from '../../src/format/object-form.js';
import {
  ATTRIBUTES_PATH,
  FORMAT_PATH,
  RESTORE_PATH,
  RESTORE_SH,
  chunkPath,
  gitattributes,
  pathsOf,
  type LayoutRules,
} from '../../src/format/tree-layout.js';
import { encodeFormat, SELF_VOLUME } from '../../src/format/version.js';
import { spawnTied } from './tied.js';

export interface RunResult {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export class GitBucket {
  private constructor(
    readonly dir: string,
    readonly rules: LayoutRules,
    /** '' or `prefix/`. */
    readonly pathPrefix: string,
  ) {}

  /** An empty bare repository that checks what it is sent, with its LFS store beside it. */
  static async create(rules: LayoutRules, pathPrefix = ''): Promise<GitBucket> {
    const bucket = new GitBucket(await mkdtemp(join(tmpdir(), 'git-bucket-')), rules, pathPrefix);
    await writeFile(
      join(bucket.dir, 'gitconfig'),
      '[user]\n\tname = Test\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n' +
        '[filter "lfs"]\n\tclean = git-lfs clean -- %f\n\tsmudge = git-lfs smudge -- %f\n' +
        '\tprocess = git-lfs filter-process\n\trequired = true\n[core]\n\tquotePath = false\n',
    );
    await bucket.git(['init', '-q', '--bare', 'bare.git']);
    await bucket.git(['-C', 'bare.git', 'config', 'receive.fsckObjects', 'true']);
    await bucket.git(['init', '-q', 'work']);
    return bucket;
  }

  /** Commits these objects as the bucket's whole content and pushes; resolves with git's answer to the push. */
  async push(objects: ReadonlyMap<ObjectKey, Uint8Array>): Promise<RunResult> {
    const format = { version: 1, repositoryId: 1, features: [], volumes: [SELF_VOLUME] } as const;
    const files = new Map<string, Uint8Array>([
      [ATTRIBUTES_PATH, Buffer.from(gitattributes(this.rules))],
      [FORMAT_PATH, encodeFormat(format)],
      [RESTORE_PATH, Buffer.from(RESTORE_SH)],
    ]);
    for (const [key, bytes] of objects) await this.#addObject(files, objects, key, bytes);
    const stream = [
      Buffer.from('commit refs/heads/main\ncommitter T <t@example.com> 1700000000 +0000\ndata 1\nx\n'),
    ];
    for (const [path, bytes] of files) {
      const quoted = `${this.pathPrefix}${path}`.replace(/["\\]/g, '\\$&');
      stream.push(
        Buffer.from(`M 100644 inline "${quoted}"\ndata ${bytes.length}\n`),
        Buffer.from(bytes),
        Buffer.from('\n'),
      );
    }
    await this.git(['-C', 'work', 'fast-import', '--quiet', '--force'], Buffer.concat(stream));
    return this.run('git', ['-C', 'work', 'push', '-q', '../bare.git', 'main:main']);
  }

  /** A clone as a user makes it; without `fetchLfs` the pointers stay. */
  async clone(name: string, fetchLfs: boolean): Promise<string> {
    const env = fetchLfs ? {} : { GIT_LFS_SKIP_SMUDGE: '1' };
    const result = await this.run('git', ['clone', '-q', `file://${this.dir}/bare.git`, name], { env });
    if (result.status !== 0) throw new Error(result.stderr);
    return join(this.dir, name);
  }

  /** Runs git and expects success. */
  async git(args: readonly string[], input?: Uint8Array): Promise<string> {
    const result = await this.run('git', args, input ? { input } : {});
    if (result.status !== 0) throw new Error(`git ${args.join(' ')}: ${result.stderr}`);
    return result.stdout.toString();
  }

  /** Runs a program in the bucket's directory with nobody's git configuration but ours. */
  run(
    program: string,
    args: readonly string[],
    options: { input?: Uint8Array; env?: Record<string, string>; cwd?: string } = {},
  ): Promise<RunResult> {
    const env = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.dir,
      GIT_CONFIG_GLOBAL: join(this.dir, 'gitconfig'),
      GIT_CONFIG_NOSYSTEM: '1',
      ...options.env,
    };
    return new Promise((resolve, reject) => {
      const child = spawnTied(program, args, { cwd: options.cwd ?? this.dir, env });
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      child.stdout.on('data', (part: Buffer) => stdout.push(part));
      child.stderr.on('data', (part: Buffer) => stderr.push(part));
      child.on('error', reject);
      child.on('close', (status) =>
        resolve({ status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }),
      );
      child.stdin.on('error', () => {}); // the program may end before it has read all; its status says so
      child.stdin.end(options.input);
    });
  }

  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }

  async #addObject(
    files: Map<string, Uint8Array>,
    objects: ReadonlyMap<ObjectKey, Uint8Array>,
    key: ObjectKey,
    bytes: Uint8Array,
  ): Promise<void> {
    const paths = pathsOf(key);
    const isDirectoryToo = [...objects.keys()].some((other) => other.startsWith(`${key}/`));
    const filePath = isDirectoryToo ? paths.object : paths.plain;
    const form = representation(this.rules, key, bytes.length, bytes);
    if (form === 'plain') {
      files.set(filePath, bytes);
      return;
    }
    const sizeBytes = this.rules.chunkSizeBytes;
    if (form === 'pointer' && bytes.length <= sizeBytes) {
      files.set(filePath, await this.#storeChunk(bytes));
      return;
    }
    for (let i = 0; i * sizeBytes < bytes.length; i += 1)
      files.set(
        chunkPath(key, i),
        await this.#storeChunk(bytes.subarray(i * sizeBytes, (i + 1) * sizeBytes)),
      );
  }

  /** Puts the chunk where git-lfs's file transport looks for it, and returns its pointer. */
  async #storeChunk(bytes: Uint8Array): Promise<Uint8Array> {
    const oid = toOid(createHash('sha256').update(bytes).digest('hex'));
    const dir = join(this.dir, 'bare.git/lfs/objects', oid.slice(0, 2), oid.slice(2, 4));
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, oid), bytes);
    return formatPointer({ oid, sizeBytes: bytes.length, volume: 0 });
  }
}
