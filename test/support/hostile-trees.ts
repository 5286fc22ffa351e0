/**
 * Trees that no gateway writes and anybody who may push can: each with what `restore.sh` and `verify-clone` must say.
 * Written as raw tree objects, since git itself refuses some of these names.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { formatPointer } from '../../src/format/lfs-pointer.js';
import { toOid } from '../../src/format/ids.js';
import { gitattributes } from '../../src/format/tree-layout.js';
import { encodeFormat, SELF_VOLUME } from '../../src/format/version.js';

/** Path components are bytes, one per character (latin1), so that names need not be UTF-8. */
interface Entry {
  readonly path: readonly string[];
  readonly mode?: string;
  readonly bytes: Uint8Array;
}

export interface HostileTree {
  readonly name: string;
  readonly entries: readonly Entry[];
  /** Files of the target besides `good` and `large`, which every tree has. */
  readonly restored?: Readonly<Record<string, string>>;
  /** Status of restore.sh: 4 left out, 3 kept. */
  readonly status: 0 | 3 | 4;
  /** What verify-clone must find: true a problem. */
  readonly problem: boolean;
}

const rules = { preset: 'registry', registryRoot: '', inlineLimitBytes: 40, chunkSizeBytes: 64 } as const;
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
const file = (path: string, bytes: string | Uint8Array = 'hostile', mode = '100644'): Entry => ({
  path: path.split('/'),
  mode,
  bytes: Buffer.from(bytes as string),
});
const link = (path: string, to: string) => file(path, to, '120000');
const pointer = (oid: string, sizeBytes: number) => formatPointer({ oid: toOid(oid), sizeBytes, volume: 0 });
const chunk = Buffer.from('bytes of a chunk');
const oid = sha256(chunk);
const absent = 'a'.repeat(64);
const fetched = new Map<string, Uint8Array>([[oid, chunk]]);
const blob = (hex: string) => `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;

/** `canary` is an absolute path outside of clone and target, which must stay as it is. */
export function hostileTrees(canary: string): HostileTree[] {
  const outside = dirname(canary);
  const left = (name: string, ...entries: Entry[]): HostileTree => ({
    name,
    entries,
    status: 4,
    problem: true,
  });
  const names: readonly (readonly [string, string])[] = [
    ['a newline and a way out in a directory', `x%61\n../../../canary/y`],
    ['a newline before an absolute path', `%41\n${canary.slice(1)}`],
    ['a newline', 'a\nb%41'],
    ['a tab', 'a\tb'],
    ['a backslash', 'a\\b'],
    ['a terminal escape', 'a\u001b]0;owned\u0007b'],
    ['an 8-bit terminal escape', 'a\u009b31mb'],
    ['a C1 control in UTF-8', 'a\u00c2\u009b31mb'],
    ['bytes that are not UTF-8', 'a\u00ff\u00feb'],
    ['an escape that is not needed', '%41'],
    ['a slash written as %2F', '..%2F..%2Fcanary'],
    ['dots written as %2E twice', '%2E%2E/canary'],
    ['a lower-case escape', '%2e./canary'],
    ['half an escape', 'a%2'],
    ['a mark of nothing', 'a%+'],
    ['a long name cut elsewhere', 'ab%+/%+cd'],
    ['a name under .git', '.git/hooks/post-checkout'],
    ['a submodule file', '.gitmodules'],
    ['LFS settings', '.lfsconfig'],
    ['the work directory of old', '%restore/joined'],
    ['a substitution', '$(touch${IFS}canary)\u0001'],
  ];
  return [
    { name: 'nothing', entries: [], status: 0, problem: false },
    {
      name: 'names that look like options, patterns and quotations, which are keys',
      entries: [
        file('-rf', '1'),
        file('--', '2'),
        file('*', '3'),
        file('[a-z]?', '4'),
        file(`it's "so" $(id) \`id\``, '5'),
        file('-n/-e %25', '6'),
        file(' blanks ', '7'),
        file('line%0Abreak', '8'),
        file('tab%09', '9'),
        file('back%5Cslash', '10'),
        file('esc%1B%07', '11'),
        file('.restore.x', '12'),
        file('\u00e4\u00b8\u00ad', '13'),
        file('%0A', '14'),
        file('end%0A', '15'),
      ],
      restored: {
        '-rf': '1',
        '--': '2',
        '*': '3',
        '[a-z]?': '4',
        [`it's "so" $(id) \`id\``]: '5',
        '-n/-e %': '6',
        ' blanks ': '7',
        'line\nbreak': '8',
        'tab\t': '9',
        'back\\slash': '10',
        'esc\u001b\u0007': '11',
        '.restore.x': '12',
        中: '13',
        '\n': '14',
        'end\n': '15',
      },
      status: 0,
      problem: false,
    },
    ...names.map(([name, path]) => left(`a name with ${name}`, file(path))),
    left('a directory ..', { path: ['..', 'canary'], bytes: Buffer.from('hostile') }),
    left('a directory .', { path: ['.', 'x'], bytes: Buffer.from('hostile') }),
    left('a name with slashes', { path: [`../../..${canary}`], bytes: Buffer.from('hostile') }),
    left('an absolute name', { path: [canary], bytes: Buffer.from('hostile') }),
    left('a link to a file', link('link', canary)),
    left('a link to a directory', link('dir', outside)),
    {
      ...left('a link and an escaped name below its place', link('dir%25', outside), file('dir%25/canary')),
      restored: { 'dir%/canary': 'hostile' },
    },
    left('a link as an object', link('link%object', canary)),
    left('a link with an escaped name', link('x%25', canary)),
    left('a link as a chunk', link('c%chunks/000000', canary)),
    left('a link for all chunks', link('c%chunks', outside)),
    left('a link in the place of a directory of the script', link('.gateway/meta', outside)),
    left('a link at a registry link', link('docker/registry/v2/repositories/a/_layers/link', canary)),
    left('a dangling link', link('dangling', '/nonexistent')),
    {
      ...left('a link and a directory of one name', link('dir', outside), file('dir/canary')),
      restored: { 'dir/canary': 'hostile' },
    },
    left('a submodule', { path: ['sub'], mode: '160000', bytes: Buffer.from('1'.repeat(40)) }),
    left('a file twice', file('twice', 'a'), file('twice', 'b')),
    left('a key in two forms', file('both', 'a'), file('both%object', 'b')),
    left('a pointer that was not fetched', file('p', pointer(absent, 5))),
    left('a pointer with a size that does not match', file('p', pointer(oid, 5))),
    left('a pointer whose object has other bytes', file('p', pointer(sha256('forged'), 6))),
    left('a pointer of an extension', file('p', extended())),
    left('a pointer beyond all numbers', file('p', huge())),
    left('a chunk that is missing', ...chunks(['000000', '000002'])),
    left('chunks that begin late', ...chunks(['000001'])),
    left('a stranger among chunks', ...chunks(['000000', 'stranger'])),
    left('a directory among chunks', ...chunks(['000000', '000001/x'])),
    left('a link among chunks', ...chunks(['000000']), link('c%chunks/000001', canary)),
    left('a chunk that is no pointer', file('c%chunks/000000', 'plain')),
    left('a chunk that was not fetched', ...chunks(['000000']), file('c%chunks/000001', pointer(absent, 5))),
    left('very many chunks that nobody has', ...many()),
    left('a layer of other bytes', file(blob(absent), pointer(oid, chunk.length))),
    left(
      'a layer of chunks that make other bytes',
      file(`${blob(absent)}%chunks/000000`, pointer(oid, chunk.length)),
    ),
    {
      name: 'names that no file can have',
      entries: [
        file('k%object', 'k'),
        file('k/b', 'b'),
        file('c/%2E.', 'dots'),
        file('n%00', 'nul'),
        file('x/%-/y', 'y'),
      ],
      restored: { 'k%object': 'k', 'k/b': 'b', 'c/%2E.': 'dots', 'n%00': 'nul', 'x/%-/y': 'y' },
      status: 3,
      problem: false,
    },
    {
      name: "files of git and of Gitee, which are nobody's objects",
      entries: [file('.gitignore'), file('.gitee/ISSUE_TEMPLATE.md')],
      status: 0,
      problem: false,
    },
  ];
}

function chunks(names: readonly string[]): Entry[] {
  return names.map((name) => file(`c%chunks/${name}`, pointer(oid, chunk.length)));
}

function many(): Entry[] {
  const bytes = pointer(absent, 8_000_000);
  return Array.from({ length: 5_000 }, (_, i) => file(`c%chunks/${String(i).padStart(6, '0')}`, bytes));
}

function extended(): string {
  const text = Buffer.from(pointer(oid, chunk.length)).toString();
  return text.replace('oid ', `ext-0-foo sha256:${oid}\noid `);
}

function huge(): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 99999999999999999999999\n`;
}

/** Objects that every clone has fetched; one lies under the name of other bytes. */
function objectsOf(): Map<string, Uint8Array> {
  return new Map([...fetched, [sha256('forged'), Buffer.from('FORGED')]]);
}

/** A clone with the tree as its HEAD, `good` and `large` beside it, and nothing checked out. */
export function writeClone(directory: string, tree: HostileTree, formatText?: string): void {
  mkdirSync(directory);
  const git = (args: readonly string[], input?: Uint8Array) =>
    execFileSync('git', args, { cwd: directory, input: input ?? '', maxBuffer: 1 << 26 })
      .toString()
      .trim();
  git(['init', '-q', '-b', 'main']);
  const format =
    formatText ?? encodeFormat({ version: 1, repositoryId: 1, features: [], volumes: [SELF_VOLUME] });
  const entries = [
    file('.gateway/format.json', format),
    file('.gitattributes', gitattributes(rules)),
    file('good', 'good'),
    file('large%chunks/000000', pointer(oid, chunk.length)),
    file('large%chunks/000001', pointer(oid, chunk.length)),
    ...tree.entries,
  ];
  const blobs = new Map<string, string>();
  const idOf = (bytes: Uint8Array): string => {
    const hex = Buffer.from(bytes).toString('hex');
    const id = blobs.get(hex) ?? git(['hash-object', '-w', '-t', 'blob', '--stdin'], bytes);
    blobs.set(hex, id);
    return id;
  };
  const treeOf = (list: readonly Entry[]): string => {
    const rows: { name: string; mode: string; id: string }[] = [];
    const directories = new Map<string, Entry[]>();
    for (const entry of list) {
      const [name, ...rest] = entry.path as [string, ...string[]];
      if (rest.length > 0) {
        const below = directories.get(name) ?? [];
        below.push({ ...entry, path: rest });
        directories.set(name, below);
      } else {
        const mode = entry.mode ?? '100644';
        const id = mode === '160000' ? Buffer.from(entry.bytes).toString() : idOf(entry.bytes);
        rows.push({ name, mode, id });
      }
    }
    for (const [name, below] of directories) rows.push({ name, mode: '40000', id: treeOf(below) });
    const order = (row: { name: string; mode: string }) => row.name + (row.mode === '40000' ? '/' : '');
    rows.sort((a, b) => (order(a) < order(b) ? -1 : 1));
    const bytes = rows.flatMap(({ name, mode, id }) => [
      Buffer.from(`${mode} ${name}\0`, 'latin1'),
      Buffer.from(id, 'hex'),
    ]);
    return git(['hash-object', '-w', '-t', 'tree', '--literally', '--stdin'], Buffer.concat(bytes));
  };
  const identity = ['-c', 'user.name=T', '-c', 'user.email=t@example.com'];
  git(['update-ref', 'HEAD', git([...identity, 'commit-tree', '-m', 'x', treeOf(entries)])]);
  for (const [name, bytes] of objectsOf()) {
    const place = join(directory, '.git/lfs/objects', name.slice(0, 2), name.slice(2, 4), name);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, bytes);
  }
}

/** Bytes of `large`. */
export const LARGE = Buffer.concat([chunk, chunk]);

/** Checks out what git itself is ready to check out of it, with the LFS objects that are there; the rest stays away. */
export function checkOut(clone: string): void {
  const loose = ['-c', 'core.protectHFS=false', '-c', 'core.protectNTFS=false'];
  const env = { ...process.env, GIT_LFS_SKIP_SMUDGE: '1' };
  for (const args of [
    ['lfs', 'install', '--local'],
    [...loose, 'reset', '-q', '--hard'],
    ['lfs', 'checkout'],
  ]) {
    const result = spawnSync('git', args, { cwd: clone, stdio: 'ignore', env });
    if (result.error) throw result.error;
  }
}
