import { mkdir, writeFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import * as path from 'node:path';
import { mustRun } from '../child.js';

const SOURCE = path.resolve('test/support/set-clock/set-clock.c');

/** The wall clock of a program, which a test sets while the program runs (set-clock.c). */
export class SetClock {
  private constructor(
    private readonly file: string,
    /** For the program. */
    readonly env: NodeJS.ProcessEnv,
  ) {}

  static async prepare(directory: string): Promise<SetClock> {
    await mkdir(directory, { recursive: true });
    const library = path.join(directory, 'set-clock.so');
    await mustRun('cc', ['-O2', '-Wall', '-shared', '-fPIC', '-o', library, SOURCE, '-ldl']);
    const file = path.join(directory, 'offset');
    const clock = new SetClock(file, { LD_PRELOAD: library, SET_CLOCK_FILE: file });
    await clock.set(0);
    return clock;
  }

  /** From now on it is off by so much; 0: right. */
  async set(offsetSeconds: number): Promise<void> {
    const bytes = Buffer.alloc(8);
    if (endianness() === 'LE') bytes.writeBigInt64LE(BigInt(offsetSeconds));
    else bytes.writeBigInt64BE(BigInt(offsetSeconds));
    // In place: the program has this file mapped.
    await writeFile(this.file, bytes, { flag: 'r+' }).catch(() => writeFile(this.file, bytes));
  }
}
