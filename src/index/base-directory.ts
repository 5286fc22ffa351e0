/**
 * Which directory holds the base of a bucket. A new base is built in a directory of its own and takes over by the
 * rename of one small file; what was cut short or replaced is removed at the next start.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../disk/durable.js';
import { unlessMissing } from '../disk/failures.js';

const CURRENT = 'base.json';

export class BaseDirectory {
  constructor(private readonly directory: string) {}

  /** Path of the current base; undefined where there has been none or it is gone. */
  async current(): Promise<string | undefined> {
    const name = await this.#currentName();
    if (name === undefined) return undefined;
    return (await readdir(this.directory)).includes(name) ? join(this.directory, name) : undefined;
  }

  /** Path of a new empty directory. */
  async fresh(): Promise<string> {
    await mkdir(this.directory, { recursive: true });
    const numbers = (await this.#bases()).map((name) => Number(name.slice('base-'.length)));
    const path = join(this.directory, `base-${Math.max(0, ...numbers) + 1}`);
    await mkdir(path);
    return path;
  }

  /** Makes this directory the current one, atomically and durably. */
  async makeCurrent(path: string): Promise<void> {
    const name = path.slice(this.directory.length + 1);
    await writeDurably(this.directory, CURRENT, JSON.stringify({ directory: name }));
  }

  /** Removes every base but the current one. Nobody may have one of them open. */
  async removeOthers(): Promise<void> {
    const name = await this.#currentName();
    for (const other of await this.#bases())
      if (other !== name) await rm(join(this.directory, other), { recursive: true, force: true });
  }

  async #bases(): Promise<string[]> {
    const names = (await unlessMissing(readdir(this.directory))) ?? [];
    return names.filter((name) => /^base-[0-9]+$/.test(name));
  }

  async #currentName(): Promise<string | undefined> {
    const text = await unlessMissing(readFile(join(this.directory, CURRENT), 'utf8'));
    if (text === undefined) return undefined;
    try {
      const name = (JSON.parse(text) as { directory?: unknown }).directory;
      return typeof name === 'string' && /^base-[0-9]+$/.test(name) ? name : undefined;
    } catch {
      return undefined; // a damaged pointer is a missing base: it is rebuilt from Gitee
    }
  }
}
