/**
 * Which directory holds the base of a bucket. A new base is built in a directory of its own and takes over by the
 * rename of one small file; what was cut short or replaced is removed at the next start.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

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
    try {
      return (await readdir(this.directory)).filter((name) => /^base-[0-9]+$/.test(name));
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw e;
    }
  }

  async #currentName(): Promise<string | undefined> {
    let text: string;
    try {
      text = await readFile(join(this.directory, CURRENT), 'utf8');
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw e;
    }
    try {
      const name = (JSON.parse(text) as { directory?: unknown }).directory;
      return typeof name === 'string' && /^base-[0-9]+$/.test(name) ? name : undefined;
    } catch {
      return undefined; // a damaged pointer is a missing base: it is rebuilt from Gitee
    }
  }
}

/** Writes a small file so that after a power cut there is the old one or the new one, whole. */
export async function writeDurably(directory: string, name: string, text: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const temporary = join(directory, `${name}.new`);
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(directory, name));
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
