import { toOid, type ObjectKey, type TreePath } from '../../../src/format/ids.js';
import { formatPointer } from '../../../src/format/lfs-pointer.js';
import { mustBePlain, representation } from '../../../src/format/object-form.js';
import {
  chunkPath,
  classifyPath,
  gitattributes,
  hasMeta,
  isLocalKey,
  isRegistryBlobData,
  isRegistryOwnKey,
  pathsOf,
  type LayoutRules,
} from '../../../src/format/tree-layout.js';

const limits = { inlineLimitBytes: 64 * 1024, chunkSizeBytes: 8 * 1024 * 1024 };
const generic: LayoutRules = { preset: 'generic', registryRoot: '', ...limits };
const registry: LayoutRules = { preset: 'registry', registryRoot: '', ...limits };
const rooted: LayoutRules = { preset: 'registry', registryRoot: 'images/', ...limits };
const key = (text: string) => text as ObjectKey;
const pointer = formatPointer({ oid: toOid('a'.repeat(64)), sizeBytes: 1, volume: 0 });
const blob = key('docker/registry/v2/blobs/sha256/0a/0a1b/data');
const link = key('docker/registry/v2/repositories/app/_layers/sha256/0a1b/link');
const overInline = limits.inlineLimitBytes + 1;

describe('representation in preset generic', () => {
  test.each([
    [0, 'plain'],
    [limits.inlineLimitBytes, 'plain'],
    [overInline, 'chunks'],
    [limits.chunkSizeBytes, 'chunks'],
  ])('%d bytes stand as %s', (sizeBytes, form) => {
    expect(representation(generic, key('a'), sizeBytes)).toBe(form);
    expect(representation(generic, blob, sizeBytes)).toBe(form);
  });

  test('bytes that read like a pointer never stand plain', () => {
    expect(representation(generic, key('a'), pointer.length, pointer)).toBe('chunks');
    expect(representation(generic, key('a'), 3, Buffer.from('abc'))).toBe('plain');
  });
});

describe('representation in preset registry', () => {
  test('blob data is a pointer from the first byte on', () => {
    expect(representation(registry, blob, 0)).toBe('plain');
    expect(representation(registry, blob, 1)).toBe('pointer');
    expect(representation(registry, blob, overInline)).toBe('pointer');
    expect(representation(registry, blob, pointer.length, pointer)).toBe('pointer');
    expect(mustBePlain(registry, blob, 1)).toBe(false);
  });

  test('links are plain, and follow generic above the inline limit', () => {
    expect(representation(registry, link, 71)).toBe('plain');
    expect(representation(registry, link, overInline)).toBe('chunks');
    expect(representation(registry, link, pointer.length, pointer)).toBe('chunks');
  });

  test('the root directory of the registry anchors it', () => {
    expect(isRegistryBlobData(rooted, blob)).toBe(false);
    expect(isRegistryBlobData(rooted, key(`images/${blob}`))).toBe(true);
    expect(isRegistryBlobData(registry, key(`images/${blob}`))).toBe(false);
  });
});

describe('keys of the registry', () => {
  test.each([
    ['docker/registry/v2/blobs/data', true],
    ['docker/registry/v2/blobs//data', true],
    ['docker/registry/v2/blobs/sha256/ab/x/data/y', false],
    ['docker/registry/v2/blobs/sha256/ab/x/mydata', false],
    ['docker/registry/v2/blobs/sha256/ab/x/data/', false],
    ['docker/registry/v2/blob/sha256/ab/x/data', false],
  ])('%s is blob data: %s', (text, expected) => {
    expect(isRegistryBlobData(registry, key(text))).toBe(expected);
  });

  test.each([
    ['docker/registry/v2/repositories/app/_uploads/1-2/data', true],
    ['docker/registry/v2/repositories/team/app/_uploads/1-2/hashstates/sha256/0', true],
    ['docker/registry/v2/repositories/team/app/_uploads/1-2/startedat', true],
    ['docker/registry/v2/repositories/app/_uploads', false],
    ['docker/registry/v2/repositories/app/_manifests/tags/_uploads/current/link', false],
    ['docker/registry/v2/repositories/app/_manifests/tags/x/_uploads/link', false],
    ['docker/registry/v2/repositories/app/uploads/1-2/data', false],
    ['docker/registry/v2/blobs/app/_uploads/1-2/data', false],
    ['x/docker/registry/v2/repositories/app/_uploads/1-2/data', false],
  ])('%s is local: %s', (text, expected) => {
    expect(isLocalKey(registry, key(text))).toBe(expected);
    expect(isLocalKey(rooted, key(`images/${text}`))).toBe(expected);
    expect(isLocalKey(rooted, key(text))).toBe(false);
    expect(isLocalKey(generic, key(text))).toBe(false);
  });

  test('have no metadata, all others do', () => {
    expect(hasMeta(registry, blob)).toBe(false);
    expect(hasMeta(registry, link)).toBe(false);
    expect(hasMeta(registry, key('docker/registry/v2/blobs/sha256/readme'))).toBe(true);
    expect(hasMeta(registry, key('backup.tar'))).toBe(true);
    expect(hasMeta(generic, link)).toBe(true);
    expect(isRegistryOwnKey(generic, blob)).toBe(false);
  });
});

describe('paths of a key', () => {
  test('are the documented ones', () => {
    expect(pathsOf(key('a/.git'))).toEqual({
      plain: 'a/%2Egit',
      object: 'a/%2Egit%object',
      chunksDir: 'a/%2Egit%chunks',
      meta: '.gateway/meta/a/%2Egit%meta',
    });
    expect(chunkPath(key('a'), 0)).toBe('a%chunks/000000');
    expect(chunkPath(key('a'), 999_999)).toBe('a%chunks/999999');
  });

  test('a seventh digit is refused: the order of names would no longer be the order of bytes', () => {
    expect(() => chunkPath(key('a'), 1_000_000)).toThrow(RangeError);
    expect(() => chunkPath(key('a'), -1)).toThrow(RangeError);
  });

  test.each(['a', 'a/', '%', '.gateway/x', 'a%chunks/000000', `${'y'.repeat(450)}/z`, '😀'.repeat(90)])(
    'are all read back as those of key %s',
    (text) => {
      const paths = pathsOf(key(text));
      expect(classifyPath(paths.plain)).toEqual({ kind: 'plain', key: text });
      expect(classifyPath(paths.object)).toEqual({ kind: 'object', key: text });
      expect(classifyPath(paths.meta)).toEqual({ kind: 'meta', key: text });
      expect(classifyPath(chunkPath(key(text), 17))).toEqual({ kind: 'chunk', key: text, index: 17 });
    },
  );

  test.each([
    '.gateway',
    '.gateway/format.json',
    '.gateway/restore.sh',
    '.gateway/meta/a',
    '.gateway/meta/%meta',
    '.gateway/meta/.git%meta',
    '.gateway/a%meta',
    '.gitattributes',
  ])('%s belongs to the gateway and to no key', (path) => {
    expect(classifyPath(path as TreePath)).toEqual({ kind: 'gateway' });
  });

  test('a .gitattributes further down is somebody else’s', () => {
    expect(classifyPath('a/.gitattributes' as TreePath)).toEqual({ kind: 'foreign' });
  });
});

describe('.gitattributes', () => {
  const lfs = 'filter=lfs diff=lfs merge=lfs -text';

  test('of a generic bucket names chunks only', () => {
    expect(gitattributes(generic)).toBe(`* -text\n**/*%chunks/* ${lfs}\n`);
  });

  test('of a registry bucket names blob data below the root directory', () => {
    expect(gitattributes(rooted)).toBe(
      `* -text\n**/*%chunks/* ${lfs}\n` +
        `images/docker/registry/v2/blobs/**/data ${lfs}\n` +
        `images/docker/registry/v2/blobs/**/data%object ${lfs}\n`,
    );
  });

  test.each([
    ['a b/', 'a[[:space:]]b/'],
    ['*?[x]/', '[*][?][[]x\\]/'],
    ['#a/', '/#a/'],
    ['"a"/', '/"a"/'],
    ['!a/', '/!a/'],
    ['a\\b/', 'a%5Cb/'],
    ['.git/', '%2Egit/'],
  ])('root %s is written %s', (registryRoot, written) => {
    expect(gitattributes({ ...registry, registryRoot })).toContain(
      `\n${written}docker/registry/v2/blobs/**/data ${lfs}\n`,
    );
  });
});
