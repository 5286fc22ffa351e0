/** What a power cut leaves of a directory tree, from the account that power-cut.c gives of it and nothing else. */
import { chmod, copyFile, mkdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Named {
  readonly inode: string;
  readonly type: string;
}

/** The durable names: directory inode → name → inode. */
class Names {
  root: string | undefined;
  readonly #directories = new Map<string, Map<string, Named>>();
  readonly #places = new Map<string, { directory: string; name: string }>();

  of(directory: string): ReadonlyMap<string, Named> {
    return this.#directories.get(directory) ?? new Map<string, Named>();
  }

  add(directory: string, name: string, named: Named): void {
    // A journaling file system undoes or keeps a rename as a whole: the new name ends the old one.
    const old = this.#places.get(named.inode);
    if (old) this.remove(old.directory, old.name);
    this.remove(directory, name);
    let entries = this.#directories.get(directory);
    if (!entries) this.#directories.set(directory, (entries = new Map()));
    entries.set(name, named);
    this.#places.set(named.inode, { directory, name });
  }

  remove(directory: string, name: string): void {
    const named = this.#directories.get(directory)?.get(name);
    if (!named) return;
    this.#directories.get(directory)!.delete(name);
    this.#places.delete(named.inode);
  }

  /** The directory was synced: it has exactly these. */
  replace(directory: string, listing: ReadonlyMap<string, Named>): void {
    for (const name of [...this.of(directory).keys()]) if (!listing.has(name)) this.remove(directory, name);
    for (const [name, named] of listing) this.add(directory, name, named);
  }
}

function replay(log: string): Names {
  const names = new Names();
  const lines = log.split('\n');
  lines.pop(); // '' after the last line, or a line that the cut left half written
  for (let i = 0; i < lines.length; i += 1) {
    const [event, a, b, c, d] = lines[i]!.split('\t') as [string, string, string, string, string];
    if (event === 'R') names.root = a;
    else if (event === 'N') names.add(a, d, { inode: b, type: c });
    else if (event === 'D') {
      const entries = lines.slice(i + 1, i + 1 + Number(b)).map((line) => line.split('\t'));
      if (entries.length < Number(b)) break; // half written: the sync had not returned
      names.replace(
        a,
        new Map(entries.map(([, inode, type, name]) => [name!, { inode: inode!, type: type! }])),
      );
      i += entries.length;
    }
  }
  return names;
}

/** Builds the tree as it is after the cut at `target`, which must not exist. */
export async function restoreDurable(logFile: string, shadow: string, target: string): Promise<void> {
  const names = replay(await readFile(logFile, 'utf8'));
  // Without a durable root there is nothing: an empty disk.
  await restoreDirectory(names, names.root ?? '', shadow, target);
}

async function restoreDirectory(names: Names, inode: string, shadow: string, target: string): Promise<void> {
  await mkdir(target, { mode: 0o700 });
  for (const [name, entry] of names.of(inode)) {
    const path = join(target, name);
    if (entry.type === 'd') await restoreDirectory(names, entry.inode, shadow, path);
    else if (entry.type === 'f') await restoreFile(join(shadow, 'copies', entry.inode), path);
    // Sockets and the like are made anew by whoever needs them.
  }
}

async function restoreFile(copy: string, path: string): Promise<void> {
  const found = await stat(copy).catch((e: NodeJS.ErrnoException) => {
    if (e.code === 'ENOENT') return undefined;
    throw e;
  });
  if (!found) {
    // Its name is durable, its bytes never were.
    await writeFile(path, '', { mode: 0o600 });
    return;
  }
  await copyFile(copy, path);
  await chmod(path, found.mode & 0o7777);
  await utimes(path, found.atime, found.mtime);
}
