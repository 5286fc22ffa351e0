/**
 * Design, "State": the base is rebuilt from one git fetch. A generic bucket on an empty state directory is the
 * bucket that it was: bytes, headers, ETags, checksums, times, tags and listing.
 */
import { rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  GetObjectTaggingCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CreateMultipartUploadCommandInput,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { chunkedBody } from '../../support/aws-chunked-body.js';
import { mustRun } from '../../support/child.js';
import { completedPart } from '../../support/multipart-client.js';
import { FORM_TYPE, formBody, signedForm } from '../../support/post-form.js';
import { bytesOf, md5Hex, startS3Bucket, type ListedObject, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const Bucket = 'files';

describe('a generic bucket after the loss of its state directory', () => {
  let bucket: S3Bucket;
  const put = (Key: string, Body: string | Buffer, more: Partial<PutObjectCommandInput> = {}) =>
    bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));

  beforeAll(async () => {
    bucket = await startS3Bucket({ config: { commit: { interval: '300ms' } } });
  });
  afterAll(() => bucket.close());

  /** All that a client can see of every object. */
  async function everything(): Promise<unknown[]> {
    const look = async (object: ListedObject) => {
      const path = `/files/${object.key.split('/').map(encodeStrictly).join('/')}`;
      const got = await bucket.wire.send({
        method: 'GET',
        path,
        headers: { 'x-amz-checksum-mode': 'ENABLED' },
      });
      const { date: _, 'x-amz-request-id': _id, 'x-amz-id-2': _id2, ...headers } = got.headers;
      const tags = await bucket.s3.send(new GetObjectTaggingCommand({ Bucket, Key: object.key }));
      const attributes = await bucket.wire.send({
        method: 'GET',
        path,
        query: { attributes: '' },
        headers: { 'x-amz-object-attributes': 'ETag,Checksum,ObjectParts,StorageClass,ObjectSize' },
      });
      const part = await bucket.wire.send({ method: 'HEAD', path, query: { partNumber: '1' } });
      return {
        ...object,
        status: got.status,
        headers,
        md5: md5Hex(got.body),
        tags: tags.TagSet,
        attributes: [attributes.status, attributes.text, attributes.headers['last-modified']],
        firstPart: [part.headers['content-range'], part.headers['x-amz-mp-parts-count']],
      };
    };
    const seen = await Promise.all((await bucket.listing()).map(look));
    return [...seen, ...(await listings())];
  }

  /** The lists of the bucket as documents: checksums, owners, storage classes and prefixes stand in them too. */
  async function listings(): Promise<string[]> {
    const queries: Record<string, string>[] = [
      { 'list-type': '2', 'fetch-owner': 'true', 'encoding-type': 'url' },
      { 'list-type': '2', delimiter: '/', 'encoding-type': 'url' },
      { prefix: 'a/', delimiter: 'a', 'encoding-type': 'url', 'max-keys': '2' },
    ];
    const answers = await Promise.all(
      queries.map((query) => bucket.wire.send({ method: 'GET', path: '/files', query })),
    );
    return answers.map((answer) => answer.text);
  }

  /** An object of three parts, one of them copied. */
  async function inParts(Key: string, more: Partial<CreateMultipartUploadCommandInput>): Promise<void> {
    const { ChecksumAlgorithm } = more;
    const sum = ChecksumAlgorithm ? { ChecksumAlgorithm } : {};
    const { UploadId } = await bucket.s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }));
    const part = { Bucket, Key, UploadId };
    const sent = await bucket.s3.send(
      new UploadPartCommand({ ...part, ...sum, PartNumber: 1, Body: bytesOf(5 * MIB, 'part') }),
    );
    const copied = await bucket.s3.send(
      new UploadPartCopyCommand({
        ...part,
        PartNumber: 2,
        CopySource: 'files/several-chunks',
        CopySourceRange: `bytes=${MIB + 1}-${6 * MIB + 7}`,
      }),
    );
    const last = await bucket.s3.send(new UploadPartCommand({ ...part, ...sum, PartNumber: 3, Body: 'end' }));
    const Parts = [sent, copied.CopyPartResult!, last].map((told, i) => completedPart(i + 1, told));
    await bucket.s3.send(new CompleteMultipartUploadCommand({ ...part, MultipartUpload: { Parts } }));
  }

  async function fill(): Promise<void> {
    await put('empty', Buffer.alloc(0));
    await put('small', 'hello', {
      ContentType: 'text/plain; charset=utf-8',
      ContentEncoding: 'identity',
      ContentDisposition: "attachment; filename*=UTF-8''%E6%96%87.txt",
      ContentLanguage: 'zh-CN',
      CacheControl: 'max-age=1',
      Expires: new Date('2031-01-01T00:00:00Z'),
      StorageClass: 'STANDARD_IA',
      Metadata: { colour: 'blue', empty: '' },
      Tagging: 'a=1&b=%E4%B8%AD',
      ChecksumAlgorithm: 'SHA256',
    });
    await put('large', bytesOf(300_000), { ChecksumAlgorithm: 'CRC32C', Metadata: { large: 'yes' } });
    await put('several-chunks', bytesOf(20 * MIB), { ContentType: 'application/x-tar' });
    await put(
      'pointer',
      `version https://git-lfs.github.com/spec/v1\noid sha256:${'b'.repeat(64)}\nsize 1\n`,
    );
    for (const key of [
      'both',
      'both/inside',
      'both/',
      'a b+c%2F',
      '//double//',
      '/leading',
      '中文/文件',
      `quote'"<&>`,
      '.git/config',
      '..',
      'new\nline',
      'x'.repeat(1024),
      'a/'.repeat(512),
      'z%chunks/000000',
      '.gateway/format.json',
    ])
      await put(key, `I am ${key}`);
    await bucket.s3.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: 'files/several-chunks' }));
    await bucket.s3.send(
      new PutObjectTaggingCommand({
        Bucket,
        Key: 'large',
        Tagging: { TagSet: [{ Key: 'later', Value: 'tagged' }] },
      }),
    );
    const form = signedForm(bucket.wire.target, {
      bucket: Bucket,
      key: 'form/${filename}',
      fields: [
        ['Content-Type', 'image/png'],
        ['x-amz-meta-by', 'a page'],
        ['tagging', '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>'],
      ],
      file: { filename: 'a.png', content: bytesOf(70_000, 'form') },
    });
    const posted = await bucket.wire.raw('POST', '/files', { 'content-type': FORM_TYPE }, formBody(form));
    expect(posted.status).toBe(204);
    await inParts('parts/plain', { ContentType: 'a/b', Metadata: { parts: '3' }, Tagging: 'in=parts' });
    await inParts('parts/composite', { ChecksumAlgorithm: 'SHA256', StorageClass: 'GLACIER' });
    await inParts('parts/full', { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
    await inParts('parts/nvme', { ChecksumAlgorithm: 'CRC64NVME' });
    await bucket.s3.send(
      new CopyObjectCommand({
        Bucket,
        Key: 'copy-replaced',
        CopySource: 'files/small',
        MetadataDirective: 'REPLACE',
        ContentType: 'a/c',
        Metadata: { copied: 'yes' },
        TaggingDirective: 'REPLACE',
        Tagging: 'copied=yes',
        StorageClass: 'ONEZONE_IA',
        ChecksumAlgorithm: 'SHA1',
      }),
    );
    await bucket.s3.send(
      new CopyObjectCommand({ Bucket, Key: 'copy-of-parts', CopySource: 'files/parts/composite' }),
    );
    await bucket.s3.send(new CopyObjectCommand({ Bucket, Key: 'copy-of-small', CopySource: 'files/small' }));
    // Over the wire in chunks with a trailer, as SDKs send streams.
    const chunks = [bytesOf(100_000, 'chunked'), Buffer.from('end')];
    const word = Buffer.alloc(4);
    word.writeUInt32BE(crc32(Buffer.concat(chunks)) >>> 0);
    const chunked = await bucket.wire.send({
      method: 'PUT',
      path: '/files/chunked',
      payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      headers: {
        'content-encoding': 'gzip,aws-chunked',
        'x-amz-decoded-content-length': '100003',
        'x-amz-trailer': 'x-amz-checksum-crc32',
      },
      body: chunkedBody(chunks, { trailer: { 'x-amz-checksum-crc32': word.toString('base64') } }),
    });
    expect(chunked.status).toBe(200);
    await put('deleted', 'gone');
    await bucket.landed();
    await bucket.wire.send({ method: 'DELETE', path: '/files/deleted' });
    await put('both/inside', 'written again');
  }

  test('is the same to every client, and answers requests that change it', async () => {
    await fill();
    await bucket.landed();
    const before = await everything();
    expect((await bucket.listing()).length).toBe(30);

    await bucket.stack.gateway.stop();
    await rm(bucket.stack.gateway.stateDirectory, { recursive: true });
    await bucket.stack.gateway.start();

    const after = await everything();
    for (const [i, object] of before.entries()) expect(after[i]).toEqual(object);
    expect(after.length).toBe(before.length);
    await put('both', 'changed');
    await bucket.wire.send({ method: 'DELETE', path: '/files/large' });
    await bucket.landed();
    expect((await bucket.wire.send({ method: 'GET', path: '/files/both' })).text).toBe('changed');
    expect(await bucket.listing('large')).toEqual([]);
  });

  test('makes no commit by itself, and a second rebuild sees what the first one wrote', async () => {
    const commits = await bucket.stack.commits('acme/files');
    const before = await everything();
    await bucket.stack.gateway.stop();
    await rm(bucket.stack.gateway.stateDirectory, { recursive: true });
    await bucket.stack.gateway.start();
    expect(await everything()).toEqual(before);
    expect(await bucket.stack.commits('acme/files')).toBe(commits);
    const fsck = await bucket.stack.gateway.cli('fsck', '--deep', '--json');
    expect([fsck.code, fsck.stderr]).toEqual([0, '']);
  });

  test('a clone of it is clean, and git lfs finds every object', async () => {
    await bucket.landed();
    const clone = `${bucket.stack.directory}/clone`;
    const { gitee } = bucket.stack;
    const url = new URL(`${gitee.url}/acme/files.git`);
    const env = {
      ...process.env,
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: `http.${url.origin}/.extraHeader`,
      GIT_CONFIG_VALUE_0: `Authorization: Basic ${Buffer.from(`gateway:${gitee.token}`).toString('base64')}`,
      GIT_LFS_SKIP_SMUDGE: '1',
    };
    await mustRun('git', ['clone', '-q', url.href, clone], { env });
    await mustRun('git', ['-C', clone, 'lfs', 'pull'], { env });
    await mustRun('git', ['-C', clone, 'lfs', 'fsck'], { env });
    expect((await mustRun('git', ['-C', clone, 'status', '--porcelain'], { env })).stdout).toBe('');
  });
});

function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
