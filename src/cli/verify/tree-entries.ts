/**
 * What a tree may hold that no gateway writes: links, submodules, names that are nobody's key, one key in two
 * forms. `restore.sh` leaves each of them out; here each is a problem before it is run.
 */
import type { PathKind } from '../../format/tree-layout.js';
import type { CloneFile } from './clone-reader.js';

const KINDS = {
  link: 'is a symbolic link, and no object',
  submodule: 'is a submodule, and no object',
  other: 'is neither file nor directory',
};

/** Files that git and Gitee have a use for, and that a gateway leaves alone: nobody misses them in a bucket. */
const HOSTS_OWN = /^\.(?:gitee|github)\/[^.%]|(?:^|\/)\.(?:gitignore|gitattributes|gitkeep|mailmap)$/;

/** What is wrong with an entry by its kind and name alone; `path` is the one inside the bucket. */
export function entryProblem(file: CloneFile, path: string, place: PathKind): string | undefined {
  if (file.kind !== 'file') return KINDS[file.kind];
  if (!file.utf8) return 'has a name that is not UTF-8';
  if (place.kind !== 'foreign') return undefined;
  if (path.includes('%chunks/')) return 'stands among chunks, and is none';
  const ordinary = /^[ -~]+$/.test(path) && !/%|\\|(?:^|\/)\.{1,2}\//.test(path);
  return ordinary && HOSTS_OWN.test(path) ? undefined : "has a name that is no key's";
}

/** Sees to it that a key stands in one form, once. Holds one entry per key. */
export class KeyForms {
  readonly #seen = new Map<string, string>();

  /** What is wrong with another entry of this key; in git's order the chunks of one object follow each other. */
  problem(place: Exclude<PathKind, { kind: 'gateway' | 'foreign' }>): string | undefined {
    const before = this.#seen.get(place.key);
    this.#seen.set(place.key, place.kind);
    if (before === undefined || (before === 'chunk' && place.kind === 'chunk')) return undefined;
    return before === place.kind
      ? 'stands twice in the tree'
      : 'is a second form of a key that is there already';
  }
}

/** A problem as one line that a terminal shows as it is: control and direction characters are written out. */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
