/** What the storage format promises to git, git-lfs and a shell, asked of the real programs. */
import { createHash } from 'node:crypto';
import { readFile, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import type { ObjectKey, TreePath } from '../../src/format/ids.js';
import { formatPointer } from '../../src/format/lfs-pointer.js';
import { toOid } from '../../src/format/ids.js';
import { toObjectKey } from '../../src/format/key-escape.js';
import { chunkPath, classifyPath, pathsOf, type LayoutRules } from '../../src/format/tree-layout.js';
import { GitBucket } from '../support/git-bucket.js';
import { fileKeys, keys } from '../support/key-arbitraries.js';

const seed = Number(process.env['FORMAT_GIT_SEED'] ?? Date.now() % 1_000_000);
const limits = { inlineLimitBytes: 40, chunkSizeBytes: 64 };
const generic: LayoutRules = { preset: 'generic', registryRoot: '', ...limits };
const root = 'my "images" [v*]?/#1/';
const registry: LayoutRules = { preset: 'registry', registryRoot: root, ...limits };
const blobs = `${root}docker/registry/v2/blobs/sha256`;

/** Bytes of an object that differ per key and vary in form: empty, plain, one chunk, several. */
function bytesOf(key: string): Buffer {
  const hash = createHash('sha256').update(key).digest();
  const sizeBytes = [0, 1, 40, 41, 64, 65, 300][hash[0]! % 7]!;
  return Buffer.alloc(sizeBytes, hash);
}

function objectsOf(list: readonly ObjectKey[]): Map<ObjectKey, Uint8Array> {
  return new Map(list.map((key) => [key, bytesOf(key)]));
}

const buckets: GitBucket[] = [];
async function bucketOf(rules: LayoutRules, prefix = ''): Promise<GitBucket> {
  const bucket = await GitBucket.create(rules, prefix);
  buckets.push(bucket);
  return bucket;
}

afterAll(async () => {
  for (const bucket of buckets) await bucket.remove();
});

test(`a server that checks every object takes random keys, and a clone shows exactly them (FORMAT_GIT_SEED=${seed})`, async () => {
  const objects = objectsOf(fc.sample(keys, { numRuns: 300, seed }));
  const bucket = await bucketOf(generic, 'deep/prefix/');
  expect(await bucket.push(objects)).toMatchObject({ status: 0 });

  const clone = await bucket.clone('clone', true);
  expect(await bucket.git(['-C', clone, 'status', '--porcelain'])).toBe('');
  expect((await bucket.run('git', ['lfs', 'fsck'], { cwd: clone })).status).toBe(0);

  const found = new Map<string, Buffer[]>();
  const listed = await bucket.git(['-C', clone, 'ls-files', '-z']);
  for (const path of listed.split('\0').filter((p) => p !== '')) {
    const kind = classifyPath(path.slice('deep/prefix/'.length) as TreePath);
    if (kind.kind === 'gateway') continue;
    if (kind.kind !== 'plain' && kind.kind !== 'object' && kind.kind !== 'chunk') throw new Error(path);
    const parts = found.get(kind.key) ?? [];
    parts[kind.kind === 'chunk' ? kind.index : 0] = await readFile(join(clone, path));
    found.set(kind.key, parts);
  }
  expect([...found.keys()].sort()).toEqual([...objects.keys()].sort());
  for (const [key, parts] of found) expect(Buffer.concat(parts)).toEqual(objects.get(key as ObjectKey));
});

test('the server of these tests does refuse what escaping is for', async () => {
  const bucket = await bucketOf(generic, 'a/.GIT./');
  const push = await bucket.push(new Map());
  expect(push.status).not.toBe(0);
  expect(push.stderr).toContain('hasDotgit');
});

test('git gives the LFS attributes to pointers and to nothing else', async () => {
  const blob = toObjectKey(`${blobs}/0a/0a1b/data`);
  const both = toObjectKey(`${blobs}/0b/data`);
  const objects = objectsOf([
    blob,
    both,
    toObjectKey(`${both}/below`),
    toObjectKey(`${blobs}/0c/readme`),
    toObjectKey(`other/docker/registry/v2/blobs/x/data`),
    toObjectKey(`${root}docker/registry/v2/repositories/app/_layers/sha256/0a/link`),
    toObjectKey('a%chunks/000000'),
  ]);
  for (const key of objects.keys()) objects.set(key, Buffer.from(`bytes of ${key}`).subarray(0, 30));
  objects.set(toObjectKey(`${blobs}/0d/data`), Buffer.alloc(0));
  const large = toObjectKey('large');
  objects.set(large, Buffer.alloc(200, 'x'));
  const bucket = await bucketOf(registry, 'bucket/');
  expect(await bucket.push(objects)).toMatchObject({ status: 0 });

  const clone = await bucket.clone('clone', true);
  const paths = (await bucket.git(['-C', clone, 'ls-files', '-z'])).split('\0').filter((p) => p !== '');
  const checked = await bucket.git(
    ['-C', clone, 'check-attr', '-z', '--stdin', 'filter'],
    Buffer.from(paths.join('\0')),
  );
  const fields = checked.split('\0');
  const filtered = paths
    .filter((_path, i) => fields[3 * i + 2] === 'lfs')
    .map((p) => p.slice('bucket/'.length));
  const expected = [
    pathsOf(blob).plain,
    pathsOf(both).object,
    pathsOf(toObjectKey(`${blobs}/0d/data`)).plain, // empty: git-lfs takes an empty file for itself
    ...[0, 1, 2, 3].map((i) => chunkPath(large, i)),
  ];
  expect(filtered.sort()).toEqual(expected.sort());

  const tracked = await bucket.git(['-C', clone, 'lfs', 'ls-files', '--name-only']);
  const pointers = expected.filter((p) => !p.includes('/0d/')).map((p) => `bucket/${p}`);
  expect(tracked.trimEnd().split('\n').sort()).toEqual(pointers.sort());
  expect((await bucket.run('git', ['lfs', 'fsck'], { cwd: clone })).status).toBe(0);
  expect(await bucket.git(['-C', clone, 'status', '--porcelain'])).toBe('');
});

describe.each([
  ['dash', ['dash']],
  ['bash', ['bash']],
  ['busybox', ['busybox', 'sh']],
])('restore.sh under %s', (name, shell) => {
  const [program = 'sh', ...shellArgs] = shell;
  const restore = (bucket: GitBucket, clone: string, target: string) =>
    bucket.run(program, [...shellArgs, '.gateway/restore.sh', target], { cwd: clone });

  test(`makes the very files of random keys (FORMAT_GIT_SEED=${seed})`, async () => {
    const sampled = fc.sample(fileKeys, { numRuns: 60, seed });
    // A file system cannot have a file `a` beside `a/b`; that is the next test.
    const list = sampled.filter((key) => !sampled.some((other) => other.startsWith(`${key}/`)));
    const objects = objectsOf(list);
    const pointer = toObjectKey(`pointer\nby hand`);
    objects.set(pointer, formatPointer({ oid: toOid('a'.repeat(64)), sizeBytes: 9, volume: 0 }));
    const bucket = await bucketOf(generic);
    expect(await bucket.push(objects)).toMatchObject({ status: 0 });
    const clone = await bucket.clone(`clone with 'blank`, true);
    const target = join(bucket.dir, 'target $(x)');

    expect(await restore(bucket, clone, target)).toMatchObject({ status: 0, stderr: '' });

    expect((await filesBelow(target)).sort()).toEqual([...objects.keys()].sort());
    for (const [key, bytes] of objects) expect(await readFile(join(target, key))).toEqual(bytes);
  });

  test('says which names no file system can have, and keeps their bytes', async () => {
    const objects = objectsOf(
      ['a', 'a/b', 'dir/', 'x//y', 'c/..', 'nul\0', 'ok%', `${'n'.repeat(300)}/f`].map(toObjectKey),
    );
    objects.set(toObjectKey('dir/'), Buffer.alloc(0));
    for (const key of ['a', 'x//y', 'nul\0', 'c/..']) objects.set(toObjectKey(key), Buffer.from(key));
    const bucket = await bucketOf(generic);
    expect(await bucket.push(objects)).toMatchObject({ status: 0 });
    const clone = await bucket.clone('clone', true);
    const target = join(bucket.dir, 'target');

    const result = await restore(bucket, clone, target);

    expect(result.status).toBe(3);
    for (const kept of ['a%object', 'x/%-', 'nul%00', 'c/%2E.', 'n%+'])
      expect(result.stderr).toContain(`kept as ./${kept.startsWith('n%') ? 'n'.repeat(200) : kept}`);
    expect(await readFile(join(target, 'a%object'), 'utf8')).toBe('a');
    expect(await readFile(join(target, 'ok%'))).toEqual(bytesOf('ok%'));
    expect(await filesBelow(target)).not.toContain('dir/%-');
  });

  test('refuses a clone whose chunks were not fetched, a target in use, and one inside the clone', async () => {
    const bucket = await bucketOf(registry, 'deep/');
    const blob = toObjectKey(`${blobs}/0a/data`);
    const objects = new Map<ObjectKey, Uint8Array>([[blob, Buffer.from('layer')]]);
    expect(await bucket.push(objects)).toMatchObject({ status: 0 });
    const clone = join(await bucket.clone(`${name}-clone`, false), 'deep');

    const target = join(bucket.dir, 'target');
    const early = await restore(bucket, clone, target);
    expect(early.status).toBe(1);
    expect(early.stderr).toContain('git lfs pull');
    expect(await filesBelow(target)).toEqual([]);

    await bucket.git(['-C', clone, 'lfs', 'pull']);
    expect(await restore(bucket, clone, target)).toMatchObject({ status: 0, stderr: '' });
    expect(await readFile(join(target, blob), 'utf8')).toBe('layer');

    const again = await restore(bucket, clone, target);
    expect(again).toMatchObject({ status: 1 });
    expect(again.stderr).toContain('not empty');
    expect((await restore(bucket, clone, join(clone, 'inside'))).stderr).toContain('outside of the clone');
  });

  test('leaves out an object that lacks a chunk, and says so', async () => {
    const bucket = await bucketOf(generic);
    const objects = new Map<ObjectKey, Uint8Array>([
      [toObjectKey('large'), Buffer.alloc(300, 'x')],
      [toObjectKey('small'), Buffer.from('s')],
    ]);
    expect(await bucket.push(objects)).toMatchObject({ status: 0 });
    const clone = await bucket.clone('clone', true);
    const oid = createHash('sha256').update(Buffer.alloc(44, 'x')).digest('hex');
    await unlink(join(clone, '.git/lfs/objects', oid.slice(0, 2), oid.slice(2, 4), oid));
    const target = join(bucket.dir, 'target');

    const result = await restore(bucket, clone, target);

    expect(result.status).toBe(4);
    expect(result.stderr).toBe(
      `restore: left out: large%object (its chunk ${oid} is not fetched: run git lfs pull)\n`,
    );
    expect(await filesBelow(target)).toEqual(['small']);
  });
});

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name).slice(dir.length + 1));
}
