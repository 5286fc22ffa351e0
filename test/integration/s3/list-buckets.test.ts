// AWS API reference: ListBuckets, with prefix, max-buckets, continuation-token and bucket-region.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('ListBuckets', () => {
  let bucket: S3Bucket;
  const list = (query: Record<string, string> = {}) => bucket.wire.send({ method: 'GET', path: '/', query });
  beforeAll(async () => {
    bucket = await startS3Bucket({ createBuckets: true });
    for (const name of ['logs-a', 'logs-b', 'logs-c'])
      expect((await bucket.wire.send({ method: 'PUT', path: `/${name}` })).status).toBe(200);
  });
  afterAll(() => bucket.close());

  test('names those of the configuration and those made at run time, in order', async () => {
    const answer = await list();
    expect(answer.xmlAll('Name')).toEqual(['files', 'logs-a', 'logs-b', 'logs-c', 'registry']);
    expect(answer.xmlAll('CreationDate').every((date) => /^\d{4}-\d\d-\d\dT.*Z$/.test(date))).toBe(true);
    expect([answer.xml('ContinuationToken'), answer.xml('BucketRegion')]).toEqual([undefined, undefined]);
  });

  test('with a prefix names what begins so, and says the prefix', async () => {
    const answer = await list({ prefix: 'logs-' });
    expect(answer.xmlAll('Name')).toEqual(['logs-a', 'logs-b', 'logs-c']);
    expect([answer.xml('Prefix'), answer.xmlAll('BucketRegion').length]).toEqual(['logs-', 3]);
  });

  test('comes in pages, each bucket once, and the last page has no token', async () => {
    const seen: string[] = [];
    let token: string | undefined;
    let pages = 0;
    do {
      const answer = await list({
        'max-buckets': '2',
        ...(token === undefined ? {} : { 'continuation-token': token }),
      });
      seen.push(...answer.xmlAll('Name'));
      token = answer.xml('ContinuationToken');
      pages += 1;
    } while (token !== undefined);
    expect([pages, seen]).toEqual([3, ['files', 'logs-a', 'logs-b', 'logs-c', 'registry']]);
  });

  test('of another region are none', async () => {
    expect((await list({ 'bucket-region': 'eu-west-1' })).xmlAll('Name')).toEqual([]);
    expect((await list({ 'bucket-region': 'us-east-1' })).xmlAll('Name').length).toBe(5);
  });

  test.each([
    { 'max-buckets': '0' },
    { 'max-buckets': '10001' },
    { 'max-buckets': 'x' },
    { 'continuation-token': '?' },
  ])('with %j is InvalidArgument', async (query) => {
    const answer = await list(query);
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'InvalidArgument']);
  });
});
