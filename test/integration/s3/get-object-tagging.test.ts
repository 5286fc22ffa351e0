// AWS API reference: GetObjectTagging. "Returns the tag-set of an object"; it is empty where there are none.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetObjectTaggingCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('GetObjectTagging', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const tagsOf = async (Key: string) =>
    (await bucket.s3.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;
  const ask = (path: string, query: Record<string, string> = {}) =>
    bucket.wire.send({ method: 'GET', path, query: { tagging: '', ...query } });
  beforeAll(async () => {
    bucket = await startS3Bucket();
    await bucket.s3.send(
      new PutObjectCommand({ Bucket, Key: 'put', Body: 'x', Tagging: 'a=1&b=%2B%20c&d=' }),
    );
  });
  afterAll(() => bucket.close());

  test('tells the tags of x-amz-tagging, which is encoded as a query string', async () => {
    expect(await tagsOf('put')).toEqual([
      { Key: 'a', Value: '1' },
      { Key: 'b', Value: '+ c' },
      { Key: 'd', Value: '' },
    ]);
    const { headers } = await bucket.wire.send({ method: 'HEAD', path: '/files/put' });
    expect(headers['x-amz-tagging-count']).toBe('3');
  });

  test('gives back what S3 allows in tags, of any script, and refuses what XML would read as its own', async () => {
    const Tagging = `${encodeURIComponent('k +-=._:/@')}=${encodeURIComponent('\u00e9中 ٣')}`;
    const refused = bucket.s3.send(
      new PutObjectCommand({
        Bucket,
        Key: 'hostile',
        Body: 'x',
        Tagging: `${encodeURIComponent('<k>&"')}=1`,
      }),
    );
    await expect(refused).rejects.toMatchObject({ name: 'InvalidTag' });
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'hostile', Body: 'x', Tagging }));
    expect(await tagsOf('hostile')).toEqual([{ Key: 'k +-=._:/@', Value: '\u00e9中 ٣' }]);
  });

  test('is an empty TagSet where there are no tags', async () => {
    await bucket.wire.send({ method: 'PUT', path: '/files/bare', body: 'x' });
    const answer = await ask('/files/bare');
    expect([answer.status, answer.text.includes('<TagSet></TagSet>')]).toEqual([200, true]);
    const { headers } = await bucket.wire.send({ method: 'HEAD', path: '/files/bare' });
    expect(headers['x-amz-tagging-count']).toBeUndefined();
  });

  test('tags go with the object that is replaced', async () => {
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'again', Body: 'x', Tagging: 'a=1' }));
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'again', Body: 'y' }));
    expect(await tagsOf('again')).toEqual([]);
  });

  test('of a missing key is NoSuchKey, of another version NoSuchVersion', async () => {
    const missing = await ask('/files/none');
    expect([missing.status, missing.xml('Code'), missing.xml('Key')]).toEqual([404, 'NoSuchKey', 'none']);
    const version = await ask('/files/put', { versionId: 'abc' });
    expect([version.status, version.xml('Code'), version.xml('VersionId')]).toEqual([
      404,
      'NoSuchVersion',
      'abc',
    ]);
    expect((await ask('/files/put', { versionId: 'null' })).status).toBe(200);
  });

  test('tells the same after a restart', async () => {
    const before = await tagsOf('put');
    await bucket.stack.gateway.restart();
    expect(await tagsOf('put')).toEqual(before);
  });
});
