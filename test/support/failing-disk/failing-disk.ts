import { existsSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun } from '../child.js';

const SOURCE = path.resolve('test/support/failing-disk/failing-disk.c');

/** A disk under one file of a program: its next sync can be made to fail or to hang (failing-disk.c). */
export class FailingDisk {
  #isArmed = false;

  private constructor(
    private readonly directory: string,
    /** For the program. The last parts of the file's path tell it from others. */
    readonly env: NodeJS.ProcessEnv,
  ) {}

  static async prepare(directory: string, file: string): Promise<FailingDisk> {
    await mkdir(directory, { recursive: true });
    const library = path.join(directory, 'failing-disk.so');
    await mustRun('cc', ['-O2', '-Wall', '-shared', '-fPIC', '-o', library, SOURCE, '-ldl', '-lpthread']);
    return new FailingDisk(directory, {
      LD_PRELOAD: library,
      FAILING_DISK_FILE: file,
      FAILING_DISK_IMAGE: path.join(directory, 'image'),
      FAILING_DISK_PAGES: path.join(directory, 'pages'),
      FAILING_DISK_TRIGGER: path.join(directory, 'trigger'),
      // A write by io_uring would pass the library by.
      UV_USE_IO_URING: '0',
    });
  }

  /** True once the sync that nextSync() meant has been. */
  get hasHappened(): boolean {
    return this.#isArmed && !existsSync(this.#trigger);
  }

  get #trigger(): string {
    return path.join(this.directory, 'trigger');
  }

  /** What the next sync of the file does: once. */
  async nextSync(what: 'fail' | 'hang'): Promise<void> {
    const half = path.join(this.directory, 'trigger.new');
    await writeFile(half, what);
    await rename(half, this.#trigger);
    this.#isArmed = true;
  }

  /** The power is cut: the file is what the disk holds. Nobody may have it open. */
  async cut(file: string): Promise<void> {
    await rm(file);
    await copyFile(path.join(this.directory, 'image'), file);
  }
}
