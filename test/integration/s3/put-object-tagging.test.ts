// AWS API reference: PutObjectTagging; user guide: "Categorizing your storage using tags" (10 tags, keys of 128 and
// values of 256 characters, no key twice); "Checking object integrity" for the checksum of the document.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { HeadObjectCommand, PutObjectCommand, PutObjectTaggingCommand } from '@aws-sdk/client-s3';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const DOCUMENT = '<Tagging><TagSet><Tag><Key>by</Key><Value>checksum</Value></Tag></TagSet></Tagging>';
const hash = (name: string) => createHash(name).update(DOCUMENT).digest('base64');
const crc = Buffer.alloc(4);
crc.writeUInt32BE(crc32(DOCUMENT));

describe('PutObjectTagging', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const path = '/files/tagged';
  const query = { tagging: '' };
  const tagsOf = async (at = path) => {
    const answer = await bucket.wire.send({ method: 'GET', path: at, query });
    return Object.fromEntries(answer.xmlAll('Key').map((k, i) => [k, answer.xmlAll('Value')[i]]));
  };
  const put = (body: string, headers: Record<string, string> = {}, at = path) =>
    bucket.wire.send({ method: 'PUT', path: at, query, body, headers });
  const documentOf = (tags: readonly (readonly [string, string])[]) =>
    `<Tagging><TagSet>${tags.map(([k, v]) => `<Tag><Key>${k}</Key><Value>${v}</Value></Tag>`).join('')}</TagSet></Tagging>`;

  beforeAll(async () => {
    bucket = await startS3Bucket();
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'tagged', Body: 'x', Tagging: 'kept=1' }));
  });
  afterAll(() => bucket.close());

  test.each([
    ['small', 10],
    ['large', 100_000],
  ])('sets and replaces all tags, and changes nothing else of a %s object', async (Key, sizeBytes) => {
    const Body = bytesOf(sizeBytes);
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body, Metadata: { a: 'b' } }));
    const before = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key }));
    const TagSet = [
      { Key: 'colour', Value: 'blue' },
      { Key: '名', Value: '值 +:=' },
    ];
    await bucket.s3.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet } }));
    expect(await tagsOf(`/files/${Key}`)).toEqual({ colour: 'blue', 名: '值 +:=' });
    const tagged = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key }));
    expect([tagged.TagCount, tagged.ETag, tagged.LastModified, tagged.Metadata]).toEqual([
      2,
      before.ETag,
      before.LastModified,
      { a: 'b' },
    ]);
    expect((await put(documentOf([['only', '']]), {}, `/files/${Key}`)).status).toBe(200);
    expect(await tagsOf(`/files/${Key}`)).toEqual({ only: '' });
    expect((await bucket.wire.send({ method: 'GET', path: `/files/${Key}` })).body.equals(Body)).toBe(true);
  });

  test('an empty set takes all tags away', async () => {
    const at = '/files/emptied';
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'emptied', Body: 'x', Tagging: 'a=1' }));
    expect((await put('<Tagging><TagSet/></Tagging>', {}, at)).status).toBe(200);
    expect(await tagsOf(at)).toEqual({});
  });

  test.each([
    ['Content-MD5', { 'content-md5': hash('md5') }, { 'content-md5': createHash('md5').digest('base64') }],
    ['CRC32', { 'x-amz-checksum-crc32': crc.toString('base64') }, { 'x-amz-checksum-crc32': 'AAAAAA==' }],
    [
      'SHA1',
      { 'x-amz-checksum-sha1': hash('sha1') },
      { 'x-amz-checksum-sha1': createHash('sha1').digest('base64') },
    ],
    [
      'SHA256',
      { 'x-amz-checksum-sha256': hash('sha256') },
      { 'x-amz-checksum-sha256': createHash('sha256').digest('base64') },
    ],
  ])('the document is checked by %s', async (_name, right, wrong) => {
    const at = '/files/checked';
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'checked', Body: 'x' }));
    const refused = await put(DOCUMENT, wrong, at);
    expect([refused.status, refused.xml('Code')]).toEqual([400, 'BadDigest']);
    expect(await tagsOf(at)).toEqual({});
    expect((await put(DOCUMENT, right, at)).status).toBe(200);
    expect(await tagsOf(at)).toEqual({ by: 'checksum' });
  });

  // The SDK has no CRC64NVME without an extra package; see the next test.
  test.each(['CRC32', 'CRC32C', 'SHA1', 'SHA256'] as const)(
    'the SDK may send %s of the document',
    async (name) => {
      const Tagging = { TagSet: [{ Key: 'sum', Value: name }] };
      await bucket.s3.send(
        new PutObjectTaggingCommand({ Bucket, Key: 'tagged', ChecksumAlgorithm: name, Tagging }),
      );
      expect(await tagsOf()).toEqual({ sum: name });
    },
  );

  test('CRC64NVME of the document: the published check value of nine digits, which are then no XML', async () => {
    const right = Buffer.from('ae8b14860a799888', 'hex').toString('base64');
    const answer = await put('123456789', { 'x-amz-checksum-crc64nvme': right });
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'MalformedXML']);
    const wrong = await put('123456789', { 'x-amz-checksum-crc64nvme': 'AAAAAAAAAAA=' });
    expect([wrong.status, wrong.xml('Code')]).toEqual([400, 'BadDigest']);
    expect(wrong.xml('Message')).toContain('CRC64NVME');
  });

  test.each([
    ['eleven tags', Array.from('abcdefghijk', (c) => [c, 'v'] as const), 'InvalidTag'],
    ['a key of 129 characters', [['k'.repeat(129), 'v']] as const, 'InvalidTag'],
    ['a value of 257 characters', [['k', 'v'.repeat(257)]] as const, 'InvalidTag'],
    ['an empty key', [['', 'v']] as const, 'InvalidTag'],
    [
      'a key twice',
      [
        ['k', '1'],
        ['k', '2'],
      ] as const,
      'InvalidTag',
    ],
  ])('with %s is refused and changes nothing', async (_name, tags, code) => {
    const before = await tagsOf();
    const answer = await put(documentOf(tags));
    expect([answer.status, answer.xml('Code')]).toEqual([400, code]);
    expect(await tagsOf()).toEqual(before);
  });

  test('takes ten tags with keys of 128 and values of 256 characters', async () => {
    const tags = Array.from('0123456789', (c) => [c.repeat(128), '值'.repeat(256)] as const);
    expect((await put(documentOf(tags))).status).toBe(200);
    expect(await tagsOf()).toEqual(Object.fromEntries(tags));
  });

  test('of a missing key is NoSuchKey, of another version NoSuchVersion', async () => {
    const missing = await put(DOCUMENT, {}, '/files/none');
    expect([missing.status, missing.xml('Code'), missing.xml('Key')]).toEqual([404, 'NoSuchKey', 'none']);
    const version = await bucket.wire.send({
      method: 'PUT',
      path,
      query: { tagging: '', versionId: 'abc' },
      body: DOCUMENT,
    });
    expect([version.status, version.xml('Code')]).toEqual([404, 'NoSuchVersion']);
  });
});
