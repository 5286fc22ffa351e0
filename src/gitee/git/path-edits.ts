import type { PathEdit } from '../remote.js';
import { RemoteError } from '../errors.js';
import { toByteName } from './git-object.js';

/** What a push asks for at one path and below it. */
export interface EditNode {
  /** Name in bytes (one character each) to what is asked for there. */
  readonly children: Map<string, EditNode>;
  /** The file at this path: left as it is, removed, or put. */
  file: 'keep' | 'remove' | PutContent;
  /** Everything that stood below this path at the old head is removed; `children` came after that. */
  cleared: boolean;
}

export interface PutContent {
  readonly content: () => Promise<Uint8Array>;
  /** Set once the blob has been written. */
  blobId?: string;
}

/**
 * The edits as a tree of paths. The last edit of a path counts; a remove-tree takes the edits below it that
 * stand before it. Whether a path is a file and a directory at once is seen from the result, not from the order.
 * @throws RemoteError `content-refused` for a path that git or a checkout would not take.
 */
export function planEdits(edits: readonly PathEdit[], pathPrefix: string): EditNode {
  const root = newNode();
  for (const edit of edits) {
    const path = pathPrefix === '' ? edit.path : `${pathPrefix}/${edit.path}`;
    let node = root;
    for (const component of path.split('/')) {
      refuseComponent(component, edit.path);
      const name = toByteName(component);
      let child = node.children.get(name);
      if (!child) {
        child = newNode();
        node.children.set(name, child);
      }
      node = child;
    }
    if (edit.kind === 'put') node.file = { content: edit.content };
    else if (edit.kind === 'remove-file') node.file = 'remove';
    else {
      node.children.clear();
      node.cleared = true;
    }
  }
  return root;
}

/** Every put of the plan. */
export function* putsOf(node: EditNode): Generator<PutContent> {
  if (typeof node.file === 'object') yield node.file;
  for (const child of node.children.values()) yield* putsOf(child);
}

function newNode(): EditNode {
  return { children: new Map(), file: 'keep', cleared: false };
}

/**
 * Components that receivers with fsckObjects refuse: empty, `.`, `..`, and `.git` in the forms that HFS and NTFS
 * take for it (docs/facts/git-at-scale.md §4). src/format escapes them all; this is the last look before the push.
 */
function refuseComponent(component: string, path: string): void {
  const folded = component
    // git's fsck: code points that HFS+ ignores in names.
    .replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g, '')
    .toLowerCase();
  const bad =
    component === '' ||
    component === '.' ||
    component === '..' ||
    component.includes('\0') ||
    /^(\.git|git~1)[. ]*($|[\\:])/.test(folded) ||
    /\p{Surrogate}/u.test(component);
  if (bad)
    throw new RemoteError(
      'content-refused',
      `the path ${JSON.stringify(path)} has the component ${JSON.stringify(component)}, which git refuses: it must be escaped`,
    );
}
