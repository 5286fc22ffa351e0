// AWS API reference: ListObjectsV2.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { HOSTILE_KEYS, Listings } from '../../support/listings.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('ListObjectsV2', () => {
  let bucket: S3Bucket;
  let listings: Listings;
  const list = (query: Record<string, string> = {}) =>
    bucket.wire.send({
      method: 'GET',
      path: '/files',
      query: { 'list-type': '2', 'encoding-type': 'url', ...query },
    });
  beforeAll(async () => {
    bucket = await startS3Bucket();
    listings = new Listings(HOSTILE_KEYS);
    await listings.putAll(bucket);
  });
  afterAll(() => bucket.close());

  test('gives all keys in byte order of UTF-8, and how many there are', async () => {
    const answer = await list();
    expect(listings.keysOf(answer)).toEqual(listings.sorted);
    expect([answer.xml('KeyCount'), answer.xml('MaxKeys'), answer.xml('IsTruncated')]).toEqual([
      String(listings.sorted.length),
      '1000',
      'false',
    ]);
  });

  test('"The owner field is not present … by default. If you want it, set fetch-owner to true"', async () => {
    const owners = async (query: Record<string, string>) => (await list(query)).xmlAll('Owner').length;
    expect([
      await owners({ prefix: 'a b' }),
      await owners({ prefix: 'a b', 'fetch-owner': 'false' }),
      await owners({ prefix: 'a b', 'fetch-owner': 'true' }),
    ]).toEqual([0, 0, 1]);
  });

  test.each([1, 2, 3, 7, 17, 18])(
    'in pages of %d gives every key once, and no token on the last',
    async (size) => {
      const keys: string[] = [];
      let token: string | undefined;
      do {
        const answer = await list({
          'max-keys': String(size),
          ...(token === undefined ? {} : { 'continuation-token': token }),
        });
        const page = listings.keysOf(answer);
        expect([answer.xml('KeyCount'), answer.xml('ContinuationToken')]).toEqual([
          String(page.length),
          token,
        ]);
        token = answer.xml('NextContinuationToken');
        expect(answer.xml('IsTruncated')).toBe(String(token !== undefined));
        keys.push(...page);
      } while (token !== undefined);
      expect(keys).toEqual(listings.sorted);
    },
  );

  test.each([1, 2, 4])('with delimiter in pages of %d gives every common prefix once', async (size) => {
    const entries: string[] = [];
    let token: string | undefined;
    do {
      const answer = await list({
        'max-keys': String(size),
        delimiter: '/',
        ...(token === undefined ? {} : { 'continuation-token': token }),
      });
      const page = listings.entriesOf(answer);
      expect(answer.xml('KeyCount')).toBe(String(page.length));
      entries.push(...page);
      token = answer.xml('NextContinuationToken');
    } while (token !== undefined);
    expect(entries.sort()).toEqual(listings.rolledUp('', '/').sort());
  });

  test.each([
    ['', '/'],
    ['a/', '/'],
    ['a', '/'],
    ['b/', '/'],
    ['', 'b'],
    ['', '//'],
    ['', 'nowhere'],
    ['中', '文/'],
    ['none', '/'],
  ])('prefix %j with delimiter %j counts a common prefix once', async (prefix, delimiter) => {
    const answer = await list({ prefix, delimiter });
    const expected = listings.rolledUp(prefix, delimiter);
    expect(listings.entriesOf(answer).sort()).toEqual([...expected].sort());
    expect(answer.xml('KeyCount')).toBe(String(expected.length));
  });

  test('"start-after can be any key in the bucket", or none; it is repeated in the answer', async () => {
    for (const after of ['a', 'a/', 'b', '\u{10ffff}', 'a/1']) {
      const answer = await list({ 'start-after': after });
      expect(listings.keysOf(answer)).toEqual(listings.after(after));
      expect(decodeURIComponent(answer.xml('StartAfter')!)).toBe(after);
    }
    expect(listings.keysOf(await list({ 'start-after': '' }))).toEqual(listings.sorted);
  });

  test('start-after inside a common prefix stands after that prefix; before it, it does not', async () => {
    const prefixes = async (after: string) =>
      listings.prefixesOf(await list({ 'start-after': after, delimiter: '/' }));
    expect(await prefixes('a/1')).toEqual(['b/', '中文/']);
    expect(await prefixes('a/')).toEqual(['b/', '中文/']);
    expect(await prefixes('a')).toEqual(['a/', 'b/', '中文/']);
  });

  test('"if the response is truncated … start-after is ignored" where there is a token', async () => {
    const first = await list({ 'max-keys': '3', 'start-after': 'a' });
    const token = first.xml('NextContinuationToken')!;
    const rest = await list({ 'continuation-token': token, 'start-after': 'z' });
    expect([...listings.keysOf(first), ...listings.keysOf(rest)]).toEqual(listings.after('a'));
    expect(rest.xml('StartAfter')).toBe('z');
  });

  test.each(['', 'not a token', '!!!', 'YQ=='])('the token %j is InvalidArgument', async (token) => {
    const answer = await list({ 'continuation-token': token });
    expect([answer.status, answer.xml('Code'), answer.xml('ArgumentName')]).toEqual([
      400,
      'InvalidArgument',
      'continuation-token',
    ]);
    expect(answer.xml('Message')).toBe('The continuation token provided is incorrect');
  });

  test('max-keys 0 is an empty page that is not truncated; over 1,000 counts as 1,000', async () => {
    const none = await list({ 'max-keys': '0' });
    expect(
      ['KeyCount', 'IsTruncated', 'MaxKeys', 'NextContinuationToken'].map((name) => none.xml(name)),
    ).toEqual(['0', 'false', '0', undefined]);
    expect((await list({ 'max-keys': '5000' })).xml('MaxKeys')).toBe('1000');
  });

  test('a continuation token holds over a restart', async () => {
    const first = await list({ 'max-keys': '5', delimiter: '/' });
    await bucket.stack.gateway.restart();
    const rest = await list({ 'continuation-token': first.xml('NextContinuationToken')!, delimiter: '/' });
    expect([...listings.entriesOf(first), ...listings.entriesOf(rest)].sort()).toEqual(
      listings.rolledUp('', '/').sort(),
    );
  });
});
