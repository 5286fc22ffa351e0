/**
 * Whoever may push to the branch may put anything there. Arbitrary trees beside objects of ours: whatever they say costs
 * the keys that they stand at and nothing else, following the branch gives what reading it anew gives, and what clients
 * write goes on landing.
 */
import { afterEach, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { systemClock } from '../../src/async/clock.js';
import { silentLog } from '../../src/async/log.js';
import type { ObjectKey } from '../../src/format/ids.js';
import { escapeKey } from '../../src/format/key-escape.js';
import { KeyIndex } from '../../src/index/key-index.js';
import { LmdbStore } from '../../src/index/lmdb-store.js';
import type { ObjectRecord } from '../../src/index/object-record.js';
import { fillBase } from '../../src/index/rebuild.js';
import { objectHeaders } from '../../src/s3/object-headers.js';
import { Query } from '../../src/s3/request-target.js';
import { isoTime } from '../../src/s3/xml/write.js';
import { GENERIC, JournalBucket, REGISTRY, signal } from '../support/journal-bucket.js';
import { MemoryHeadRemote, MemoryRepository } from '../support/memory-head-remote.js';
import { rounds } from '../support/rounds.js';

const BLOB = 'docker/registry/v2/blobs/sha256/aa/aa/data';
/** Keys that hostile files stand at; some are directories of others. */
const HOSTILE = ['x', 'x/y', 'x!', 'x y', 'x%', 'é', 'dir/', BLOB, 'docker/registry/v2/repositories/a/link'];
const SAFE = { 'safe/plain': 'p', 'safe/large': 'l'.repeat(250), 'sa%fe': 'e', 'docker/safe/link': 's' };

const oid = (n: number) => createHash('sha256').update(String(n)).digest('hex');
const pointer = (size: string, n = 0) =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${oid(n)}\nsize ${size}\n`;

const sizes = fc.oneof(
  fc.constantFrom(
    '0',
    '1',
    '100',
    '-1',
    '-0',
    '+7',
    '007',
    '1e3',
    '0x10',
    '٣',
    '',
    '9'.repeat(800),
    `${'0'.repeat(800)}5`,
  ),
  fc.bigInt({ min: 2n ** 46n, max: 2n ** 65n }).map(String),
  fc.constantFrom(...[31n, 32n, 47n, 48n, 53n, 63n, 64n].flatMap((n) => [2n ** n - 1n, 2n ** n]).map(String)),
);
const pointers = fc.tuple(sizes, fc.nat(3)).map(([size, n]) => pointer(size, n));
const times = fc.oneof(
  fc.constantFrom(
    0,
    1,
    -1,
    1e12,
    8.64e15,
    8.64e15 + 1,
    2 ** 53,
    1e300,
    Infinity,
    -Infinity,
    NaN,
    253402300800000,
  ),
  fc.integer(),
  fc.double(),
);
const texts = fc.oneof(
  fc.constantFrom(
    'ok',
    '',
    'a\r\nSet-Cookie: b',
    '"',
    'é',
    '\u0000',
    '__proto__',
    'x'.repeat(5000),
    '\ud800',
  ),
  fc.string(),
);
const numbers = fc.oneof(times, fc.constantFrom(2 ** 48, 2 ** 47, 250, 1, 0));
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const plains = fc.oneof(fc.constantFrom('', 'plain', 'other'), fc.string({ maxLength: 80 }));
const blobId = (text: string) =>
  createHash('sha1')
    .update(`blob ${Buffer.byteLength(text)}\0${text}`)
    .digest('hex');

/** A document that is about this plain file, and lies about the rest. */
const metaOf = (content: string) =>
  fc
    .record({
      etag: texts,
      lastModifiedMs: numbers,
      meta: fc.record({
        contentType: maybe(texts),
        expires: maybe(texts),
        storageClass: maybe(texts),
        userMetadata: maybe(fc.dictionary(texts, texts, { maxKeys: 2 })),
        tags: maybe(fc.dictionary(texts, texts, { maxKeys: 2 })),
      }),
      checksum: maybe(
        fc.record({ algorithm: fc.constant('SHA256'), type: fc.constant('FULL_OBJECT'), value: texts }),
      ),
      partSizesBytes: maybe(fc.array(numbers, { maxLength: 3 })),
      describes: fc.record({
        blobId: fc.constant(blobId(content)),
        sizeBytes: fc.oneof(fc.constant(Buffer.byteLength(content)), numbers),
      }),
    })
    .map((doc) => JSON.stringify(doc));

type Files = Record<string, string | Uint8Array | null>;

const filesOfKey: fc.Arbitrary<Files> = fc
  .tuple(fc.constantFrom(...HOSTILE), plains)
  .chain(([name, content]) => {
    const path = escapeKey(name as ObjectKey);
    const file = fc.oneof(fc.constant(content), pointers, fc.constant(pointer('5\next-0-a sha256:x')));
    const chunk = fc.oneof({ weight: 3, arbitrary: pointers }, { weight: 1, arbitrary: file });
    return fc.oneof(
      file.map((f) => ({ [path]: f })),
      file.map((f) => ({ [`${path}%object`]: f })),
      fc.tuple(file, file).map(([f, g]) => ({ [path]: f, [`${path}%object`]: g })),
      fc
        .dictionary(
          fc.constantFrom('000000', '000001', '000002', '999999', '0000000', 'README', 'sub/000000'),
          chunk,
        )
        .map((d) => Object.fromEntries(Object.entries(d).map(([n, c]) => [`${path}%chunks/${n}`, c]))),
      fc.tuple(sizes, sizes).map(([a, b]) => ({
        [`${path}%chunks/000000`]: pointer(a),
        [`${path}%chunks/000001`]: pointer(b, 1),
      })),
      fc
        .tuple(fc.oneof(metaOf(content), texts, fc.constant('{"etag":"x"}')), fc.constantFrom('', '%object'))
        .map(([m, form]) => ({ [`${path}${form}`]: content, [`.gateway/meta/${path}%meta`]: m })),
      fc
        .constantFrom(path, `${path}%object`, `${path}%chunks/000000`, `.gateway/meta/${path}%meta`)
        .map((p) => ({ [p]: null })),
    );
  });
const odd: fc.Arbitrary<Files> = fc
  .tuple(
    fc.constantFrom(
      '%zz',
      'x%41',
      'x%chunks',
      '.gateway/own',
      '.gateway/meta/%zz%meta',
      '.gateway/meta/x',
      '%object',
      'x%2F',
      'x%object/file',
      '.gateway/meta/x%meta/file',
      '.gateway/meta',
      '.gitattributes/file',
      '.gateway/restore.sh',
    ),
    fc.oneof(plains, pointers),
  )
  .map(([path, content]) => ({ [path]: content }));
const large: fc.Arbitrary<Files> = fc
  .constantFrom('x', 'x%object', 'x%chunks/000000', '.gateway/meta/x%meta')
  .map((path) => ({ [path]: LARGE }));
/** Larger than any plain file; a counterexample shows its name. */
const LARGE = Object.assign(new Uint8Array(16 * 1024 * 1024 + 1), { [fc.toStringMethod]: () => 'LARGE' });

const commits = fc.array(
  fc.record({
    timeMs: times,
    files: fc.array(
      fc.oneof(
        { weight: 12, arbitrary: filesOfKey },
        { weight: 3, arbitrary: odd },
        { weight: 1, arbitrary: large },
      ),
      {
        minLength: 1,
        maxLength: 5,
      },
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

/** Of a key that gives way to a directory a file of another form is left, and is an object then. */
const LEFT_OVER: [{ timeMs: number; files: Files[] }[], string[]][] = ['x%object', 'x%chunks/000000'].map(
  (path) => [
    [
      { timeMs: 0, files: [{ [path]: pointer('2147483647') }] },
      { timeMs: 0, files: [{ x: LARGE }] },
    ],
    ['x/y/z'],
  ],
);

/** A path is a file or a directory: what comes later counts. */
function asTree(old: ReadonlyMap<string, unknown>, files: Files): Files {
  const wanted: Files = {};
  const paths = new Set(old.keys());
  for (const [path, content] of Object.entries(files)) {
    for (const other of paths)
      if (
        other !== path &&
        content !== null &&
        (other.startsWith(`${path}/`) || path.startsWith(`${other}/`))
      ) {
        wanted[other] = null;
        paths.delete(other);
      }
    wanted[path] = content;
    if (content === null) paths.delete(path);
    else paths.add(path);
  }
  return wanted;
}

/** What an answer says of an object, written as answers are; throws where a server would. */
function written(record: ObjectRecord): string {
  const headers = objectHeaders(
    { record, startBytes: 0, endBytes: record.sizeBytes, isPartial: false },
    { query: new Query([]), wantsChecksum: true },
  );
  for (const value of Object.values(headers)) expect(value).not.toMatch(/[^\t\u0020-\u007e\u0080-\u00ff]/);
  expect(Number.isSafeInteger(record.sizeBytes)).toBe(true);
  expect(isoTime(record.lastModifiedMs)).toMatch(/^\d{4}-/);
  const { 'Last-Modified': _time, ...rest } = headers;
  return JSON.stringify([rest, record.partSizesBytes, record.meta.tags]);
}

async function shown(b: JournalBucket): Promise<Map<string, string>> {
  const page = await b.state.page('', undefined, 1000);
  return new Map(page.map(({ key: name, record }) => [name, written(record)]));
}

/** What a new gateway would make of the branch. */
async function readAnew(b: JournalBucket): Promise<{ objects: Map<string, string>; damaged: number }> {
  const directory = await mkdtemp(join(tmpdir(), 'hostile-tree-'));
  directories.push(directory);
  const index = await KeyIndex.open(LmdbStore.open(directory), systemClock);
  const remote = new MemoryHeadRemote(b.repository);
  await fillBase({ remote, rules: b.rules, log: silentLog, onProgress: () => {} }, index, {
    head: b.repository.head,
    landedSeq: 0,
  });
  const page = await index.page(new Uint8Array(0), undefined, 1000);
  const damaged = index.damagedCount;
  await index.close();
  return { objects: new Map(page.map(({ key: name, record }) => [name, written(record)])), damaged };
}

const directories: string[] = [];
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});

async function expectSafe(b: JournalBucket): Promise<void> {
  const objects = await shown(b);
  for (const [name, content] of Object.entries(SAFE)) {
    expect(await b.read(name)).toBe(content);
    expect(objects.has(name)).toBe(true);
  }
}

test.each([
  ['generic', GENERIC],
  ['registry', REGISTRY],
])('a hostile tree costs the keys that it touches and nothing else (%s)', async (_, rules) => {
  await fc.assert(
    fc.asyncProperty(
      commits,
      fc.uniqueArray(fc.constantFrom(...HOSTILE, 'x/y/z'), { maxLength: 3 }),
      async (history, writes) => {
        let nowMs = 1_700_000_000_000;
        const b = await JournalBucket.open({ rules }, new MemoryRepository(() => nowMs));
        try {
          await b.start();
          for (const [name, content] of Object.entries(SAFE)) await b.landed(await b.put(name, content));
          for (const { timeMs, files } of history) {
            nowMs = timeMs;
            const old = b.repository.commit(b.repository.head!).tree;
            b.repository.foreignCommit(asTree(old, Object.assign({}, ...files)));
            await b.bucket.follower.followOnce(signal);
            expect(b.state.status().frozen).toBeUndefined();
            await expectSafe(b);
            const anew = await readAnew(b);
            if (rules.preset === 'generic') expect(await shown(b)).toEqual(anew.objects);
            expect([...(await shown(b)).keys()]).toEqual([...anew.objects.keys()]);
            expect(b.state.status().damagedObjects).toBe(anew.damaged);
          }
          for (const name of [...writes, 'new']) await b.landed(await b.put(name, `new ${name}`));
          expect(b.state.status()).toMatchObject({ pendingChanges: 0, quarantinedChanges: 0 });
          for (const name of [...writes, 'new']) expect(await b.read(name)).toBe(`new ${name}`);
          await expectSafe(b);
          expect(b.state.status().damagedObjects).toBe((await readAnew(b)).damaged);
          expect((await b.bucket.check({ deep: true })).flatMap((step) => step.problems)).toEqual([]);
          expect(b.fatal).toEqual([]);
          await b.bucket.rebuild();
          await expectSafe(b);
          for (const name of [...writes, 'new']) expect(await b.read(name)).toBe(`new ${name}`);
        } finally {
          await b.remove();
        }
      },
    ),
    { numRuns: LEFT_OVER.length + rounds(23), examples: LEFT_OVER },
  );
});
