/**
 * Git's objects as bytes (pure). Names in trees are bytes, not text; they are kept here as strings with one
 * character per byte (latin1), so that a name that is no UTF-8 survives a rewrite of its tree, and a comparison
 * of strings is git's comparison of bytes.
 */
import { createHash } from 'node:crypto';

export type ObjectType = 'blob' | 'tree' | 'commit';

export const MODE_FILE = '100644';
const MODE_EXECUTABLE = '100755';
export const MODE_TREE = '40000';

/** The tree without entries; git knows it even where it is not stored. */
export const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

export interface TreeEntry {
  /** As git writes it: no leading zero. */
  readonly mode: string;
  readonly id: string;
}

/** Name (one character per byte) to entry. */
export type Tree = Map<string, TreeEntry>;

/** True for what S3 may show: ordinary files, executable or not; no symbolic link, no submodule. */
export function isRegularFile(mode: string): boolean {
  return mode === MODE_FILE || mode === MODE_EXECUTABLE || mode === '100664';
}

export function toByteName(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The text of a path in bytes, or undefined where it is not UTF-8. */
export function fromByteName(bytes: string): string | undefined {
  if (/^[\u0000-\u007f]*$/.test(bytes)) return bytes;
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return toByteName(text) === bytes ? text : undefined;
}

function objectHeader(type: ObjectType, sizeBytes: number): Buffer {
  return Buffer.from(`${type} ${sizeBytes}\0`, 'latin1');
}

export function objectId(type: ObjectType, body: Uint8Array): string {
  return createHash('sha1').update(objectHeader(type, body.length)).update(body).digest('hex');
}

/** @throws Error where the bytes are not a tree. */
export function parseTree(body: Buffer): Tree {
  const tree: Tree = new Map();
  let at = 0;
  while (at < body.length) {
    const space = body.indexOf(0x20, at);
    const nul = body.indexOf(0, space);
    if (space < 0 || nul < 0 || nul + 21 > body.length) throw new Error(`a tree breaks off at byte ${at}`);
    const mode = body.toString('latin1', at, space);
    const name = body.toString('latin1', space + 1, nul);
    // Old programs wrote 040000; taken over as it is, a receiver with fsckObjects refuses it.
    tree.set(name, {
      mode: mode === '040000' ? MODE_TREE : mode,
      id: body.toString('hex', nul + 1, nul + 21),
    });
    at = nul + 21;
  }
  return tree;
}

/** The tree as bytes, in git's order: a directory is compared as if its name ended with a slash. */
export function formatTree(tree: Tree): Buffer {
  const sorted = [...tree]
    .map(([name, entry]) => ({ key: entry.mode === MODE_TREE ? `${name}/` : name, name, entry }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const parts: Buffer[] = [];
  for (const { name, entry } of sorted)
    parts.push(Buffer.from(`${entry.mode} ${name}\0`, 'latin1'), Buffer.from(entry.id, 'hex'));
  return Buffer.concat(parts);
}

export interface Identity {
  readonly name: string;
  readonly email: string;
}

/** Who wrote it, in git's form; what would break the form is left out of name and address. */
export function signature(identity: Identity, timeMs: number): string {
  const clean = (text: string) => text.replace(/[\u0000-\u001f<>]/g, '').trim();
  return `${clean(identity.name) || 'gateway'} <${clean(identity.email)}> ${Math.floor(timeMs / 1000)} +0000`;
}

export function formatCommit(commit: {
  readonly tree: string;
  readonly parent: string | null;
  readonly signature: string;
  readonly message: string;
}): Buffer {
  const parent = commit.parent === null ? '' : `parent ${commit.parent}\n`;
  return Buffer.from(
    `tree ${commit.tree}\n${parent}author ${commit.signature}\ncommitter ${commit.signature}\n\n${commit.message}`,
    'utf8',
  );
}

/** The tree of a commit. @throws Error where the bytes are not a commit. */
export function treeOfCommit(body: Buffer): string {
  const match = /^tree ([0-9a-f]{40})\n/.exec(body.toString('latin1', 0, 46));
  if (!match) throw new Error('a commit without a tree');
  return match[1]!;
}

export interface Commit {
  readonly parents: readonly string[];
  readonly message: string;
}

/** Parents and message of a commit; its message in UTF-8, whatever it says of its encoding. */
export function parseCommit(body: Buffer): Commit {
  const end = body.indexOf('\n\n');
  const head = body.toString('latin1', 0, end < 0 ? body.length : end);
  const parents = [...head.matchAll(/^parent ([0-9a-f]{40})$/gm)].map((match) => match[1]!);
  return { parents, message: end < 0 ? '' : body.toString('utf8', end + 2) };
}
