// AWS API reference: ListParts.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ListPartsCommand } from '@aws-sdk/client-s3';
import { MultipartClient } from '../../support/multipart-client.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

/** More than two pages; 10,000 stand in the unit test of the objects layer, since each part here is an fsync. */
const PARTS = 2100;

describe('ListParts', () => {
  let bucket: S3Bucket;
  let multipart: MultipartClient;
  /** An upload of the parts 1, 5, 7 and 10,000. */
  let few: string;
  const Bucket = 'files';
  const Key = 'key with blanks/中';
  const path = `/files/${Key.split('/').map(encodeURIComponent).join('/')}`;
  const list = (uploadId: string, query: Record<string, string> = {}) =>
    bucket.wire.send({ method: 'GET', path, query: { uploadId, ...query } });

  beforeAll(async () => {
    bucket = await startS3Bucket();
    multipart = new MultipartClient(bucket);
    few = await multipart.create(Key, { StorageClass: 'STANDARD_IA' });
    for (const n of [10_000, 5, 7, 1]) await multipart.part(Key, few, n, bytesOf(n, `part ${n}`));
  });
  afterAll(() => bucket.close());

  test('tells all of an upload and its parts in order of their numbers', async () => {
    const answer = await list(few);
    expect(
      ['Bucket', 'Key', 'UploadId', 'StorageClass', 'PartNumberMarker', 'IsTruncated'].map((n) =>
        answer.xml(n),
      ),
    ).toEqual(['files', Key, few, 'STANDARD_IA', '0', 'false']);
    expect([answer.xmlAll('PartNumber'), answer.xmlAll('Size')]).toEqual([
      ['1', '5', '7', '10000'],
      ['1', '5', '7', '10000'],
    ]);
    expect(answer.text).toMatch(/<Initiator><ID>.+<\/Initiator><Owner><ID>.+<\/Owner>/);
    for (const time of answer.xmlAll('LastModified'))
      expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(600_000);
  });

  test('pages by its marker, and the last page names none', async () => {
    const pages: (string[] | string | undefined)[][] = [];
    let marker: string | undefined = '0';
    do {
      const page = await list(few, { 'max-parts': '3', 'part-number-marker': marker });
      marker = page.xml('NextPartNumberMarker');
      pages.push([page.xmlAll('PartNumber'), page.xml('MaxParts'), page.xml('IsTruncated'), marker]);
    } while (marker !== undefined);
    expect(pages).toEqual([
      [['1', '5', '7'], '3', 'true', '7'],
      [['10000'], '3', 'false', undefined],
    ]);
  });

  test.each([
    ['4', ['5', '7', '10000']],
    ['5', ['7', '10000']],
    ['10000', []],
    ['65535', []],
    ['65536', []],
    ['70000', []],
    ['2147483647', []],
  ])('lists what stands after the marker %s', async (marker, numbers) => {
    const answer = await list(few, { 'part-number-marker': marker });
    expect([answer.xmlAll('PartNumber'), answer.xml('PartNumberMarker'), answer.xml('IsTruncated')]).toEqual([
      numbers,
      marker,
      'false',
    ]);
  });

  test('no part asked for is an empty page, and not a truncated one', async () => {
    const answer = await list(few, { 'max-parts': '0' });
    expect([answer.status, answer.xmlAll('PartNumber'), answer.xml('IsTruncated')]).toEqual([
      200,
      [],
      'false',
    ]);
  });

  test.each([
    { 'max-parts': 'x' },
    { 'max-parts': '-1' },
    { 'max-parts': '2147483648' },
    { 'part-number-marker': '1.5' },
    { 'part-number-marker': '-1' },
  ] as Record<string, string>[])('%j is InvalidArgument', async (query) => {
    const answer = await list(few, query);
    expect([answer.status, answer.xml('Code'), answer.xml('ArgumentName')]).toEqual([
      400,
      'InvalidArgument',
      Object.keys(query)[0],
    ]);
  });

  test('an upload that is not there, or of another key, is NoSuchUpload', async () => {
    expect((await list('none')).xml('Code')).toBe('NoSuchUpload');
    const other = await bucket.wire.send({ method: 'GET', path: '/files/x', query: { uploadId: few } });
    expect([other.status, other.xml('Code')]).toEqual([404, 'NoSuchUpload']);
  });

  test('many parts come in pages of at most 1,000, and all at once where no size is asked for', async () => {
    const id = await multipart.create('many');
    const send = async (n: number) => {
      const query = { uploadId: id, partNumber: String(n) };
      const answer = await bucket.wire.send({ method: 'PUT', path: '/files/many', query, body: `${n};` });
      expect(answer.status).toBe(200);
    };
    for (let at = 1; at <= PARTS; at += 100)
      await Promise.all(Array.from({ length: 100 }, (_, i) => send(at + i)));
    const numbers: number[] = [];
    let PartNumberMarker: string | undefined;
    let pages = 0;
    do {
      const page = await bucket.s3.send(
        new ListPartsCommand({
          Bucket,
          Key: 'many',
          UploadId: id,
          MaxParts: 5000,
          ...(PartNumberMarker ? { PartNumberMarker } : {}),
        }),
      );
      expect(page.MaxParts).toBe(1000);
      numbers.push(...page.Parts!.map((p) => p.PartNumber!));
      PartNumberMarker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
      pages += 1;
    } while (PartNumberMarker !== undefined);
    expect([pages, numbers]).toEqual([3, Array.from({ length: PARTS }, (_, i) => i + 1)]);
    const all = await bucket.wire.send({ method: 'GET', path: '/files/many', query: { uploadId: id } });
    expect([all.xmlAll('PartNumber').length, all.xml('IsTruncated')]).toEqual([PARTS, 'false']);
    // Only the last part may be small: the whole document is read, and the first part is the one refused.
    const etags = all.xmlAll('ETag');
    const body = `<CompleteMultipartUpload>${etags
      .map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
      .join('')}</CompleteMultipartUpload>`;
    const refused = await bucket.wire.send({
      method: 'POST',
      path: '/files/many',
      query: { uploadId: id },
      body,
    });
    expect([refused.xml('Code'), refused.xml('PartNumber')]).toEqual(['EntityTooSmall', '1']);
    await multipart.abort('many', id);
  });
});
