import { mkdir, writeFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import * as path from 'node:path';
import { mustRun } from '../child.js';

const SOURCE = path.resolve('test/support/failing-writes/failing-writes.c');
const CONTROL_BYTES = 256;
/** Of Linux, on all machines that we know of. */
const ERRNO = { EIO: 5, ENOSPC: 28 } as const;

/** The files of a program of which some can't be written to while a test says so (failing-writes.c). */
export class FailingWrites {
  private constructor(
    private readonly file: string,
    /** For the program. */
    readonly env: NodeJS.ProcessEnv,
  ) {}

  static async prepare(directory: string): Promise<FailingWrites> {
    await mkdir(directory, { recursive: true });
    const library = path.join(directory, 'failing-writes.so');
    await mustRun('cc', ['-O2', '-Wall', '-shared', '-fPIC', '-o', library, SOURCE, '-ldl']);
    const file = path.join(directory, 'control');
    await writeFile(file, Buffer.alloc(CONTROL_BYTES));
    // A write by io_uring would pass the library by.
    const env = { LD_PRELOAD: library, FAILING_WRITES_CONTROL: file, UV_USE_IO_URING: '0' };
    return new FailingWrites(file, env);
  }

  /** From now on, of files whose path has this part. */
  async begin(error: keyof typeof ERRNO, part: string): Promise<void> {
    await this.#set(0, part);
    await this.#set(ERRNO[error], part);
  }

  async end(): Promise<void> {
    await this.#set(0, '');
  }

  async #set(error: number, part: string): Promise<void> {
    const control = Buffer.alloc(CONTROL_BYTES);
    if (endianness() === 'LE') control.writeInt32LE(error);
    else control.writeInt32BE(error);
    control.write(part, 4);
    // In place: the program has this file mapped.
    await writeFile(this.file, control, { flag: 'r+' });
  }
}
