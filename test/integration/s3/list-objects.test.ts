// AWS API reference: ListObjects (version 1). What both versions have in common is shown here and in
// list-objects-v2.test.ts on the same keys.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { HOSTILE_KEYS, Listings } from '../../support/listings.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('ListObjects', () => {
  let bucket: S3Bucket;
  let listings: Listings;
  const list = (query: Record<string, string> = {}) =>
    bucket.wire.send({ method: 'GET', path: '/files', query });
  beforeAll(async () => {
    bucket = await startS3Bucket();
    listings = new Listings(HOSTILE_KEYS);
    await listings.putAll(bucket);
  });
  afterAll(() => bucket.close());

  test('gives all keys in byte order of UTF-8, with time, ETag, size, owner and class', async () => {
    const answer = await list({ 'encoding-type': 'url' });
    expect(listings.keysOf(answer)).toEqual(listings.sorted);
    expect([
      answer.xml('Name'),
      answer.xml('MaxKeys'),
      answer.xml('IsTruncated'),
      answer.xml('Marker'),
    ]).toEqual(['files', '1000', 'false', '']);
    const one = await list({ prefix: 'a b' });
    expect([one.xml('Key'), one.xml('Size'), one.xml('StorageClass')]).toEqual(['a b', '3', 'STANDARD']);
    expect(one.xml('LastModified')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(one.xml('ETag')).toMatch(/^"[0-9a-f]{32}"$/);
    expect(one.xmlAll('Owner').length).toBe(1);
  });

  test('keys that XML can hold come as they are; others as references, or encoded where asked', async () => {
    expect((await list({ prefix: 'quote' })).xmlAll('Key')).toEqual(['quote"<&>\'']);
    expect((await list({ prefix: '中文' })).xmlAll('Key')).toEqual(['中文/一', '中文/二']);
    const raw = await list({ prefix: 'unprintable' });
    expect(raw.text).toContain('<Key>unprintable&#x1;&#x1F;</Key>');
    const encoded = await list({ prefix: 'unprintable', 'encoding-type': 'url' });
    expect([encoded.text.includes('<Key>unprintable%01%1F</Key>'), encoded.xml('EncodingType')]).toEqual([
      true,
      'url',
    ]);
  });

  test('"encoding-type=url": prefix, marker, delimiter and the next marker are encoded too', async () => {
    const answer = await list({
      'encoding-type': 'url',
      prefix: 'a',
      marker: 'a b',
      delimiter: ' +',
      'max-keys': '1',
    });
    expect(['Prefix', 'Marker', 'Delimiter', 'NextMarker', 'Key'].map((name) => answer.xml(name))).toEqual([
      'a',
      'a%20b',
      '%20%2B',
      'a%2Bb',
      'a%2Bb',
    ]);
  });

  test.each([1, 2, 5])('with delimiter in pages of %d gives every entry once', async (size) => {
    const entries: string[] = [];
    let marker: string | undefined;
    do {
      const answer = await list({
        'max-keys': String(size),
        'encoding-type': 'url',
        delimiter: '/',
        ...(marker === undefined ? {} : { marker }),
      });
      entries.push(...listings.entriesOf(answer));
      const next = answer.xml('NextMarker');
      // "NextMarker: This element is returned only if you have the delimiter request parameter specified" and
      // the page is truncated; here it is on every truncated page (registry 2.7.1 wants it).
      expect(answer.xml('IsTruncated')).toBe(String(next !== undefined));
      marker = next === undefined ? undefined : decodeURIComponent(next);
    } while (marker !== undefined);
    expect(entries.sort()).toEqual(listings.rolledUp('', '/').sort());
  });

  test.each([
    ['', '/'],
    ['a/', '/'],
    ['a', '/'],
    ['b/', '/'],
    ['a/b/', '/'],
    ['', 'b'],
    ['', '//'],
    ['', 'nowhere'],
    ['中', '文/'],
    ['a', ''],
  ])('prefix %j with delimiter %j counts a common prefix once', async (prefix, delimiter) => {
    const answer = await list({ prefix, delimiter, 'encoding-type': 'url' });
    const expected = listings.rolledUp(prefix, delimiter);
    expect(listings.entriesOf(answer).sort()).toEqual([...expected].sort());
    // An entry is a key or a common prefix; both count towards max-keys.
    const page = await list({
      prefix,
      delimiter,
      'encoding-type': 'url',
      'max-keys': String(expected.length),
    });
    expect([listings.entriesOf(page).length, page.xml('IsTruncated')]).toEqual([expected.length, 'false']);
  });

  test('"marker … Amazon S3 starts listing after this specified key", there or not', async () => {
    for (const marker of ['a', 'a/', 'b', '', '\u{10ffff}', 'a/1']) {
      const answer = await list({ marker, 'encoding-type': 'url' });
      expect(listings.keysOf(answer)).toEqual(listings.after(marker));
    }
  });

  test('a marker inside a common prefix stands after that prefix, as the prefix itself does', async () => {
    for (const marker of ['a/', 'a/1', 'a/b/1', 'a/zzz']) {
      const answer = await list({ marker, delimiter: '/', 'encoding-type': 'url' });
      expect(listings.prefixesOf(answer)).toEqual(['b/', '中文/']);
    }
    expect(listings.prefixesOf(await list({ marker: 'a', delimiter: '/', 'encoding-type': 'url' }))).toEqual([
      'a/',
      'b/',
      '中文/',
    ]);
  });

  test('max-keys 0 is an empty page that is not truncated; over 1,000 counts as 1,000', async () => {
    const none = await list({ 'max-keys': '0' });
    expect([none.status, none.xmlAll('Key').length, none.xml('IsTruncated'), none.xml('NextMarker')]).toEqual(
      [200, 0, 'false', undefined],
    );
    expect((await list({ 'max-keys': '5000' })).xml('MaxKeys')).toBe('1000');
  });

  test.each([
    ['max-keys', '-1', 'Argument max-keys must be an integer between 0 and 2147483647'],
    ['max-keys', 'ten', 'Provided max-keys not an integer or within integer range'],
    ['max-keys', '2147483648', 'Provided max-keys not an integer or within integer range'],
    ['encoding-type', 'base64', 'Invalid Encoding Method specified in Request'],
  ])('%s=%s is InvalidArgument', async (name, value, message) => {
    const answer = await list({ [name]: value });
    expect([answer.status, answer.xml('Code'), answer.xml('Message')]).toEqual([
      400,
      'InvalidArgument',
      message,
    ]);
    expect([answer.xml('ArgumentName'), answer.xml('ArgumentValue')]).toEqual([name, value]);
  });
});
