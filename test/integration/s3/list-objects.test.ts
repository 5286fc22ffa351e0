// AWS API reference: ListObjects, ListObjectsV2.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { S3Answer } from '../../support/s3-client.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const KEYS = [
  '!first',
  'a',
  'a b',
  'a+b',
  'a/1',
  'a/2',
  'a/b/1',
  'a/b/2',
  'a0',
  'b//x',
  'b/y',
  'quote"<&>\'',
  'unprintable\u0001\u001f',
  'z',
  '中文/一',
  '中文/二',
  '\uffff',
  '😀',
] as const;

describe('ListObjects and ListObjectsV2', () => {
  let bucket: S3Bucket;
  const v1 = (query: Record<string, string> = {}) =>
    bucket.wire.send({ method: 'GET', path: '/files', query });
  const v2 = (query: Record<string, string> = {}) => v1({ 'list-type': '2', ...query });
  const sorted = [...KEYS].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const keysOf = (answer: S3Answer) => answer.xmlAll('Key').map(decodeURIComponent);
  const prefixesOf = (answer: S3Answer) =>
    answer.xmlAll('CommonPrefixes').map((p) => decodeURIComponent(/<Prefix>(.*)<\/Prefix>/.exec(p)![1]!));

  beforeAll(async () => {
    bucket = await startS3Bucket();
    await Promise.all(
      KEYS.map((Key) => bucket.s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body: Key }))),
    );
  }, 60_000);
  afterAll(() => bucket.close());

  it('gives all keys in byte order of UTF-8', async () => {
    for (const list of [v1, v2]) {
      const answer = await list({ 'encoding-type': 'url' });
      expect(keysOf(answer)).toEqual(sorted);
      expect([answer.xml('IsTruncated'), answer.xml('EncodingType'), answer.xml('MaxKeys')]).toEqual([
        'false',
        'url',
        '1000',
      ]);
    }
  });

  it('gives key, time, ETag, size and class of each; the owner in version 2 only when asked', async () => {
    const [old, plain, owned] = [
      await v1({ prefix: 'a b' }),
      await v2({ prefix: 'a b' }),
      await v2({ prefix: 'a b', 'fetch-owner': 'true' }),
    ];
    for (const answer of [old, plain, owned]) {
      expect([answer.xml('Key'), answer.xml('Size'), answer.xml('StorageClass')]).toEqual([
        'a b',
        '3',
        'STANDARD',
      ]);
      expect(answer.xml('LastModified')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(answer.xml('ETag')).toMatch(/^"[0-9a-f]{32}"$/);
    }
    expect([old, plain, owned].map((a) => a.xmlAll('Owner').length)).toEqual([1, 0, 1]);
  });

  it('keys that XML can hold come unencoded where no encoding is asked for', async () => {
    expect((await v2({ prefix: 'quote' })).xmlAll('Key')).toEqual(['quote"<&>\'']);
    expect((await v2({ prefix: '中文' })).xmlAll('Key')).toEqual(['中文/一', '中文/二']);
  });

  it.each([1, 2, 3, 7, 17, 18])('version 2 in pages of %d gives every key once', async (size) => {
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const answer = await v2({
        'max-keys': String(size),
        'encoding-type': 'url',
        ...(token === undefined ? {} : { 'continuation-token': token }),
      });
      const page = keysOf(answer);
      expect([answer.xml('KeyCount'), answer.xml('ContinuationToken')]).toEqual([String(page.length), token]);
      token = answer.xml('NextContinuationToken');
      expect(answer.xml('IsTruncated')).toBe(String(token !== undefined));
      keys.push(...page);
    } while (token !== undefined);
    expect(keys).toEqual(sorted);
  });

  it.each([1, 2, 5])('version 1 with delimiter in pages of %d gives every entry once', async (size) => {
    const entries: string[] = [];
    let marker: string | undefined;
    do {
      const answer = await v1({
        'max-keys': String(size),
        'encoding-type': 'url',
        delimiter: '/',
        ...(marker === undefined ? {} : { marker }),
      });
      entries.push(...keysOf(answer), ...prefixesOf(answer));
      const next = answer.xml('NextMarker');
      expect(answer.xml('IsTruncated')).toBe(String(next !== undefined));
      marker = next === undefined ? undefined : decodeURIComponent(next);
    } while (marker !== undefined);
    expect(entries.sort()).toEqual([...rolledUp('', '/')].sort());
  });

  it.each([
    ['', '/'],
    ['a/', '/'],
    ['a', '/'],
    ['b/', '/'],
    ['a/b/', '/'],
    ['', 'b'],
    ['', '//'],
    ['', 'nowhere'],
    ['中', '文/'],
  ])('prefix %j with delimiter %j counts a common prefix once', async (prefix, delimiter) => {
    for (const list of [v1, v2]) {
      const answer = await list({ prefix, delimiter, 'encoding-type': 'url' });
      expect([...keysOf(answer), ...prefixesOf(answer)].sort()).toEqual(
        [...rolledUp(prefix, delimiter)].sort(),
      );
    }
  });

  it('start-after and marker begin after a key, there or not', async () => {
    for (const after of ['a', 'a/', 'b', '', '\u{10ffff}']) {
      const expected = sorted.filter((k) => Buffer.compare(Buffer.from(k), Buffer.from(after)) > 0);
      expect(keysOf(await v2({ 'start-after': after, 'encoding-type': 'url' }))).toEqual(expected);
      expect(keysOf(await v1({ marker: after, 'encoding-type': 'url' }))).toEqual(expected);
    }
  });

  it('max-keys 0 is an empty page that is not truncated; over 1,000 counts as 1,000', async () => {
    for (const list of [v1, v2]) {
      const none = await list({ 'max-keys': '0' });
      expect([none.status, none.xmlAll('Key').length, none.xml('IsTruncated')]).toEqual([200, 0, 'false']);
      expect((await list({ 'max-keys': '5000' })).xml('MaxKeys')).toBe('1000');
    }
  });

  it('a continuation token holds over a restart', async () => {
    const first = await v2({ 'max-keys': '5', 'encoding-type': 'url' });
    await bucket.stack.gateway.restart();
    const rest = await v2({
      'continuation-token': first.xml('NextContinuationToken')!,
      'encoding-type': 'url',
    });
    expect([...keysOf(first), ...keysOf(rest)]).toEqual(sorted);
  }, 60_000);

  /** What S3 lists, worked out from the keys: keys, and prefixes up to the delimiter. */
  function rolledUp(prefix: string, delimiter: string): Set<string> {
    const entries = new Set<string>();
    for (const key of KEYS) {
      if (!key.startsWith(prefix)) continue;
      const at = key.indexOf(delimiter, prefix.length);
      entries.add(at < 0 ? key : key.slice(0, at + delimiter.length));
    }
    return entries;
  }
});
