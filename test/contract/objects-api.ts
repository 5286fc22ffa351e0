/** What every ObjectsApi must do (src/objects/api.ts); run by the service, over gated buckets too, and by the one in memory. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { ObjectKey } from '../../src/format/ids.js';
import type {
  BodyPromise,
  CompletePart,
  Conditions,
  CopyRequest,
  ObjectMeta,
  ObjectsApi,
  RequestBody,
} from '../../src/objects/api.js';
import { ObjectError, type ObjectErrorCode } from '../../src/objects/errors.js';
import { lentRuns, seededBytes } from '../support/bytes.js';

/** Two empty buckets of preset generic, `images` and `other`, and no third. */
export interface ObjectsApiFixture {
  readonly objects: ObjectsApi;
  /** An object of `images` whose bytes Gitee has, and this disk has not. */
  putRemoteOnly(key: ObjectKey, bytes: Uint8Array): Promise<void>;
  /** Gitee answers nothing from now on, or does again. */
  setAway(isAway: boolean): void;
  /** So much time passes. */
  pass(ms: number): Promise<void>;
  /** Lets time pass until it has settled, where the fixture owns the clock. */
  settle<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const context = { signal: new AbortController().signal, requestId: 'test' };
const key = (text: string) => text as ObjectKey;
const K = key('k');
const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64');
const MIB = 1024 ** 2;

function bodyOf(bytes: Uint8Array | string, promise: BodyPromise = {}): RequestBody {
  const all = Buffer.from(bytes);
  return { bytes: lentRuns(all, Math.max(1, Math.ceil(all.length / 3))), promise };
}

/** With which ObjectError it fails; anything else fails the test. */
async function failure(promise: Promise<unknown>): Promise<ObjectError> {
  const error: unknown = await promise.then(
    () => new Error('it resolved'),
    (e: unknown) => e,
  );
  if (!(error instanceof ObjectError)) throw error;
  return error;
}

async function drain(stream: Readable): Promise<Buffer> {
  const out: Buffer[] = [];
  for await (const block of stream) out.push(block as Buffer);
  return Buffer.concat(out);
}

/** Every way in which a request may need bytes that are not here. */
function waysToRead(
  objects: ObjectsApi,
  source: ObjectKey,
): Record<string, (settle: ObjectsApiFixture['settle']) => Promise<unknown>> {
  const from = { sourceBucket: 'images', sourceKey: source, sourceConditions: {} };
  const get = async (range?: { startBytes: number }) => {
    const options = { conditions: {}, ...(range ? { range: { kind: 'from' as const, ...range } } : {}) };
    return drain((await objects.getObject('images', source, options, context)).open());
  };
  const copy = (bucket: string, request: Partial<CopyRequest> = {}) =>
    objects.copyObject(bucket, key('copy'), { ...from, conditions: {}, ...request }, context);
  const partCopy = async (bucket: string, options: { checksumAlgorithm?: 'SHA256' }, endBytes?: number) => {
    const upload = { meta: {}, ...options };
    const { uploadId } = await objects.createMultipartUpload(bucket, K, upload, context);
    const range = endBytes === undefined ? {} : { range: { startBytes: 0, endInclusiveBytes: endBytes - 1 } };
    const part = await objects.uploadPartCopy(bucket, K, uploadId, 1, { ...from, ...range }, context);
    const { checksum, etag } = part;
    const parts = [{ partNumber: 1, etag, ...(checksum ? { checksum } : {}) }];
    return objects.completeMultipartUpload(bucket, K, uploadId, { parts, conditions: {} }, context);
  };
  const ways: Record<string, () => Promise<unknown>> = {
    GetObject: () => get(),
    'GetObject of a range': () => get({ startBytes: 10 }),
    'CopyObject into another bucket': () => copy('other'),
    'CopyObject with a checksum': () => copy('images', { checksumAlgorithm: 'SHA256' }),
    'UploadPartCopy into another bucket': () => partCopy('other', {}),
    'UploadPartCopy with a checksum': () => partCopy('images', { checksumAlgorithm: 'SHA256' }),
    'CompleteMultipartUpload of a part so short that it becomes a file': () => partCopy('images', {}, 20),
  };
  return Object.fromEntries(Object.entries(ways).map(([name, run]) => [name, (settle) => settle(run())]));
}
const WAYS = Object.keys(waysToRead({} as ObjectsApi, K));

export function objectsApiContract(name: string, start: () => Promise<ObjectsApiFixture>): void {
  describe(`${name} as an ObjectsApi`, () => {
    let f: ObjectsApiFixture;
    let o: ObjectsApi;
    beforeEach(async () => {
      f = await start();
      o = f.objects;
    });
    afterEach(async () => {
      f.setAway(false);
      await f.close();
    });

    const put = (
      bytes: Uint8Array | string,
      options: { key?: ObjectKey; meta?: ObjectMeta; conditions?: Conditions; promise?: BodyPromise } = {},
      bucket = 'images',
    ) =>
      f.settle(
        o.putObject(
          bucket,
          options.key ?? K,
          bodyOf(bytes, options.promise),
          { meta: options.meta ?? {}, conditions: options.conditions ?? {} },
          context,
        ),
      );
    const head = (of: ObjectKey = K, conditions: Conditions = {}, bucket = 'images') =>
      o.headObject(bucket, of, { conditions }, context);
    const read = async (of: ObjectKey = K, bucket = 'images') =>
      f.settle(drain((await o.getObject(bucket, of, { conditions: {} }, context)).open()));
    const codeOf = async (promise: Promise<unknown>): Promise<ObjectErrorCode> =>
      (await failure(promise)).code;
    const copy = (request: Partial<CopyRequest> = {}, bucket = 'images') =>
      f.settle(
        o.copyObject(
          bucket,
          key('copy'),
          { sourceBucket: 'images', sourceKey: K, sourceConditions: {}, conditions: {}, ...request },
          context,
        ),
      );

    describe('buckets', () => {
      test('are listed, and known by name', async () => {
        expect((await o.listBuckets()).map((bucket) => bucket.name)).toEqual(['images', 'other']);
        expect((await o.headBucket('other')).name).toBe('other');
        expect(await codeOf(o.headBucket('none'))).toBe('no-such-bucket');
      });

      test('that are there are not made again, that are not there are not deleted', async () => {
        expect(await codeOf(o.createBucket('images', 'owner', context))).toBe('bucket-already-exists');
        expect(await codeOf(o.deleteBucket('none', context))).toBe('no-such-bucket');
      });

      type OfBuckets = 'listBuckets' | 'headBucket' | 'createBucket' | 'deleteBucket';
      const inNone: Record<Exclude<keyof ObjectsApi, OfBuckets>, (o: ObjectsApi) => Promise<unknown>> = {
        putObject: () => put('x', {}, 'none'),
        headObject: () => head(K, {}, 'none'),
        getObject: (api) => api.getObject('none', K, { conditions: {} }, context),
        deleteObject: (api) => api.deleteObject('none', K, {}, context),
        deleteObjects: (api) => api.deleteObjects('none', [K], context),
        copyObject: () => copy({}, 'none'),
        setTags: (api) => api.setTags('none', K, {}, context),
        listObjects: (api) => api.listObjects('none', { prefix: '', limit: 1 }, context),
        createMultipartUpload: (api) => api.createMultipartUpload('none', K, { meta: {} }, context),
        uploadPart: (api) => api.uploadPart('none', K, 'id', 1, bodyOf('x'), context),
        uploadPartCopy: (api) =>
          api.uploadPartCopy(
            'none',
            K,
            'id',
            1,
            { sourceBucket: 'images', sourceKey: K, sourceConditions: {} },
            context,
          ),
        completeMultipartUpload: (api) =>
          api.completeMultipartUpload('none', K, 'id', { parts: [], conditions: {} }, context),
        abortMultipartUpload: (api) => api.abortMultipartUpload('none', K, 'id', context),
        listParts: (api) => api.listParts('none', K, 'id', { afterPartNumber: 0, limit: 1 }, context),
        listMultipartUploads: (api) => api.listMultipartUploads('none', { prefix: '', limit: 1 }, context),
      };
      test('that are not there are none to every operation', async () => {
        await put('x');
        const codes: Record<string, ObjectErrorCode> = {};
        for (const [method, run] of Object.entries(inNone)) codes[method] = await codeOf(run(o));
        expect(codes).toEqual(
          Object.fromEntries(Object.keys(inNone).map((method) => [method, 'no-such-bucket'])),
        );
      });
    });

    describe('putObject', () => {
      test.each([0, 20, 3000])('%i bytes come back as they were', async (sizeBytes) => {
        const bytes = seededBytes(1, sizeBytes);
        const { etag } = await put(bytes);
        const { record, startBytes, endBytes, isPartial } = await head();
        expect([record.etag, record.sizeBytes]).toEqual([etag, sizeBytes]);
        expect([etag, startBytes, endBytes, isPartial]).toEqual([md5(bytes), 0, sizeBytes, false]);
        expect((await read()).equals(bytes)).toBe(true);
      });

      test('keeps all metadata, and the checksum that was asked for', async () => {
        const meta: ObjectMeta = {
          contentType: 'text/plain',
          contentEncoding: 'gzip',
          contentDisposition: 'inline',
          contentLanguage: 'zh',
          cacheControl: 'no-cache',
          expires: 'never',
          storageClass: 'STANDARD_IA',
          userMetadata: { a: '1', ['__proto__']: '2' },
          tags: { t: 'v' },
        };
        const checksum = { algorithm: 'SHA256', type: 'FULL_OBJECT', value: sha256(Buffer.from('abc')) };
        const written = await put('abc', { meta, promise: { checksumAlgorithm: 'SHA256' } });
        expect(written.checksum).toEqual(checksum);
        const { record } = await head();
        expect([record.meta, record.checksum]).toEqual([meta, checksum]);
        expect(Object.keys(record.meta.userMetadata!)).toEqual(['a', '__proto__']);
      });

      test.each<[ObjectErrorCode, BodyPromise]>([
        ['incomplete-body', { lengthBytes: 4 }],
        ['bad-digest', { md5: new Uint8Array(16) }],
        ['content-sha256-mismatch', { sha256Hex: '0'.repeat(64) }],
        ['checksum-mismatch', { checksumAlgorithm: 'CRC32', checksumValue: () => 'AAAAAA==' }],
      ])('a body that breaks its promise is %s, and nothing is stored', async (code, promise) => {
        await put('before');
        expect(await codeOf(put('abc', { promise }))).toBe(code);
        expect((await read()).toString()).toBe('before');
      });

      test('an error of the body is passed on as it is, and nothing is stored', async () => {
        const broken = new Error('the client went away');
        const bytes = (async function* () {
          yield Buffer.from('abc');
          throw broken;
        })();
        const body = { bytes, promise: {} };
        await expect(
          f.settle(o.putObject('images', K, body, { meta: {}, conditions: {} }, context)),
        ).rejects.toBe(broken);
        expect(await codeOf(head())).toBe('no-such-key');
      });

      test('conditions are those of the object as it is', async () => {
        expect(await codeOf(put('x', { conditions: { ifMatch: ['*'] } }))).toBe('no-such-key');
        const { etag } = await put('x', { conditions: { ifNoneMatch: ['*'] } });
        expect(await codeOf(put('y', { conditions: { ifNoneMatch: ['*'] } }))).toBe('precondition-failed');
        expect(await codeOf(put('y', { conditions: { ifMatch: ['other'] } }))).toBe('precondition-failed');
        await put('y', { conditions: { ifMatch: [etag] } });
        expect((await read()).toString()).toBe('y');
      });
    });

    describe('reading', () => {
      test('of what is not there is no-such-key', async () => {
        expect(await codeOf(head())).toBe('no-such-key');
        expect(await codeOf(o.getObject('images', K, { conditions: {} }, context))).toBe('no-such-key');
      });

      test('ranges', async () => {
        const bytes = seededBytes(2, 3000);
        await put(bytes);
        const ranged = async (range: Parameters<ObjectsApi['getObject']>[2]['range']) => {
          const answer = await o.getObject(
            'images',
            K,
            { conditions: {}, ...(range ? { range } : {}) },
            context,
          );
          return { ...answer, bytes: await f.settle(drain(answer.open())) };
        };
        for (const [range, from, to] of [
          [{ kind: 'from', startBytes: 10, endInclusiveBytes: 19 }, 10, 20],
          [{ kind: 'from', startBytes: 2990, endInclusiveBytes: 9999 }, 2990, 3000],
          [{ kind: 'from', startBytes: 1000 }, 1000, 3000],
          [{ kind: 'suffix', lengthBytes: 5 }, 2995, 3000],
          [{ kind: 'part', partNumber: 1 }, 0, 3000],
        ] as const) {
          const answer = await ranged(range);
          expect([answer.startBytes, answer.endBytes, answer.isPartial]).toEqual([from, to, true]);
          expect(answer.bytes.equals(bytes.subarray(from, to))).toBe(true);
        }
        expect(await codeOf(ranged({ kind: 'from', startBytes: 3000 }))).toBe('invalid-range');
        expect(await codeOf(ranged({ kind: 'part', partNumber: 2 }))).toBe('invalid-range');
      });

      test('conditions', async () => {
        const { etag } = await put('x');
        expect(await codeOf(head(K, { ifNoneMatch: [etag] }))).toBe('not-modified');
        expect(await codeOf(head(K, { ifMatch: ['other'] }))).toBe('precondition-failed');
      });

      test('an object that is overwritten meanwhile is read as it was', async () => {
        const [before, after] = [seededBytes(3, 3000), seededBytes(4, 3000)];
        await put(before);
        const answer = await o.getObject('images', K, { conditions: {} }, context);
        await put(after);
        expect((await f.settle(drain(answer.open()))).equals(before)).toBe(true);
      });
    });

    /** As a client that comes again when it was told to: the first who asks after an outage may still be refused. */
    async function heeding<T>(run: () => Promise<T>): Promise<T> {
      for (let refused = 0; refused < 20; refused += 1) {
        try {
          return await run();
        } catch (error) {
          if (!(error instanceof ObjectError) || !error.retryAfterMs) throw error;
          await f.pass(error.retryAfterMs);
        }
      }
      return run();
    }

    describe('while Gitee is away', () => {
      test.each(WAYS)('%s of what is not here says when to come again, and works then', async (way) => {
        await f.putRemoteOnly(key('far'), seededBytes(5, 3000));
        f.setAway(true);
        const run = () => waysToRead(o, key('far'))[way]!((promise) => f.settle(promise));
        const error = await failure(run());
        expect(error.code).toMatch(/^remote-(unavailable|down)$/);
        expect(error.retryAfterMs).toBeGreaterThan(0);
        f.setAway(false);
        await heeding(run);
      });

      test('what is here is served, and heads and lists are', async () => {
        const bytes = seededBytes(6, 3000);
        await put(bytes);
        await f.putRemoteOnly(key('far'), seededBytes(5, 3000));
        f.setAway(true);
        expect((await read()).equals(bytes)).toBe(true);
        expect((await head(key('far'))).record.sizeBytes).toBe(3000);
        expect((await o.listObjects('images', { prefix: '', limit: 9 }, context)).objects).toHaveLength(2);
      });
    });

    describe('deleting', () => {
      test('takes it away, and is no error for what is not there', async () => {
        await put('x');
        for (let i = 0; i < 2; i += 1) await f.settle(o.deleteObject('images', K, {}, context));
        expect(await codeOf(head())).toBe('no-such-key');
      });

      test('under a condition', async () => {
        const { etag } = await put('x');
        const remove = (ifMatch: string) =>
          f.settle(o.deleteObject('images', K, { ifMatch: [ifMatch] }, context));
        expect(await codeOf(remove('other'))).toBe('precondition-failed');
        await remove(etag);
        expect(await codeOf(remove(etag))).toBe('no-such-key');
      });

      test('of many has an answer for each, in order', async () => {
        await put('x');
        const answers = await f.settle(o.deleteObjects('images', [key('never'), K, K], context));
        expect(answers).toEqual([undefined, undefined, undefined]);
        expect(await codeOf(head())).toBe('no-such-key');
      });
    });

    describe('copyObject', () => {
      const meta = { contentType: 'text/plain', storageClass: 'STANDARD_IA', tags: { t: 'v' } };

      test.each(['images', 'other'])(
        'into bucket %s keeps bytes, ETag, metadata, tags, checksum',
        async (to) => {
          for (const bytes of [seededBytes(7, 20), seededBytes(7, 3000)]) {
            const source = await put(bytes, { meta, promise: { checksumAlgorithm: 'CRC32' } });
            const { etag, checksum } = await copy({}, to);
            expect([etag, checksum]).toEqual([source.etag, source.checksum]);
            expect((await read(key('copy'), to)).equals(bytes)).toBe(true);
            const { record } = await head(key('copy'), {}, to);
            expect(record.meta).toEqual({ contentType: 'text/plain', tags: { t: 'v' } });
            expect(record.checksum).toEqual(source.checksum);
          }
        },
      );

      test('with metadata, tags, storage class and checksum of its own', async () => {
        await put('abc', { meta });
        const own = { meta: { contentType: 'a/b' }, tags: {}, checksumAlgorithm: 'SHA256' as const };
        const { checksum } = await copy(own);
        expect(checksum?.value).toBe(sha256(Buffer.from('abc')));
        expect((await head(key('copy'))).record).toMatchObject({ meta: { contentType: 'a/b' }, checksum });
        expect((await head(key('copy'))).record.meta.tags).toBeUndefined();
        await copy({ meta: {}, storageClass: 'IGNORED' });
        expect((await head(key('copy'))).record.meta).toEqual({ tags: { t: 'v' } });
        await copy({ storageClass: 'GLACIER' });
        expect((await head(key('copy'))).record.meta.storageClass).toBe('GLACIER');
      });

      test('of what is not there, or under conditions that do not hold', async () => {
        expect(await codeOf(copy())).toBe('no-such-key');
        const { etag } = await put('x');
        expect(await codeOf(copy({ sourceConditions: { ifNoneMatch: [etag] } }))).toBe('precondition-failed');
        await copy();
        expect(await codeOf(copy({ conditions: { ifNoneMatch: ['*'] } }))).toBe('precondition-failed');
      });
    });

    test('setTags changes tags and nothing else', async () => {
      const bytes = seededBytes(8, 3000);
      await put(bytes, { meta: { contentType: 'a/b', tags: { a: '1' } } });
      const { record } = await head();
      await f.settle(o.setTags('images', K, { b: '2' }, context));
      expect((await head()).record).toMatchObject({
        etag: record.etag,
        lastModifiedMs: record.lastModifiedMs,
        meta: { contentType: 'a/b', tags: { b: '2' } },
      });
      await f.settle(o.setTags('images', K, undefined, context));
      expect((await head()).record.meta).toEqual({ contentType: 'a/b' });
      expect((await read()).equals(bytes)).toBe(true);
      expect(await codeOf(f.settle(o.setTags('images', key('never'), {}, context)))).toBe('no-such-key');
    });

    describe('listObjects', () => {
      const KEYS = ['a', 'a/1', 'a/2', 'b', 'b/1', '\ue000', '\u{1f600}', 'A'];
      const list = async (request: Partial<Parameters<ObjectsApi['listObjects']>[1]> = {}) => {
        const page = await o.listObjects('images', { prefix: '', limit: 100, ...request }, context);
        return { ...page, objects: page.objects.map((item) => item.key as string) };
      };
      beforeEach(async () => {
        for (const name of KEYS) await put(name, { key: key(name) });
      });

      test('is in the order of UTF-8 bytes', async () => {
        expect((await list()).objects).toEqual(['A', 'a', 'a/1', 'a/2', 'b', 'b/1', '\ue000', '\u{1f600}']);
      });

      test('rolls keys up into common prefixes, below a prefix', async () => {
        expect(await list({ delimiter: '/' })).toMatchObject({
          objects: ['A', 'a', 'b', '\ue000', '\u{1f600}'],
          commonPrefixes: ['a/', 'b/'],
          truncated: false,
        });
        expect(await list({ delimiter: '/', prefix: 'a/' })).toMatchObject({
          objects: ['a/1', 'a/2'],
          commonPrefixes: [],
        });
      });

      test.each([1, 2, 3])('page by page of %i gives each once', async (limit) => {
        const seen: string[] = [];
        for (let after: string | undefined; ;) {
          const page = await list({ delimiter: '/', limit, ...(after === undefined ? {} : { after }) });
          expect(page.objects.length + page.commonPrefixes.length).toBeLessThanOrEqual(limit);
          seen.push(...[...page.objects, ...page.commonPrefixes].sort());
          after = page.last;
          if (!page.truncated) break;
        }
        expect([...seen].sort()).toEqual(['A', 'a', 'a/', 'b', 'b/', '\ue000', '\u{1f600}'].sort());
        expect(new Set(seen).size).toBe(seen.length);
      });

      test('after a key inside of a common prefix that prefix is not listed again', async () => {
        expect((await list({ delimiter: '/', after: 'a/1' })).commonPrefixes).toEqual(['b/']);
        expect((await list({ limit: 0 })).objects).toEqual([]);
      });
    });

    describe('multipart uploads', () => {
      const create = async (
        options: Partial<Parameters<ObjectsApi['createMultipartUpload']>[2]> = {},
        of = K,
      ) => (await o.createMultipartUpload('images', of, { meta: {}, ...options }, context)).uploadId;
      const part = (
        uploadId: string,
        partNumber: number,
        bytes: Uint8Array | string,
        promise?: BodyPromise,
      ) => f.settle(o.uploadPart('images', K, uploadId, partNumber, bodyOf(bytes, promise), context));
      const complete = (
        uploadId: string,
        listed: readonly CompletePart[],
        request: Partial<Parameters<ObjectsApi['completeMultipartUpload']>[3]> = {},
      ) =>
        f.settle(
          o.completeMultipartUpload(
            'images',
            K,
            uploadId,
            { parts: listed, conditions: {}, ...request },
            context,
          ),
        );
      const parts = (uploadId: string, afterPartNumber = 0, limit = 100) =>
        o.listParts('images', K, uploadId, { afterPartNumber, limit }, context);

      test('parts become one object, which knows them', async () => {
        const [first, second] = [seededBytes(1, 5 * MIB), seededBytes(2, 1000)];
        const meta = { contentType: 'a/b', userMetadata: { ['__proto__']: 'x', a: '1' }, tags: { t: 'v' } };
        const uploadId = await create({ meta });
        const b = await part(uploadId, 7, second);
        const a = await part(uploadId, 3, first);
        expect([a.etag, b.etag]).toEqual([md5(first), md5(second)]);
        const listed = [
          { partNumber: 3, etag: a.etag },
          { partNumber: 7, etag: b.etag },
        ];
        const { etag } = await complete(uploadId, listed);
        expect(etag).toBe(`${md5(Buffer.concat([a, b].map((p) => Buffer.from(p.etag, 'hex'))))}-2`);
        expect((await read()).equals(Buffer.concat([first, second]))).toBe(true);
        const { record } = await head();
        expect([record.etag, record.meta]).toEqual([etag, meta]);
        expect(Object.keys(record.meta.userMetadata!)).toEqual(['__proto__', 'a']);
        const range = { kind: 'part', partNumber: 2 } as const;
        const ofPart = await o.headObject('images', K, { conditions: {}, range }, context);
        expect(ofPart).toMatchObject({ startBytes: 5 * MIB, endBytes: 5 * MIB + 1000, partsCount: 2 });
        // A client that has not heard the answer asks again.
        expect((await complete(uploadId, listed)).etag).toBe(etag);
        expect(await codeOf(parts(uploadId))).toBe('no-such-upload');
      });

      test('parts are listed in order, page by page; a part sent again replaces the first', async () => {
        const uploadId = await create();
        for (const n of [3, 1, 2]) await part(uploadId, n, `part ${n}`);
        await part(uploadId, 2, 'another');
        const page = await parts(uploadId, 1, 1);
        expect(page).toMatchObject({ upload: { key: K, uploadId }, truncated: true });
        expect(page.parts).toMatchObject([
          { partNumber: 2, etag: md5(Buffer.from('another')), sizeBytes: 7 },
        ]);
        expect((await parts(uploadId, 2)).parts.map((p) => p.partNumber)).toEqual([3]);
        expect((await parts(uploadId)).truncated).toBe(false);
      });

      test('what Complete must not name', async () => {
        const uploadId = await create();
        const [one, two] = [await part(uploadId, 1, 'one'), await part(uploadId, 2, 'two')];
        const p1 = { partNumber: 1, etag: one.etag };
        const p2 = { partNumber: 2, etag: two.etag };
        expect(await codeOf(complete(uploadId, [p2, p1]))).toBe('invalid-part-order');
        expect(await codeOf(complete(uploadId, [p1, p1]))).toBe('invalid-part-order');
        expect(await codeOf(complete(uploadId, [{ ...p1, etag: two.etag }]))).toBe('invalid-part');
        expect(await codeOf(complete(uploadId, [{ partNumber: 9, etag: one.etag }]))).toBe('invalid-part');
        expect(await codeOf(complete(uploadId, [p1, p2]))).toBe('part-too-small');
        expect(await codeOf(complete(uploadId, []))).toBe('invalid-argument');
        expect(await codeOf(complete(uploadId, [p1], { objectSizeBytes: 4 }))).toBe('invalid-request');
        expect(await codeOf(complete(uploadId, [p1], { conditions: { ifMatch: ['*'] } }))).toBe(
          'no-such-key',
        );
        await complete(uploadId, [p2]);
        expect((await read()).toString()).toBe('two');
      });

      test('an upload that is aborted, or of another key, is none', async () => {
        const uploadId = await create();
        const ofOther = o.abortMultipartUpload('images', key('other'), uploadId, context);
        expect(await codeOf(ofOther)).toBe('no-such-upload');
        await o.abortMultipartUpload('images', K, uploadId, context);
        for (const call of [
          () => part(uploadId, 1, 'x'),
          () => parts(uploadId),
          () => complete(uploadId, []),
          () => o.abortMultipartUpload('images', K, uploadId, context),
          () => parts('never'),
        ])
          expect(await codeOf(call())).toBe('no-such-upload');
      });

      test('a part that breaks its promise is not kept', async () => {
        const uploadId = await create();
        expect(await codeOf(part(uploadId, 1, 'abc', { lengthBytes: 2 }))).toBe('incomplete-body');
        expect((await parts(uploadId)).parts).toEqual([]);
      });

      test('a checksum of the upload is that of each part, and of the object', async () => {
        const bytes = Buffer.from('abc');
        const uploadId = await create({ checksumAlgorithm: 'SHA256', checksumType: 'COMPOSITE' });
        expect(await codeOf(part(uploadId, 1, bytes))).toBe('invalid-request');
        const sent = await part(uploadId, 1, bytes, { checksumAlgorithm: 'SHA256' });
        expect(sent.checksum?.value).toBe(sha256(bytes));
        expect((await parts(uploadId)).parts[0]?.checksum?.value).toBe(sha256(bytes));
        expect((await parts(uploadId)).upload).toMatchObject({
          checksumAlgorithm: 'SHA256',
          checksumType: 'COMPOSITE',
        });
        const checksum = { algorithm: 'SHA256' as const, value: sha256(bytes) };
        const listed = [{ partNumber: 1, etag: sent.etag, checksum }];
        const { checksum: whole } = await complete(uploadId, listed);
        const value = `${sha256(createHash('sha256').update(bytes).digest())}-1`;
        expect(whole).toEqual({ algorithm: 'SHA256', type: 'COMPOSITE', value });
        expect((await head()).record.checksum).toEqual(whole);
      });

      test('parts are copied from objects, whole or in part', async () => {
        const bytes = seededBytes(9, 3000);
        await put(bytes, { key: key('source') });
        const uploadId = await create();
        const partCopy = (range?: { startBytes: number; endInclusiveBytes: number }, from = 'source') =>
          f.settle(
            o.uploadPartCopy(
              'images',
              K,
              uploadId,
              1,
              {
                sourceBucket: 'images',
                sourceKey: key(from),
                sourceConditions: {},
                ...(range ? { range } : {}),
              },
              context,
            ),
          );
        expect(await codeOf(partCopy(undefined, 'never'))).toBe('no-such-key');
        expect(await codeOf(partCopy({ startBytes: 0, endInclusiveBytes: 3000 }))).toBe('invalid-argument');
        const { etag } = await partCopy({ startBytes: 100, endInclusiveBytes: 2099 });
        await complete(uploadId, [{ partNumber: 1, etag }]);
        expect((await read()).equals(bytes.subarray(100, 2100))).toBe(true);
      });

      test('uploads are listed in order of key and time, page by page', async () => {
        const ids = [];
        for (const name of ['b/2', 'a', 'b/1', 'a']) {
          ids.push(await create({}, key(name)));
          await f.pass(1);
        }
        const list = (request: Partial<Parameters<ObjectsApi['listMultipartUploads']>[1]> = {}) =>
          o.listMultipartUploads('images', { prefix: '', limit: 100, ...request }, context);
        const all = await list();
        expect(all.uploads.map((u) => u.key)).toEqual(['a', 'a', 'b/1', 'b/2']);
        expect(new Set(all.uploads.map((u) => u.uploadId))).toEqual(new Set(ids));
        expect(await list({ delimiter: '/' })).toMatchObject({ commonPrefixes: ['b/'], truncated: false });
        const seen: string[] = [];
        for (let at: { keyMarker?: string; uploadIdMarker?: string } = {}; ;) {
          const page = await list({ limit: 1, ...at });
          seen.push(...page.uploads.map((u) => u.uploadId));
          if (!page.truncated) break;
          at = { keyMarker: page.nextKeyMarker!, uploadIdMarker: page.nextUploadIdMarker! };
        }
        expect(seen).toEqual(all.uploads.map((u) => u.uploadId));
        // The registry's 3.x driver gives the upload id alone.
        const rest = await list({ uploadIdMarker: all.uploads[1]!.uploadId });
        expect(rest.uploads.map((u) => u.key)).toEqual(['b/1', 'b/2']);
        const two = await list({ delimiter: '/', limit: 2 });
        expect([two.uploads.length, two.commonPrefixes, two.truncated]).toEqual([2, [], true]);
        expect((await list({ keyMarker: 'a' })).uploads.map((u) => u.key)).toEqual(['b/1', 'b/2']);
      });
    });
  });
}
