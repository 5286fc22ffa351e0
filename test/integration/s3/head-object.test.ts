// AWS API reference: HeadObject. "The HEAD operation retrieves metadata from an object without returning the object
// itself"; RFC 9110 §9.3.2: the header fields are those of the GET.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { S3Answer } from '../../support/s3-client.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const SEED = 20_260_104;
const LONG_AGO = 'Sat, 01 Jan 2000 00:00:00 GMT';
const LATER = 'Fri, 01 Jan 2100 00:00:00 GMT';

/** Where a value stands for what the object itself has. */
const OWN_ETAG = '{etag}';
const OWN_TIME = '{time}';

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const anEtag = fc.constantFrom(OWN_ETAG, `W/${OWN_ETAG}`, '*', '"x"', `"x", ${OWN_ETAG}`, 'x', '');
const aTime = fc.constantFrom(OWN_TIME, LONG_AGO, LATER, 'Saturday, 01-Jan-00 00:00:00 GMT', 'never');
const aRange = fc.oneof(
  fc.constantFrom(
    'bytes=0-0',
    'bytes=-0',
    'bytes=-5',
    'bytes=3-',
    'bytes=0-1,4-5',
    'bytes=5-2',
    'lines=1-2',
    '',
  ),
  fc.tuple(fc.nat(120), fc.nat(120)).map(([first, last]) => `bytes=${first}-${last}`),
);
const aRequest = fc.record({
  key: fc.constantFrom('plain', 'empty', 'parts', 'bare', 'none', 'no/such key'),
  headers: fc.record(
    {
      range: optional(aRange),
      'if-range': optional(fc.oneof(anEtag, aTime)),
      'if-match': optional(anEtag),
      'if-none-match': optional(anEtag),
      'if-modified-since': optional(aTime),
      'if-unmodified-since': optional(aTime),
      'x-amz-checksum-mode': optional(fc.constantFrom('ENABLED', 'enabled', 'DISABLED')),
    },
    { requiredKeys: [] },
  ),
  query: fc.record(
    {
      partNumber: optional(fc.constantFrom('1', '2', '3', '0', '10001', 'x', '')),
      versionId: fc.option(fc.constantFrom('null', '', 'abc'), { nil: undefined, freq: 4 }),
      'response-content-type': optional(fc.constantFrom('image/png', '', '文')),
      'response-content-disposition': optional(fc.constantFrom('attachment; filename="x y"', 'a\r\nb: c')),
      'response-cache-control': optional(fc.constantFrom('no-store', '')),
      'response-content-language': optional(fc.constantFrom('de')),
      'response-content-encoding': optional(fc.constantFrom('identity')),
      'response-expires': optional(fc.constantFrom(LATER, '0')),
    },
    { requiredKeys: [] },
  ),
});

describe('HeadObject', () => {
  let bucket: S3Bucket;
  const send = (method: string, key: string, headers = {}, query = {}) =>
    bucket.wire.send({ method, path: `/files/${encodeURIComponent(key)}`, headers, query });

  beforeAll(async () => {
    bucket = await startS3Bucket();
    await bucket.wire.send({
      method: 'PUT',
      path: '/files/plain',
      body: '0123456789'.repeat(10),
      headers: {
        'content-type': 'text/plain',
        'cache-control': 'max-age=1',
        'content-disposition': 'inline',
        'content-language': 'zh',
        'content-encoding': 'br',
        expires: LATER,
        'x-amz-meta-a': 'b',
        'x-amz-storage-class': 'GLACIER_IR',
        'x-amz-tagging': 'a=1&b=2',
      },
    });
    await bucket.wire.send({ method: 'PUT', path: '/files/empty', body: '' });
    await bucket.wire.send({ method: 'PUT', path: '/files/bare', body: 'x' });
    const path = '/files/parts';
    const created = await bucket.wire.send({
      method: 'POST',
      path,
      query: { uploads: '' },
      // A composite one asks for the checksum of each part.
      headers: { 'x-amz-checksum-algorithm': 'CRC32C', 'x-amz-checksum-type': 'FULL_OBJECT' },
    });
    const uploadId = created.xml('UploadId')!;
    const etags: string[] = [];
    for (const [i, body] of [bytesOf(5 * MIB, 'a'), Buffer.from('the rest')].entries()) {
      const query = { partNumber: String(i + 1), uploadId };
      etags.push((await bucket.wire.send({ method: 'PUT', path, query, body })).headers.etag!);
    }
    const parts = etags.map((e, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${e}</ETag></Part>`);
    const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
    const done = await bucket.wire.send({ method: 'POST', path, query: { uploadId }, body });
    expect(done.status).toBe(200);
  });
  afterAll(() => bucket.close());

  test('has, byte for byte and in order, the headers of GET, whatever is asked for', async () => {
    const seen = new Map<number, number>();
    const own = new Map<string, S3Answer>();
    for (const key of ['plain', 'empty', 'parts', 'bare']) own.set(key, await send('HEAD', key));
    const fill = (key: string, values: Record<string, string | undefined>): Record<string, string> => {
      const headers = own.get(key)?.headers;
      const pairs = Object.entries(values).flatMap(([name, value]) =>
        value === undefined
          ? []
          : [
              [
                name,
                value
                  .replaceAll(OWN_ETAG, headers?.etag ?? '"none"')
                  .replaceAll(OWN_TIME, headers?.['last-modified'] ?? LONG_AGO),
              ],
            ],
      );
      return Object.fromEntries(pairs) as Record<string, string>;
    };
    await fc.assert(
      fc.asyncProperty(aRequest, async ({ key, headers, query }) => {
        const [filled, asked] = [fill(key, headers), fill(key, query)];
        const [got, headed] = await Promise.all([
          send('GET', key, filled, asked),
          send('HEAD', key, filled, asked),
        ]);
        seen.set(got.status, (seen.get(got.status) ?? 0) + 1);
        expect([headed.status, comparable(headed)]).toEqual([got.status, comparable(got)]);
        expect(headed.body.length).toBe(0);
        // RFC 9110 §8.6: the length of a HEAD is that of the GET's body.
        if (got.status !== 304) expect(headed.headers['content-length']).toBe(String(got.body.length));
      }),
      { seed: SEED, numRuns: 250 },
    );
    // Each kind of answer was among those compared.
    for (const status of [200, 206, 304, 400, 404, 412, 416]) expect(seen.get(status)).toBeGreaterThan(0);
  });

  test('RFC 9110 §13.1.5: leaves a range out of account where If-Range names another object', async () => {
    const { headers } = await send('HEAD', 'plain');
    for (const [ifRange, status] of [
      [headers.etag!, 206],
      [headers['last-modified']!, 206],
      ['"another"', 200],
      [`W/${headers.etag!}`, 200],
      [LONG_AGO, 200],
      [LATER, 200],
    ] as const) {
      const answer = await send('HEAD', 'plain', { range: 'bytes=0-3', 'if-range': ifRange });
      expect([ifRange, answer.status, answer.headers['content-length']]).toEqual([
        ifRange,
        status,
        status === 206 ? '4' : '100',
      ]);
    }
  });

  test('"if the HEAD request generates an error, it returns a generic code without a body"', async () => {
    for (const [key, headers, query, status] of [
      ['none', {}, {}, 404],
      ['plain', { 'if-match': '"x"' }, {}, 412],
      ['plain', { range: 'bytes=500-' }, {}, 416],
      ['plain', {}, { versionId: 'abc' }, 404],
      ['plain', { 'if-none-match': '*' }, {}, 304],
    ] as const) {
      const answer = await send('HEAD', key, headers, query);
      expect([answer.status, answer.body.length]).toEqual([status, 0]);
      expect(answer.headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/);
    }
  });

  test('keeps the connection for the next request after an error without a body', async () => {
    const { status, headers } = await send('HEAD', 'none', { connection: 'keep-alive' });
    expect([status, headers.connection]).toEqual([404, 'keep-alive']);
  });
});

/** Headers as they came, but for the values that every answer has of its own. */
function comparable({ rawHeaders }: S3Answer): string[] {
  const own = new Set(['date', 'x-amz-request-id', 'x-amz-id-2']);
  return rawHeaders.map((text, i) => (i % 2 === 1 && own.has(rawHeaders[i - 1]!.toLowerCase()) ? '' : text));
}
