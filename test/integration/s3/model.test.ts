/**
 * Random commands against the gateway and against a bucket in a map; both must show the same, over restarts,
 * kill -9 and the loss of the state directory. A failure prints its seed: MODEL_SEED repeats it.
 */
import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  DeleteObjectTaggingCommand,
  GetObjectTaggingCommand,
  ListPartsCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import {
  ModelBucket,
  type ModelAnswer,
  type ModelConditions,
  type ModelContent,
  type ModelUpload,
} from '../../support/model-bucket.js';
import { command, type Command } from '../../support/model-commands.js';
import { encodePath } from '../../support/s3-client.js';
import { bytesOf, md5Hex, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { TEST_LIMIT_MS } from '../../support/time-limits.js';

const MIB = 1024 * 1024;
const RUNS = Number(process.env['MODEL_RUNS'] ?? 3);
const Bucket = 'files';

describe('a bucket under random commands', () => {
  let bucket: S3Bucket;
  const model = new ModelBucket();
  const pathOf = (k: string) => `/files/${encodePath(k)}`;
  const sourceOf = (k: string) => `files/${encodePath(k)}`;

  beforeAll(async () => {
    bucket = await startS3Bucket({ config: { commit: { interval: '200ms' } } });
  });
  afterAll(() => bucket.close());

  /** What HEAD says of a key that was just written. */
  async function learn(k: string, known: ModelContent) {
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
        const Metadata = { replaced: 'yes' };
        const tags = { replaced: 'too' };
        const copied = model.copy(c.from, c.to, {
          ...(c.replace ? { metadata: Metadata } : {}),
          ...(c.replaceTags ? { tags } : {}),
        });
        const request = s3.send(
          new CopyObjectCommand({
            Bucket,
            Key: c.to,
            CopySource: sourceOf(c.from),
            ...(c.replace ? { MetadataDirective: 'REPLACE' as const, Metadata } : {}),
            ...(c.replaceTags ? { TaggingDirective: 'REPLACE' as const, Tagging: 'replaced=too' } : {}),
          }),
        );
        if (isAnswer(copied)) expect(await refusal(request)).toEqual(copied);
        else {
          await request;
          await learn(c.to, copied);
        }
        return;
      }
      case 'put-if':
      case 'delete-if': {
        const { etag = '"0123"' } = model.get(c.key) ?? {};
        const conditions: ModelConditions =
          c.condition === 'none'
            ? { ifNoneMatch: '*' }
            : { ifMatch: c.condition === 'any' ? '*' : c.condition === 'match' ? etag : '"4567"' };
        if (c.do === 'delete-if' && c.condition === 'none') return;
        const may = model.mayWrite(c.key, conditions);
        const sent = {
          Bucket,
          Key: c.key,
          ...(conditions.ifMatch ? { IfMatch: conditions.ifMatch } : {}),
          ...(conditions.ifNoneMatch ? { IfNoneMatch: '*' } : {}),
        };
        const request =
          c.do === 'put-if'
            ? s3.send(new PutObjectCommand({ ...sent, Body: c.body }))
            : s3.send(new DeleteObjectCommand(sent));
        expect(await refusal(request)).toEqual(may);
        if (may[0] !== 200) return;
        if (c.do === 'delete-if') model.delete(c.key);
        else await learn(c.key, { bytes: c.body, metadata: {}, tags: {} });
        return;
      }
      case 'delete-one':
        await s3.send(new DeleteObjectCommand({ Bucket, Key: c.key }));
        model.delete(c.key);
        return;
      case 'create': {
        const { key: Key, metadata: Metadata } = c;
        const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, Metadata }));
        model.openUpload(UploadId!, Key, Metadata);
        return;
      }
      case 'send-part': {
        const upload = uploadAt(c.upload);
        if (!upload) return;
        const { number: PartNumber, body: Body } = c;
        const { ETag } = await s3.send(
          new UploadPartCommand({ Bucket, Key: upload.key, UploadId: upload.id, PartNumber, Body }),
        );
        expect(ETag).toBe(`"${md5Hex(Body)}"`);
        model.putPart(upload.id, PartNumber, { bytes: Body, etag: ETag! });
        return;
      }
      case 'complete':
        return complete(c);
      case 'abort': {
        const upload = uploadAt(c.upload);
        if (!upload) return;
        const abort = () =>
          refusal(s3.send(new AbortMultipartUploadCommand({ Bucket, Key: upload.key, UploadId: upload.id })));
        expect(await abort()).toEqual(model.abort(upload.id));
        expect(await abort()).toEqual(model.abort(upload.id));
        return;
      }
      case 'uploads':
        return listUploads(c.pageSize);
      case 'untag': {
        const object = model.get(c.key);
        const result = await refusal(s3.send(new DeleteObjectTaggingCommand({ Bucket, Key: c.key })));
        expect(result).toEqual(object ? [200] : [404, 'NoSuchKey']);
        if (object) model.set(c.key, { ...object, tags: {} });
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
        const range = `bytes=${c.at}-${c.at + c.length}`;
        const answer = await bucket.wire.send({ method: 'GET', path: pathOf(c.key), headers: { range } });
        const expected = model.range(c.key, c.at, c.at + c.length);
        if (typeof expected === 'number') expect(answer.status).toBe(expected);
        else expect([answer.status, answer.body.equals(expected)]).toEqual([206, true]);
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
        // Open uploads are in the state directory alone: they end with it.
        for (const { id, key: Key } of model.uploads()) {
          await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }));
          model.abort(id);
        }
        model.forgetCompleted();
        await bucket.landed();
        await stack.gateway.stop();
        await rm(stack.gateway.stateDirectory, { recursive: true });
        return stack.gateway.start();
    }
  }

  /** One of the open uploads. */
  function uploadAt(index: number): ModelUpload | undefined {
    const open = model.uploads();
    return open[index % Math.max(1, open.length)];
  }

  async function complete(c: Command & { do: 'complete' }): Promise<void> {
    const upload = uploadAt(c.upload);
    if (!upload) return;
    const sent = [...upload.parts.keys()].sort((a, b) => a - b);
    const numbers =
      c.spoil === 'empty'
        ? []
        : c.spoil === 'reverse'
          ? [...sent].reverse()
          : c.spoil === 'drop'
            ? sent.slice(1)
            : sent;
    const Parts = numbers.map((n) => ({ PartNumber: n, ETag: upload.parts.get(n)!.etag }));
    const request = () =>
      bucket.s3.send(
        new CompleteMultipartUploadCommand({
          Bucket,
          Key: upload.key,
          UploadId: upload.id,
          MultipartUpload: { Parts },
          ...(c.ifNoneMatch ? { IfNoneMatch: '*' } : {}),
        }),
      );
    const expected = model.complete(upload.id, numbers, c.ifNoneMatch ? { ifNoneMatch: '*' } : {});
    if (isAnswer(expected)) {
      expect(await refusal(request())).toEqual(expected);
      return;
    }
    const { ETag } = await request();
    model.completed(upload.id, numbers, ETag!);
    await learn(expected.key, expected.content);
    expect(model.get(expected.key)!.etag).toBe(ETag);
    if (c.again) expect((await request()).ETag).toBe(model.etagOf(upload.id));
  }

  /** All open uploads by pages, and the parts of each. */
  async function listUploads(pageSize: number): Promise<void> {
    const open: string[][] = [];
    let markers = {};
    for (;;) {
      const query = { uploads: '', 'encoding-type': 'url', 'max-uploads': String(pageSize), ...markers };
      const page = await bucket.wire.send({ method: 'GET', path: '/files', query });
      const ids = page.xmlAll('UploadId');
      open.push(...page.xmlAll('Key').map((k, i) => [decodeURIComponent(k), ids[i]!]));
      if (page.xml('IsTruncated') !== 'true') break;
      markers = {
        'key-marker': decodeURIComponent(page.xml('NextKeyMarker')!),
        'upload-id-marker': page.xml('NextUploadIdMarker')!,
      };
    }
    expect(open).toEqual(model.uploads().map((u) => [u.key, u.id]));
    for (const { key: Key, id: UploadId, parts } of model.uploads()) {
      const listed = await bucket.s3.send(new ListPartsCommand({ Bucket, Key, UploadId }));
      expect((listed.Parts ?? []).map((p) => [p.PartNumber, p.ETag, p.Size])).toEqual(
        [...parts].sort(([a], [b]) => a - b).map(([n, part]) => [n, part.etag, part.bytes.length]),
      );
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

  test(
    'shows what S3 would show, whatever happens to the gateway',
    async () => {
      const seed = Number(process.env['MODEL_SEED'] ?? randomInt(2 ** 31));
      const perRun = { minLength: 30, maxLength: 60 };
      let done = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(command, perRun), async (commands) => {
          for (const k of model.keys()) await bucket.wire.send({ method: 'DELETE', path: pathOf(k) });
          for (const { key: Key, id: UploadId } of model.uploads())
            await bucket.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
          model.clear();
          for (const [i, c] of commands.entries()) {
            done += 1;
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
        { seed, numRuns: RUNS, endOnFailure: true },
      );
      const fsck = await bucket.stack.gateway.cli('fsck', '--deep', '--json');
      expect([fsck.code, fsck.stderr]).toEqual([0, '']);
      if (process.env['MODEL_RUNS'] !== undefined) process.stdout.write(`${done} commands, seed ${seed}\n`);
    },
    TEST_LIMIT_MS * (1 + RUNS),
  );
});

function isAnswer(result: object): result is ModelAnswer {
  return Array.isArray(result);
}

function describeCommand(c: Command): string {
  return JSON.stringify(c, (_name, value: unknown) =>
    typeof value === 'object' && value !== null && 'data' in value ? 'bytes' : value,
  );
}
