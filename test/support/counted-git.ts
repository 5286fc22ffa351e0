import { execFile } from 'node:child_process';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { promisify } from 'node:util';

/** A program `git` that notes its command and is the real one then: what a program with `env` begins is counted. */
export class CountedGit {
  private constructor(
    /** For the environment of whoever is counted. */
    readonly path: string,
    private readonly notes: string,
  ) {}

  static async prepare(directory: string): Promise<CountedGit> {
    await mkdir(directory, { recursive: true });
    const real = (await promisify(execFile)('which', ['git'])).stdout.trim();
    const notes = path.join(directory, 'begun');
    await appendFile(notes, '');
    const script = `#!/bin/sh\necho "$1" >> '${notes}'\nexec '${real}' "$@"\n`;
    await writeFile(path.join(directory, 'git'), script, { mode: 0o755 });
    return new CountedGit(`${directory}:${process.env['PATH'] ?? ''}`, notes);
  }

  /** Commands begun so far, in their order. */
  async begun(): Promise<string[]> {
    return (await readFile(this.notes, 'utf8')).split('\n').filter((line) => line !== '');
  }
}
