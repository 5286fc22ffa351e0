/**
 * Each answer detail that crashes or wedges the registry's driver when it is wrong (docs/facts/registry-driver.md §1).
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ObjectError } from '../../../src/objects/errors.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';

describe('details that the registry driver relies on', () => {
  let app: TestApp;
  beforeEach(async () => {
    app = await startTestApp();
  });
  afterEach(() => app.close());

  const put = (key: string, body = 'x') => app.client.send({ method: 'PUT', path: `/images/${key}`, body });
  const list = (query: Record<string, string>) => app.client.send({ method: 'GET', path: '/images', query });

  test('a version 1 list with delimiter always says IsTruncated, even when it is empty', async () => {
    const empty = await list({ prefix: 'nothing/', delimiter: '/', 'max-keys': '1000' });
    expect(empty.status).toBe(200);
    expect(empty.xml('IsTruncated')).toBe('false');
  });

  test('a truncated version 1 list with delimiter gives a NextMarker that leads on', async () => {
    for (const key of ['p/a/1', 'p/a/2', 'p/b', 'p/c/1']) await put(key);
    const seen: string[] = [];
    let marker: string | undefined = '';
    for (let page = 0; marker !== undefined && page < 10; page += 1) {
      const answer = await list({
        prefix: 'p/',
        delimiter: '/',
        'max-keys': '1',
        ...(marker ? { marker } : {}),
      });
      seen.push(
        ...answer.xmlAll('Key'),
        ...answer.xmlAll('CommonPrefixes').map((p) => p.replace(/<[^>]*>/g, '')),
      );
      const isTruncated = answer.xml('IsTruncated') === 'true';
      expect(answer.xml('NextMarker') !== undefined).toBe(isTruncated);
      marker = answer.xml('NextMarker');
    }
    expect(seen).toEqual(['p/a/', 'p/b', 'p/c/']);
  });

  test('a version 2 list gives KeyCount over contents and common prefixes', async () => {
    for (const key of ['p/a/1', 'p/a/2', 'p/b']) await put(key);
    const answer = await list({ 'list-type': '2', prefix: 'p/', delimiter: '/' });
    expect(answer.xml('KeyCount')).toBe('2');
    expect((await list({ 'list-type': '2', prefix: 'none' })).xml('KeyCount')).toBe('0');
  });

  test('a version 2 list sends NextContinuationToken on every page but the last', async () => {
    for (const key of ['k1', 'k2', 'k3']) await put(key);
    const first = await list({ 'list-type': '2', 'max-keys': '2' });
    expect(first.xml('IsTruncated')).toBe('true');
    const token = first.xml('NextContinuationToken')!;
    const last = await list({ 'list-type': '2', 'max-keys': '2', 'continuation-token': token });
    expect(last.xmlAll('Key')).toEqual(['k3']);
    expect(last.xml('IsTruncated')).toBe('false');
    expect(last.text).not.toContain('NextContinuationToken');
  });

  test('a page that ends exactly at the last key is not truncated and has no token', async () => {
    for (const key of ['k1', 'k2']) await put(key);
    const answer = await list({ 'list-type': '2', 'max-keys': '2' });
    expect(answer.xml('IsTruncated')).toBe('false');
    expect(answer.text).not.toContain('NextContinuationToken');
  });

  test('every Contents entry has Key, Size and LastModified', async () => {
    await put('k', 'four');
    const entry = (await list({})).xml('Contents')!;
    expect(entry).toContain('<Key>k</Key>');
    expect(entry).toContain('<Size>4</Size>');
    expect(entry).toMatch(/<LastModified>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z<\/LastModified>/);
  });

  test('ListParts gives ETag, Size and IsTruncated', async () => {
    const { uploadId } = await startUpload('u');
    await part('u', uploadId, 1, 'bytes');
    const answer = await app.client.send({ method: 'GET', path: '/images/u', query: { uploadId } });
    expect(answer.xml('IsTruncated')).toBe('false');
    expect(answer.xml('Size')).toBe('5');
    expect(answer.xml('ETag')).toMatch(/^"[0-9a-f]{32}"$/);
  });

  test('ListParts puts more than 1,000 parts on one page where no max-parts is sent', async () => {
    const { uploadId } = await startUpload('u');
    for (let n = 1; n <= 1005; n += 1)
      await app.objects.uploadPart(
        'images',
        'u' as never,
        uploadId,
        n,
        { bytes: empty(), promise: {} },
        context(),
      );
    const answer = await app.client.send({ method: 'GET', path: '/images/u', query: { uploadId } });
    expect(answer.xmlAll('PartNumber')).toHaveLength(1005);
    expect(answer.xml('IsTruncated')).toBe('false');
  });

  test('ListParts pages by NextPartNumberMarker where max-parts is sent', async () => {
    const { uploadId } = await startUpload('u');
    for (const n of [1, 2, 5]) await part('u', uploadId, n, `part ${n}`);
    const first = await app.client.send({
      method: 'GET',
      path: '/images/u',
      query: { uploadId, 'max-parts': '2' },
    });
    expect(first.xml('NextPartNumberMarker')).toBe('2');
    const next = await app.client.send({
      method: 'GET',
      path: '/images/u',
      query: { uploadId, 'max-parts': '2', 'part-number-marker': '2' },
    });
    expect(next.xmlAll('PartNumber')).toEqual(['5']);
  });

  test('GET of a missing key answers 404 with an XML body whose code is NoSuchKey', async () => {
    const answer = await app.client.send({
      method: 'GET',
      path: '/images/missing',
      headers: { range: 'bytes=0-' },
    });
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toBe('application/xml');
    expect(answer.xml('Code')).toBe('NoSuchKey');
    expect(answer.xml('Key')).toBe('missing');
  });

  test('a bucket that is not configured answers NoSuchBucket', async () => {
    const answer = await app.client.send({ method: 'GET', path: '/other', query: { prefix: 'x' } });
    expect([answer.status, answer.xml('Code')]).toEqual([404, 'NoSuchBucket']);
  });

  test('lists keys in byte order of UTF-8, not in order of UTF-16', async () => {
    const keys = ['foo-x', 'foo/a', 'z', '\u{10000}', '\uffee', 'é'];
    for (const key of keys) await put(encodeURIComponent(key).replaceAll('%2F', '/'));
    const expected = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect((await list({})).xmlAll('Key')).toEqual(expected);
    expect(expected.indexOf('\uffee')).toBeLessThan(expected.indexOf('\u{10000}'));
  });

  test('a ranged read past the end answers 416 InvalidRange with the size', async () => {
    await put('k', 'four');
    const answer = await app.client.send({
      method: 'GET',
      path: '/images/k',
      headers: { range: 'bytes=4-' },
    });
    expect([answer.status, answer.xml('Code'), answer.xml('ActualObjectSize')]).toEqual([
      416,
      'InvalidRange',
      '4',
    ]);
    expect(answer.headers['content-range']).toBe('bytes */4');
  });

  test('gives x-amz-storage-class back, and no such header for STANDARD', async () => {
    await app.client.send({
      method: 'PUT',
      path: '/images/s',
      body: '',
      headers: { 'x-amz-storage-class': 'STANDARD' },
    });
    await app.client.send({
      method: 'PUT',
      path: '/images/r',
      body: '',
      headers: { 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
    });
    expect((await app.client.send({ method: 'GET', path: '/images/s' })).headers).not.toHaveProperty(
      'x-amz-storage-class',
    );
    expect((await app.client.send({ method: 'GET', path: '/images/r' })).headers['x-amz-storage-class']).toBe(
      'REDUCED_REDUNDANCY',
    );
  });

  test('completes with the ETag of the UploadPart header, quoted and escaped as the driver sends it', async () => {
    const { uploadId } = await startUpload('u');
    const etag = (await part('u', uploadId, 1, 'bytes')).headers.etag!;
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    const answer = await complete(
      'u',
      uploadId,
      `<Part><ETag>${etag.replaceAll('"', '&#34;')}</ETag><PartNumber>1</PartNumber></Part>`,
    );
    expect(answer.status).toBe(200);
    expect(answer.xml('ETag')).toMatch(/^"[0-9a-f]{32}-1"$/);
    expect((await app.client.send({ method: 'GET', path: '/images/u' })).text).toBe('bytes');
  });

  test('completes an upload of zero parts, which is how 2.x writes an empty blob', async () => {
    app.objects.rules = { ...app.objects.rules, preset: 'registry' };
    const blob = 'docker/registry/v2/repositories/a/_uploads/1/data';
    const { uploadId } = await startUpload(blob);
    expect((await complete(blob, uploadId, '')).status).toBe(200);
    expect(
      (await app.client.send({ method: 'GET', path: `/images/${blob}` })).headers['content-length'],
    ).toBe('0');
  });

  test('UploadPartCopy answers its ETag in CopyPartResult, also when it copies its own key without a range', async () => {
    await put('u', 'already there');
    const { uploadId } = await startUpload('u');
    const answer = await app.client.send({
      method: 'PUT',
      path: '/images/u',
      query: { partNumber: '1', uploadId },
      headers: { 'x-amz-copy-source': 'images/u' },
    });
    expect(answer.text).toContain('<CopyPartResult');
    expect(answer.xml('ETag')).toMatch(/^"[0-9a-f]{32}"$/);
  });

  test.each([
    'images/dir/a b%2Bc',
    'images/dir/a%20b%2Bc',
    '/images/dir/a%20b%2Bc?versionId=null',
    // java.net.URLEncoder, as AWS's own example for Java has it (aws-sdk-java-v2#1656): a blank is a plus.
    'images/dir/a+b%2Bc',
    // encodeURIComponent over the whole (aws-sdk-js#1821, awsdocs/aws-doc-sdk-examples#759).
    'images%2Fdir%2Fa%20b%2Bc',
    '%2Fimages%2Fdir%2Fa%20b%2Bc',
    '%2Fimages%2Fdir%2Fa%20b%2Bc?versionId=null',
  ])('CopyObject takes the source %s', async (source) => {
    await put('dir/a%20b%2Bc', 'copied');
    // What another reading of the header would find.
    await put('dir/a%2Bb%2Bc', 'another object');
    await put('dir/a%20b%20c', 'another object');
    const answer = await app.client.send({
      method: 'PUT',
      path: '/images/copy',
      headers: { 'x-amz-copy-source': source },
    });
    expect(answer.status).toBe(200);
    expect(answer.xml('ETag')).toMatch(/^"[0-9a-f]{32}"$/);
    expect((await app.client.send({ method: 'GET', path: '/images/copy' })).text).toBe('copied');
  });

  test('ListMultipartUploads finds an upload by its exact key at once', async () => {
    const { uploadId } = await startUpload('repo/_uploads/1/data');
    const answer = await app.client.send({
      method: 'GET',
      path: '/images',
      query: { uploads: '', prefix: 'repo/_uploads/1/data' },
    });
    expect(answer.xmlAll('UploadId')).toEqual([uploadId]);
    expect(answer.xml('Key')).toBe('repo/_uploads/1/data');
  });

  test('ListMultipartUploads pages by upload-id-marker alone, as 3.x sends it', async () => {
    const first = await startUpload('a');
    const second = await startUpload('a');
    const answer = await app.client.send({
      method: 'GET',
      path: '/images',
      query: { uploads: '', 'upload-id-marker': first.uploadId },
    });
    expect(answer.xmlAll('UploadId')).toEqual([second.uploadId]);
  });

  test('a tag that is not yet on Gitee answers 503 SlowDown without Retry-After', async () => {
    app.objects.failures.set('putObject', new ObjectError('not-yet-remote', 'not yet on Gitee'));
    const answer = await put('current/link');
    expect([answer.status, answer.xml('Code')]).toEqual([503, 'SlowDown']);
    expect(answer.headers).not.toHaveProperty('retry-after');
  });

  test('back-pressure answers 503 SlowDown with Retry-After', async () => {
    app.objects.failures.set(
      'putObject',
      new ObjectError('slow-down', 'the line is slow', { retryAfterMs: 2500 }),
    );
    const answer = await put('data');
    expect([answer.status, answer.xml('Code'), answer.headers['retry-after']]).toEqual([
      503,
      'SlowDown',
      '3',
    ]);
  });

  test('start-after works with an empty value and with the bare root, as 3.x sends it', async () => {
    await put('root/a');
    for (const after of ['', 'root/'])
      expect((await list({ 'list-type': '2', prefix: 'root/', 'start-after': after })).xmlAll('Key')).toEqual(
        ['root/a'],
      );
  });

  async function startUpload(key: string): Promise<{ uploadId: string }> {
    const answer = await app.client.send({ method: 'POST', path: `/images/${key}`, query: { uploads: '' } });
    expect(answer.status).toBe(200);
    return { uploadId: answer.xml('UploadId')! };
  }
  const part = (key: string, uploadId: string, partNumber: number, body: string) =>
    app.client.send({
      method: 'PUT',
      path: `/images/${key}`,
      query: { partNumber: String(partNumber), uploadId },
      body,
    });
  const complete = (key: string, uploadId: string, parts: string) =>
    app.client.send({
      method: 'POST',
      path: `/images/${key}`,
      query: { uploadId },
      body: `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts}</CompleteMultipartUpload>`,
    });
});

async function* empty(): AsyncGenerator<Uint8Array> {}
const context = () => ({ signal: new AbortController().signal, requestId: 'test' });
