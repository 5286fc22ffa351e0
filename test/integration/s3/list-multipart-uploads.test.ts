// AWS API reference: ListMultipartUploads.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { MultipartClient } from '../../support/multipart-client.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const KEYS = ['a', 'a', 'a/', 'a/b/1', 'a/b/2', 'b\u0001', 'b&<c>', 'c d+e%2F', '中/1'];

describe('ListMultipartUploads', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  /** Key and upload id of all open uploads, as they are to be listed. */
  const open: [key: string, id: string][] = [];
  const list = (query: Record<string, string> = {}) =>
    bucket.wire.send({ method: 'GET', path: '/files', query: { uploads: '', ...query } });
  const keys = async (query: Record<string, string>) =>
    (await list({ 'encoding-type': 'url', ...query })).xmlAll('Key').map(decodeURIComponent);

  beforeAll(async () => {
    bucket = await startS3Bucket();
    const multipart = new MultipartClient(bucket);
    for (const key of KEYS) open.push([key, await multipart.create(key)]);
    // Two of one millisecond stand in the order of their ids.
    open.sort(([a, i], [b, j]) => Buffer.compare(Buffer.from(a), Buffer.from(b)) || (i < j ? -1 : 1));
  });
  afterAll(() => bucket.close());

  test('tells all of an upload, in byte order of keys and then of time', async () => {
    const answer = await bucket.s3.send(new ListMultipartUploadsCommand({ Bucket, EncodingType: 'url' }));
    expect(answer.Uploads!.map((u) => [decodeURIComponent(u.Key!), u.UploadId])).toEqual(open);
    expect(answer).toMatchObject({ Bucket, MaxUploads: 1000, IsTruncated: false });
    const [first] = answer.Uploads!;
    expect(first).toMatchObject({
      StorageClass: 'STANDARD',
      Owner: expect.anything(),
      Initiator: expect.anything(),
    });
    expect(Math.abs(first!.Initiated!.getTime() - Date.now())).toBeLessThan(600_000);
  });

  test.each([1, 2, 3, 4])('pages of %d uploads, by both markers, show each upload once', async (size) => {
    const seen: string[][] = [];
    let markers = {};
    for (;;) {
      const page = await list({ 'encoding-type': 'url', 'max-uploads': String(size), ...markers });
      const ids = page.xmlAll('UploadId');
      seen.push(...page.xmlAll('Key').map((key, i) => [decodeURIComponent(key), ids[i]!]));
      if (page.xml('IsTruncated') === 'false') break;
      expect(ids).toHaveLength(size);
      markers = {
        'key-marker': decodeURIComponent(page.xml('NextKeyMarker')!),
        'upload-id-marker': page.xml('NextUploadIdMarker')!,
      };
    }
    expect(seen).toEqual(open);
  });

  test('key-marker alone passes over all uploads of that key', async () => {
    expect(await keys({ 'key-marker': 'a' })).toEqual(KEYS.slice(2));
    expect(await keys({ 'key-marker': 'a/' })).toEqual(KEYS.slice(3));
    expect(await keys({ 'key-marker': 'zzz' })).toEqual(KEYS.slice(8));
    expect(await keys({ 'key-marker': '中/1' })).toEqual([]);
  });

  test('upload-id-marker passes over the earlier uploads of the key-marker only', async () => {
    const [, id] = open[0]!;
    const answer = await list({ 'encoding-type': 'url', 'key-marker': 'a', 'upload-id-marker': id });
    expect(answer.xmlAll('UploadId')).toEqual(open.slice(1).map(([, other]) => other));
    expect([answer.xml('KeyMarker'), answer.xml('UploadIdMarker')]).toEqual(['a', id]);
  });

  test('upload-id-marker alone goes on after that upload (the registry driver pages so)', async () => {
    for (const [i, [, id]] of open.entries()) {
      const answer = await list({ 'encoding-type': 'url', 'upload-id-marker': id });
      expect(answer.xmlAll('UploadId')).toEqual(open.slice(i + 1).map(([, other]) => other));
    }
  });

  test('prefix and delimiter roll up as in a list of objects', async () => {
    const rolled = async (query: Record<string, string>) => {
      const answer = await list({ 'encoding-type': 'url', ...query });
      const prefixes = answer.xmlAll('CommonPrefixes').map((p) => p.replace(/<\/?Prefix>/g, ''));
      return [answer.xmlAll('Key').map(decodeURIComponent), prefixes.map(decodeURIComponent)];
    };
    expect(await rolled({ delimiter: '/' })).toEqual([
      ['a', 'a', 'b\u0001', 'b&<c>', 'c d+e%2F'],
      ['a/', '中/'],
    ]);
    expect(await rolled({ prefix: 'a/', delimiter: '/' })).toEqual([['a/'], ['a/b/']]);
    expect(await rolled({ prefix: 'a/b/', delimiter: '/' })).toEqual([['a/b/1', 'a/b/2'], []]);
    expect(await rolled({ prefix: 'b' })).toEqual([KEYS.slice(5, 7), []]);
    expect(await rolled({ prefix: 'none' })).toEqual([[], []]);
    expect(await rolled({ delimiter: 'b/' })).toEqual([KEYS.filter((k) => !k.startsWith('a/b')), ['a/b/']]);
  });

  test.each(['0', '1', '5', 'd', 'f', '~'])(
    'the delimiter %j is looked for in keys, not in upload ids',
    async (delimiter) => {
      const answer = await list({ 'encoding-type': 'url', delimiter });
      const has = (key: string) => key.includes(delimiter);
      expect(answer.xmlAll('Key').map(decodeURIComponent)).toEqual(KEYS.filter((k) => !has(k)));
      expect(answer.xmlAll('CommonPrefixes')).toHaveLength(
        new Set(KEYS.filter(has).map((k) => k.slice(0, k.indexOf(delimiter) + 1))).size,
      );
    },
  );

  test('pages of rolled up uploads name each common prefix once', async () => {
    const seen: string[] = [];
    let markers = {};
    for (;;) {
      const page = await list({ 'encoding-type': 'url', delimiter: '/', 'max-uploads': '1', ...markers });
      seen.push(
        ...page.xmlAll('Key'),
        ...page.xmlAll('CommonPrefixes').map((p) => p.replace(/<\/?Prefix>/g, '')),
      );
      if (page.xml('IsTruncated') === 'false') break;
      const id = page.xml('NextUploadIdMarker');
      markers = {
        'key-marker': decodeURIComponent(page.xml('NextKeyMarker')!),
        ...(id ? { 'upload-id-marker': id } : {}),
      };
    }
    expect(seen.map(decodeURIComponent)).toEqual(['a', 'a', 'a/', 'b\u0001', 'b&<c>', 'c d+e%2F', '中/']);
  });

  test('without encoding-type keys are XML text, with url all of them are percent-encoded', async () => {
    const plain = await list({ prefix: 'b' });
    expect(plain.text).toContain('<Key>b&#x1;</Key>');
    expect(plain.text).toContain('<Key>b&amp;&lt;c&gt;</Key>');
    const url = await list({ prefix: 'c d', 'key-marker': 'c', delimiter: '%', 'encoding-type': 'url' });
    expect(['Prefix', 'KeyMarker', 'Delimiter', 'EncodingType'].map((name) => url.xml(name))).toEqual([
      expect.stringContaining('c%20d'),
      'c',
      '%25',
      'url',
    ]);
    expect(url.xml('CommonPrefixes')).toBe('<Prefix>c%20d%2Be%25</Prefix>');
  });

  test('max-uploads 0 is an empty page, over 1,000 is 1,000, and what is no number is InvalidArgument', async () => {
    const none = await list({ 'max-uploads': '0' });
    expect([none.xmlAll('Upload'), none.xml('IsTruncated')]).toEqual([[], 'false']);
    expect((await list({ 'max-uploads': '5000' })).xml('MaxUploads')).toBe('1000');
    for (const query of [{ 'max-uploads': 'x' }, { 'max-uploads': '-1' }, { 'encoding-type': 'base64' }]) {
      const answer = await list(query);
      expect([answer.status, answer.xml('Code')]).toEqual([400, 'InvalidArgument']);
    }
  });
});
