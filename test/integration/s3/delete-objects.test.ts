// AWS API reference: DeleteObjects; user guide: "How to perform conditional deletes".
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { DeleteObjectsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const escapeXml = (text: string) =>
  text.replace(/[<>&"'\u0000-\u001f]/g, (c) => `&#x${c.charCodeAt(0).toString(16)};`);
const objectOf = (key: string, more = '') => `<Object><Key>${escapeXml(key)}</Key>${more}</Object>`;
const documentOf = (...objects: string[]) =>
  `<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${objects.join('')}</Delete>`;

describe('DeleteObjects', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const put = async (Key: string, Body = 'x') =>
    (await bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body }))).ETag!;
  const keys = async () => (await bucket.listing()).map((o) => o.key);
  const md5 = (body: string) => ({ 'content-md5': createHash('md5').update(body).digest('base64') });
  const post = (body: string, headers: Record<string, string> = md5(body), path = '/files') =>
    bucket.wire.send({ method: 'POST', path, query: { delete: '' }, headers, body });

  beforeAll(async () => {
    bucket = await startS3Bucket();
  });
  afterAll(() => bucket.close());
  beforeEach(async () => {
    const left = await keys();
    if (left.length > 0) await post(documentOf(...left.map((k) => objectOf(k))));
    await put('witness');
  });

  test('names what it deleted, and is no error for what is not there', async () => {
    await put('one');
    const answer = await post(documentOf(objectOf('one'), objectOf('nothing')));
    expect([answer.status, answer.xmlAll('Key'), answer.xmlAll('Error')]).toEqual([
      200,
      ['one', 'nothing'],
      [],
    ]);
    expect(await keys()).toEqual(['witness']);
  });

  test('deletes 1,000 keys of one document, as one step', async () => {
    const all = Array.from({ length: 1000 }, (_, i) => `many/${String(i).padStart(4, '0')}`);
    for (let at = 0; at < all.length; at += 50) await Promise.all(all.slice(at, at + 50).map((k) => put(k)));
    expect((await keys()).length).toBe(1001);
    const answer = await bucket.s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: all.map((Key) => ({ Key })) } }),
    );
    expect([answer.Deleted?.length, answer.Errors]).toEqual([1000, undefined]);
    expect(await keys()).toEqual(['witness']);
  });

  test('1,000 keys of 1,024 characters, half of them references, are read', async () => {
    const key = (i: number) => `${'"x'.repeat(510)}${String(i).padStart(4, '0')}`;
    await put(key(999));
    const body = documentOf(...Array.from({ length: 1000 }, (_, i) => objectOf(key(i))));
    expect(body.length).toBeGreaterThan(3 * 1024 * 1024);
    const answer = await post(body);
    expect([answer.status, answer.xmlAll('Deleted').length]).toEqual([200, 1000]);
    expect(await keys()).toEqual(['witness']);
  });

  test('Quiet names errors only; one bad key does not stop the others', async () => {
    await put('a & <b>');
    const long = 'x'.repeat(1025);
    const answer = await post(documentOf('<Quiet>true</Quiet>', objectOf('a & <b>'), objectOf(long)));
    expect([answer.status, answer.xmlAll('Deleted'), answer.xmlAll('Code'), answer.xmlAll('Key')]).toEqual([
      200,
      [],
      ['KeyTooLongError'],
      [long],
    ]);
    expect(await keys()).toEqual(['witness']);
  });

  test('Quiet false is as no Quiet', async () => {
    const answer = await post(documentOf('<Quiet>false</Quiet>', objectOf('x')));
    expect(answer.xmlAll('Deleted')).toHaveLength(1);
  });

  test('a key that is named twice is deleted once and answered twice', async () => {
    await put('twice');
    const answer = await post(documentOf(objectOf('twice'), objectOf('twice')));
    expect(answer.xmlAll('Key')).toEqual(['twice', 'twice']);
    expect(await keys()).toEqual(['witness']);
  });

  test.each([
    'u\u0001',
    'a\tb\nc\rd',
    '<![CDATA[x]]>',
    '&amp;',
    ']]>',
    `'"`,
    ' blanks ',
    '中文 🐳',
    '\uFFFD',
    '../..',
    '//',
  ])('deletes the key %j, and the answer names it', async (key) => {
    await put(key);
    const answer = await post(documentOf(objectOf(key)));
    expect([answer.status, answer.xmlAll('Key')]).toEqual([200, [key]]);
    expect(await keys()).toEqual(['witness']);
  });

  test('VersionId null is the one that there is, any other is an error of that key', async () => {
    await put('versioned');
    await put('other');
    const answer = await post(
      documentOf(
        objectOf('versioned', '<VersionId>null</VersionId>'),
        objectOf('other', '<VersionId>abc</VersionId>'),
      ),
    );
    expect([answer.xmlAll('Deleted').length, answer.xmlAll('Code')]).toEqual([1, ['NoSuchVersion']]);
    expect(await keys()).toEqual(['other', 'witness']);
  });

  test('an ETag per key is a condition', async () => {
    const etag = await put('match');
    await put('changed');
    const answer = await post(
      documentOf(
        objectOf('match', `<ETag>${escapeXml(etag)}</ETag>`),
        objectOf('changed', '<ETag>"0123"</ETag>'),
        objectOf('nothing', '<ETag>*</ETag>'),
        objectOf('plain'),
      ),
    );
    expect(answer.xmlAll('Deleted').length).toBe(2);
    expect(answer.xmlAll('Code')).toEqual(['PreconditionFailed', 'NoSuchKey']);
    expect(await keys()).toEqual(['changed', 'witness']);
  });

  test.each(['<Size>1</Size>', '<LastModifiedTime>2020-01-01T00:00:00Z</LastModifiedTime>'])(
    '%s is for directory buckets: that key is kept',
    async (condition) => {
      await put('kept');
      const answer = await post(documentOf(objectOf('kept', condition)));
      expect([answer.status, answer.xmlAll('Code')]).toEqual([200, ['NotImplemented']]);
      expect(await keys()).toEqual(['kept', 'witness']);
    },
  );

  test.each([
    ['nothing', ''],
    ['no object', documentOf()],
    ['1,001 objects', documentOf(...Array.from({ length: 1001 }, () => objectOf('witness')))],
    ['an object without key', documentOf(objectOf('witness'), '<Object/>')],
    ['an empty key', documentOf(objectOf('witness'), objectOf(''))],
    ['two keys in one object', documentOf('<Object><Key>witness</Key><Key>x</Key></Object>')],
    ['a document that breaks off', documentOf(objectOf('witness')).slice(0, -3)],
    ['another root', documentOf(objectOf('witness')).replaceAll('Delete', 'Erase')],
    ['no XML', '{"Objects":[{"Key":"witness"}]}'],
    ['a DTD', `<!DOCTYPE Delete [<!ENTITY a "witness">]>${documentOf(objectOf('witness')).slice(38)}`],
    ['8 MiB', documentOf(objectOf('witness'), `<!--${' '.repeat(8 * 1024 * 1024)}-->`)],
  ])('%s is MalformedXML, and nothing is deleted', async (_what, body) => {
    const answer = await post(body);
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'MalformedXML']);
    expect(await keys()).toEqual(['witness']);
  });

  test('is protected by Content-MD5 or a checksum, and a wrong one deletes nothing', async () => {
    const body = documentOf(objectOf('witness'));
    const word = Buffer.alloc(4);
    word.writeUInt32BE(crc32(body) >>> 0);
    for (const [headers, code] of [
      [md5('another'), 'BadDigest'],
      [{ 'x-amz-checksum-crc32': 'AAAAAA==' }, 'BadDigest'],
      [{ 'content-md5': 'x' }, 'InvalidDigest'],
    ] as [Record<string, string>, string][]) {
      expect((await post(body, headers)).xml('Code')).toBe(code);
      expect(await keys()).toEqual(['witness']);
    }
    const unprotected = await bucket.wire.send({
      method: 'POST',
      path: '/files',
      query: { delete: '' },
      body,
      payloadHash: 'UNSIGNED-PAYLOAD',
    });
    expect([unprotected.status, unprotected.xml('Code')]).toEqual([400, 'InvalidRequest']);
    expect((await post(body, { 'x-amz-checksum-crc32': word.toString('base64') })).status).toBe(200);
    expect(await keys()).toEqual([]);
  });

  test('a conditional put sees an object before or after it, never between', async () => {
    for (let round = 0; round < 20; round += 1) {
      const etag = await put('contested', `round ${round}`);
      const [deleted, written] = await Promise.all([
        post(documentOf(objectOf('contested'), objectOf('beside'))),
        bucket.wire.send({
          method: 'PUT',
          path: '/files/contested',
          headers: { 'if-match': etag },
          body: 'new',
        }),
      ]);
      expect(deleted.status).toBe(200);
      // Before the deletion it succeeds and is deleted; after it there is nothing to match.
      expect([200, 404]).toContain(written.status);
      expect(await keys()).toEqual(['witness']);
    }
  });

  test('is refused in a bucket that is not there', async () => {
    const body = documentOf(objectOf('x'));
    expect((await post(body, md5(body), '/nothing')).xml('Code')).toBe('NoSuchBucket');
  });
});
