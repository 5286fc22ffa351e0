/**
 * Random commands against the gateway and against a bucket in a map; both must show the same, over restarts,
 * kill -9 and the loss of the state directory. A failure prints its seed: MODEL_SEED repeats it.
 */
import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectTaggingCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { ModelBucket } from '../../support/model-bucket.js';
import { encodePath } from '../../support/s3-client.js';
import { bytesOf, md5Hex, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const Bucket = 'files';
const POINTER = Buffer.from(
  `version https://git-lfs.github.com/spec/v1\noid sha256:${'c'.repeat(64)}\nsize 7\n`,
);

const key = fc.constantFrom(
  ...['a', 'a/', 'a/b', 'a/b/c', 'a//b', 'a%object', 'a%chunks/000000', 'b', '..', '.git/x', '中/é', 'é'],
  'k'.repeat(300),
);
const body = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom(0, 1, 65_536, 65_537, 200_000), fc.nat(5))
      .map(([n, s]) => bytesOf(n, `${s}`)),
  },
  { weight: 1, arbitrary: fc.nat(2).map((s) => bytesOf(8 * MIB + 5, `${s}`)) },
  { weight: 1, arbitrary: fc.constant(POINTER) },
);
const words = fc.dictionary(fc.constantFrom('x', 'y', 'z'), fc.constantFrom('1', 'two words', ''), {
  maxKeys: 2,
});

const command = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('put' as const), key, body, metadata: words, tags: words }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('copy' as const), from: key, to: key, replace: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('delete' as const),
      keys: fc.array(key, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('tag' as const), key, tags: words }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('parts' as const), key, from: key, last: body }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('range' as const), key, at: fc.nat(70_000), length: fc.nat(10) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('list' as const),
      prefix: fc.constantFrom('', 'a', 'a/', 'k', '中'),
      delimiter: fc.constantFrom('', '/', 'b', '//'),
      after: fc.constantFrom('', 'a', 'a/', 'a/b', 'b'),
      pageSize: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'kill' as const, 'rebuild' as const) }),
  },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

describe('a bucket under random commands', () => {
  let bucket: S3Bucket;
  const model = new ModelBucket();
  const pathOf = (k: string) => `/files/${encodePath(k)}`;
  const sourceOf = (k: string) => `files/${encodePath(k)}`;

  beforeAll(async () => {
    bucket = await startS3Bucket({ config: { commit: { interval: '200ms' } } });
  }, 60_000);
  afterAll(() => bucket.close());

  /** What HEAD says of a key that was just written. */
  async function learn(
    k: string,
    known: { bytes: Buffer; metadata: Record<string, string>; tags: Record<string, string> },
  ) {
    const head = await bucket.wire.send({ method: 'HEAD', path: pathOf(k) });
    expect([head.status, head.headers['content-length']]).toEqual([200, String(known.bytes.length)]);
    model.set(k, { ...known, etag: head.headers.etag!, lastModified: head.headers['last-modified']! });
  }

  async function run(c: Command): Promise<void> {
    const { s3, stack } = bucket;
    switch (c.do) {
      case 'put': {
        const { key: Key, body: Body, metadata, tags } = c;
        const Tagging = new URLSearchParams(tags).toString();
        const { ETag } = await s3.send(
          new PutObjectCommand({ Bucket, Key, Body, Metadata: metadata, ...(Tagging ? { Tagging } : {}) }),
        );
        expect(ETag).toBe(`"${md5Hex(Body)}"`);
        await learn(Key, { bytes: Body, metadata, tags });
        return;
      }
      case 'copy': {
        const source = model.get(c.from);
        const Metadata = { replaced: 'yes' };
        const request = s3.send(
          new CopyObjectCommand({
            Bucket,
            Key: c.to,
            CopySource: sourceOf(c.from),
            ...(c.replace ? { MetadataDirective: 'REPLACE' as const, Metadata } : {}),
          }),
        );
        if (!source || (c.from === c.to && !c.replace)) {
          expect(await refusal(request)).toEqual(source ? [400, 'InvalidRequest'] : expect.anything());
          return;
        }
        await request;
        const { bytes, metadata, tags } = source;
        await learn(c.to, { bytes, metadata: c.replace ? Metadata : metadata, tags });
        return;
      }
      case 'delete': {
        const answer = await s3.send(
          new DeleteObjectsCommand({
            Bucket,
            Delete: { Objects: c.keys.map((Key) => ({ Key })), Quiet: true },
          }),
        );
        expect(answer.Errors).toBeUndefined();
        for (const k of c.keys) model.delete(k);
        return;
      }
      case 'tag': {
        const TagSet = Object.entries(c.tags).map(([Key, Value]) => ({ Key, Value }));
        const result = await refusal(
          s3.send(new PutObjectTaggingCommand({ Bucket, Key: c.key, Tagging: { TagSet } })),
        );
        const object = model.get(c.key);
        expect(result).toEqual(object ? [200] : [404, 'NoSuchKey']);
        if (object) model.set(c.key, { ...object, tags: c.tags });
        return;
      }
      case 'parts':
        return uploadParts(c.key, c.from, c.last);
      case 'range': {
        const object = model.get(c.key);
        const range = `bytes=${c.at}-${c.at + c.length}`;
        const answer = await bucket.wire.send({ method: 'GET', path: pathOf(c.key), headers: { range } });
        const expected = object?.bytes.subarray(c.at, c.at + c.length + 1);
        expect(answer.status).toBe(!object ? 404 : expected!.length > 0 ? 206 : 416);
        if (answer.status === 206) expect(answer.body.equals(expected!)).toBe(true);
        return;
      }
      case 'list':
        return list(c.prefix, c.delimiter, c.after, c.pageSize);
      case 'restart':
        return stack.gateway.restart();
      case 'kill':
        await stack.gateway.kill();
        return stack.gateway.start();
      case 'rebuild':
        await bucket.landed();
        await stack.gateway.stop();
        await rm(stack.gateway.stateDirectory, { recursive: true });
        return stack.gateway.start();
    }
  }

  /** A part that is copied where the source is long enough, or sent; and a last one. */
  async function uploadParts(Key: string, from: string, last: Buffer): Promise<void> {
    const { s3 } = bucket;
    const source = model.get(from);
    const { UploadId } = await s3.send(
      new CreateMultipartUploadCommand({ Bucket, Key, Metadata: { by: 'parts' } }),
    );
    const isCopied = source !== undefined && source.bytes.length > 5 * MIB + 1;
    const first = isCopied ? source.bytes.subarray(1) : bytesOf(5 * MIB, 'first');
    const one = { Bucket, Key, UploadId, PartNumber: 1 };
    const CopySourceRange = `bytes=1-${first.length}`;
    const etags = [
      isCopied
        ? (await s3.send(new UploadPartCopyCommand({ ...one, CopySource: sourceOf(from), CopySourceRange })))
            .CopyPartResult!.ETag
        : (await s3.send(new UploadPartCommand({ ...one, Body: first }))).ETag,
      (await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 2, Body: last }))).ETag,
    ];
    const done = await s3.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key,
        UploadId,
        MultipartUpload: { Parts: etags.map((ETag, i) => ({ PartNumber: i + 1, ETag })) },
      }),
    );
    await learn(Key, { bytes: Buffer.concat([first, last]), metadata: { by: 'parts' }, tags: {} });
    expect(model.get(Key)!.etag).toBe(done.ETag);
  }

  async function list(prefix: string, delimiter: string, after: string, pageSize: number): Promise<void> {
    const found = { keys: [] as string[], prefixes: [] as string[] };
    let token: string | undefined;
    do {
      const page = await bucket.wire.send({
        method: 'GET',
        path: '/files',
        query: {
          'list-type': '2',
          'encoding-type': 'url',
          'max-keys': String(pageSize),
          prefix,
          ...(delimiter ? { delimiter } : {}),
          ...(after ? { 'start-after': after } : {}),
          ...(token ? { 'continuation-token': token } : {}),
        },
      });
      const count = Number(page.xml('KeyCount'));
      token = page.xml('NextContinuationToken');
      expect(count <= pageSize && (token === undefined || count === pageSize)).toBe(true);
      found.keys.push(...page.xmlAll('Key').map(decodeURIComponent));
      found.prefixes.push(
        ...page
          .xmlAll('CommonPrefixes')
          .map((p) => decodeURIComponent(p.replace(/^<Prefix>|<\/Prefix>$/g, ''))),
      );
    } while (token !== undefined);
    expect(found).toEqual(model.list(prefix, delimiter, after));
  }

  async function compareAll(): Promise<void> {
    const listed = await bucket.listing();
    expect(listed.map((o) => o.key)).toEqual(model.keys());
    for (const { key: k, etag, sizeBytes } of listed) {
      const object = model.get(k)!;
      const got = await bucket.wire.send({ method: 'GET', path: pathOf(k) });
      const metadata = Object.entries(got.headers).flatMap(([name, value]) =>
        name.startsWith('x-amz-meta-') ? [[name.slice(11), value] as const] : [],
      );
      const tags = (await bucket.s3.send(new GetObjectTaggingCommand({ Bucket, Key: k }))).TagSet!;
      expect({
        key: k,
        isRight: got.body.equals(object.bytes),
        listed: [etag, sizeBytes],
        etag: got.headers.etag,
        lastModified: got.headers['last-modified'],
        metadata: Object.fromEntries(metadata),
        tags: Object.fromEntries(tags.map((t) => [t.Key, t.Value])),
      }).toEqual({
        key: k,
        isRight: true,
        listed: [object.etag, object.bytes.length],
        etag: object.etag,
        lastModified: object.lastModified,
        metadata: object.metadata,
        tags: object.tags,
      });
    }
  }

  it('shows what S3 would show, whatever happens to the gateway', async () => {
    const seed = Number(process.env['MODEL_SEED'] ?? randomInt(2 ** 31));
    const perRun = { minLength: 30, maxLength: 60 };
    await fc.assert(
      fc.asyncProperty(fc.array(command, perRun), async (commands) => {
        for (const k of model.keys()) await bucket.wire.send({ method: 'DELETE', path: pathOf(k) });
        model.clear();
        for (const [i, c] of commands.entries()) {
          await run(c).catch((error: unknown) => {
            throw new Error(`command ${i}, ${describeCommand(c)}`, { cause: error });
          });
          if (c.do === 'restart' || c.do === 'kill' || c.do === 'rebuild') await compareAll();
        }
        await compareAll();
        await run({ do: 'rebuild' });
        await compareAll();
      }),
      // Shrinking would run for an hour; the seed repeats what failed.
      { seed, numRuns: Number(process.env['MODEL_RUNS'] ?? 3), endOnFailure: true },
    );
    const fsck = await bucket.stack.gateway.cli('fsck', '--deep', '--json');
    expect([fsck.code, fsck.stderr]).toEqual([0, '']);
  }, 300_000);
});

function describeCommand(c: Command): string {
  return JSON.stringify(c, (_name, value: unknown) =>
    typeof value === 'object' && value !== null && 'data' in value ? 'bytes' : value,
  );
}
