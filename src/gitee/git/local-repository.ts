import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { access, mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isNotFound } from '../../disk/failures.js';
import type { Log } from '../../async/log.js';
import type { CommitId } from '../../format/ids.js';
import { CatFile } from './cat-file.js';
import { LocalDamageError } from './failures.js';
import { GitProgram } from './git-process.js';
import { ObjectStore } from './object-store.js';
import { FETCHED_REF, HEAD_REF } from './server-branch.js';

/** Says which boot of the machine has the repository open; not a file of git's. */
const OPEN_MARK = 'gateway-open';

/**
 * The bare repository on our disk. It is a cache: journal and server have the truth, so on any doubt it is
 * dropped as a whole and fetched anew (docs/facts/git-at-scale.md §6). Doubt is: git finds damage, or
 * the machine went down while the repository was open, since nothing in it is fsynced.
 */
export class LocalRepository {
  readonly program: GitProgram;
  readonly store: ObjectStore;
  readonly #catFile: CatFile;
  #open = false;
  #known: CommitId | null;
  #doubt: string | undefined;

  constructor(
    readonly directory: string,
    readonly log: Log,
    options: { readonly killGraceMs: number; readonly treeCacheMaxBytes: number },
  ) {
    this.program = new GitProgram(directory, options.killGraceMs);
    this.#catFile = new CatFile(this.program);
    this.store = new ObjectStore(directory, this.#catFile, options.treeCacheMaxBytes);
    this.#known = readRef(join(directory, HEAD_REF));
  }

  /** The newest head that was seen. */
  get known(): CommitId | null {
    return this.#known;
  }

  /** False before the first ready(), after a drop, and where it is in doubt. */
  get isReady(): boolean {
    return this.#open && this.#doubt === undefined;
  }

  /** From now on the repository is not trusted; the next ready() drops it. */
  doubt(why: string): void {
    if (this.#doubt === undefined) this.log.warn('git: the local repository is in doubt', { why });
    this.#doubt ??= why;
  }

  /** Makes the repository if there is none, and drops it first where it is in doubt. */
  async ready(): Promise<void> {
    if (this.#doubt !== undefined) await this.drop();
    if (this.#open) return;
    await removeDropped(this.directory);
    if (await exists(join(this.directory, 'HEAD'))) {
      const openedIn = await readFile(join(this.directory, OPEN_MARK), 'utf8').catch(() => undefined);
      if (openedIn !== undefined && openedIn !== (await bootId())) {
        this.doubt('the machine went down while it was open');
        await this.drop();
      }
    }
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    if (!(await exists(join(this.directory, 'HEAD')))) {
      const result = await this.program.run(['init', '--bare', '--quiet', '--template=']);
      if (result.exitCode !== 0) throw new LocalDamageError(`git init: ${result.stderr.trim()}`);
      this.#known = null;
    }
    await writeFile(join(this.directory, OPEN_MARK), await bootId());
    this.#open = true;
    if (this.#known !== null && !(await this.has(this.#known))) {
      this.doubt('the last head seen is not in it');
      await this.ready();
    }
  }

  /** True where the commit and its root tree can be read. */
  async has(commit: CommitId): Promise<boolean> {
    try {
      await this.store.readTree(await this.store.readRoot(commit));
      return true;
    } catch (e) {
      // Not here, or not readable: for the caller both mean "not to be built on".
      if (e instanceof LocalDamageError) return false;
      throw e;
    }
  }

  /** What fetch() brought. */
  async readFetched(): Promise<CommitId> {
    const result = await this.program.run(['rev-parse', '--quiet', '--verify', `${FETCHED_REF}^{commit}`]);
    const id = result.stdout.trim();
    if (result.exitCode !== 0 || !/^[0-9a-f]{40}$/.test(id))
      throw new LocalDamageError(`${FETCHED_REF} cannot be read: ${result.stderr.trim()}`);
    return id as CommitId;
  }

  /** Moves HEAD_REF, so that packing keeps what it reaches. */
  async setKnown(head: CommitId | null): Promise<void> {
    if (head === this.#known) return;
    await this.updateRef(HEAD_REF, head);
    this.#known = head;
  }

  /** @param target null: the ref goes */
  async updateRef(ref: string, target: CommitId | null): Promise<void> {
    const result = await this.program.run(['update-ref', ...(target === null ? ['-d', ref] : [ref, target])]);
    if (result.exitCode !== 0) throw new LocalDamageError(`update-ref: ${result.stderr.trim()}`);
  }

  /** Forgets everything. It is moved away first: a crash in the middle leaves no half repository. */
  async drop(): Promise<void> {
    this.#doubt = undefined;
    this.#open = false;
    this.#known = null;
    await this.#catFile.close();
    await this.program.stopAll();
    this.store.clear();
    const away = `${this.directory}${DROPPED}${randomBytes(4).toString('hex')}`;
    try {
      await rename(this.directory, away);
    } catch (e) {
      if (!isNotFound(e)) throw e;
      return;
    }
    await rm(away, { recursive: true, force: true });
  }

  /** Stops every git. Nothing can be asked any more. */
  async close(): Promise<void> {
    await this.#catFile.close();
    await this.program.close();
    if (this.#open && this.#doubt === undefined)
      await unlink(join(this.directory, OPEN_MARK)).catch(() => {});
    this.#open = false;
  }
}

const DROPPED = '.dropped-';

/** What a drop() left that did not come to its end. */
async function removeDropped(directory: string): Promise<void> {
  const parent = dirname(directory);
  const names = await readdir(parent).catch(() => []);
  for (const name of names)
    if (name.startsWith(`${basename(directory)}${DROPPED}`))
      await rm(join(parent, name), { recursive: true, force: true });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Changes with every start of the machine. Where the system does not tell, every start of ours is clean. */
async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim();
}

function readRef(path: string): CommitId | null {
  try {
    const text = readFileSync(path, 'latin1').trim();
    return /^[0-9a-f]{40}$/.test(text) ? (text as CommitId) : null;
  } catch {
    // No repository yet: the first fetch makes it.
    return null;
  }
}
