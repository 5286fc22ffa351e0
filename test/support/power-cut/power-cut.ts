import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun } from '../child.js';
import { restoreDurable } from './restore-durable.js';

/** A slow disk: an answer that does not wait for LMDB's fdatasync is out long before it. */
const SYNC_MS = 20;
const SOURCE = path.resolve('test/support/power-cut/power-cut.c');

/** What a file system promises about names; power-cut.c says it exactly. `posix` drops more. */
export type NameRules = 'journal' | 'posix';

/**
 * A directory whose machine can lose power: everything that was not synced at the cut is gone. A process that
 * is started with `powerOn()` in its environment writes to it; it must be dead (kill -9) when `cut()` is called.
 */
export class PowerCutDisk {
  #boots = 0;

  private constructor(
    /** The tree that loses what was not synced. */
    readonly root: string,
    private readonly directory: string,
    private readonly library: string,
  ) {}

  /** `directory` is for the records, on the same file system as `root` and not in it. */
  static async prepare(root: string, directory: string): Promise<PowerCutDisk> {
    await mkdir(directory, { recursive: true });
    const library = path.join(directory, 'power-cut.so');
    await mustRun('cc', ['-O2', '-Wall', '-shared', '-fPIC', '-o', library, SOURCE, '-ldl', '-lpthread']);
    return new PowerCutDisk(root, directory, library);
  }

  /** The environment for the process of the next boot; what `root` holds now counts as durable. One process each. */
  async powerOn(rules: NameRules): Promise<NodeJS.ProcessEnv> {
    this.#boots += 1;
    await mkdir(path.join(this.#shadow, 'copies'), { recursive: true });
    await mkdir(path.join(this.#shadow, 'pins'));
    const bootId = path.join(this.#shadow, 'boot_id');
    await writeFile(bootId, `${randomUUID()}\n`);
    return {
      LD_PRELOAD: this.library,
      POWER_CUT_RULES: rules,
      POWER_CUT_SYNC_MS: String(SYNC_MS),
      POWER_CUT_ROOT: this.root,
      POWER_CUT_SHADOW: this.#shadow,
      POWER_CUT_BOOT_ID: bootId,
      // An fsync by io_uring would pass the library by.
      UV_USE_IO_URING: '0',
    };
  }

  /** Puts into the place of `root` what was durable when the process was killed. */
  async cut(): Promise<void> {
    const restored = `${this.root}.restored`;
    await restoreDurable(path.join(this.#shadow, 'log'), this.#shadow, restored);
    const lost = `${this.root}.lost`;
    await rename(this.root, lost);
    await rename(restored, this.root);
    await rm(lost, { recursive: true, force: true });
    await rm(this.#shadow, { recursive: true, force: true });
  }

  get #shadow(): string {
    return path.join(this.directory, `boot-${this.#boots}`);
  }
}
