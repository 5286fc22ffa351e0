// AWS API reference: CompleteMultipartUpload; user guide: "Amazon S3 multipart upload limits", "How to prevent
// object overwrites with conditional writes", "Checking object integrity in Amazon S3".
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  GetObjectAttributesCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { MultipartClient } from '../../support/multipart-client.js';
import { bytesOf, multipartEtag, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const FIRST = bytesOf(5 * MIB, 'first');
const SECOND = bytesOf(9 * MIB, 'second');
const LAST = bytesOf(3, 'last');

interface Listed {
  readonly PartNumber: number;
  readonly ETag: string;
}

describe('CompleteMultipartUpload', () => {
  let bucket: S3Bucket;
  let multipart: MultipartClient;
  const Bucket = 'files';
  /** The document as it is, and no default of an SDK. */
  const post = (key: string, uploadId: string, body: string, headers: Record<string, string> = {}) =>
    bucket.wire.send({ method: 'POST', path: `/files/${key}`, query: { uploadId }, headers, body });
  const documentOf = (parts: readonly Listed[]) =>
    `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts
      .map((p) => `<Part><PartNumber>${p.PartNumber}</PartNumber><ETag>${p.ETag}</ETag></Part>`)
      .join('')}</CompleteMultipartUpload>`;

  beforeAll(async () => {
    bucket = await startS3Bucket();
    multipart = new MultipartClient(bucket);
  });
  afterAll(() => bucket.close());

  test('parts sent in any order, with gaps, become one object with the ETag of S3', async () => {
    const Key = 'order';
    const id = await multipart.create(Key);
    const last = await multipart.part(Key, id, 9000, LAST);
    const second = await multipart.part(Key, id, 20, SECOND);
    const first = await multipart.part(Key, id, 3, FIRST);
    const done = await multipart.complete(Key, id, [first, second, last]);
    expect([done.ETag, done.Bucket, done.Key]).toEqual([multipartEtag([FIRST, SECOND, LAST]), Bucket, Key]);
    expect(done.Location).toBe(`${bucket.stack.gateway.endpoint}/files/order`);
    expect((await multipart.bytes(Key)).equals(Buffer.concat([FIRST, SECOND, LAST]))).toBe(true);
    const attributes = await bucket.s3.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key,
        ObjectAttributes: ['ETag', 'ObjectParts', 'ObjectSize'],
      }),
    );
    expect(attributes).toMatchObject({
      ETag: done.ETag!.replaceAll('"', ''),
      ObjectSize: FIRST.length + SECOND.length + LAST.length,
      ObjectParts: { TotalPartsCount: 3 },
    });
    const head = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key, PartNumber: 2 }));
    expect([head.ContentLength, head.PartsCount]).toEqual([SECOND.length, 3]);
  });

  test('a replaced part counts as it is now, and parts that are not named are dropped', async () => {
    const Key = 'replaced';
    const id = await multipart.create(Key);
    const old = await multipart.part(Key, id, 1, SECOND);
    const first = await multipart.part(Key, id, 1, FIRST);
    await multipart.part(Key, id, 2, SECOND);
    const last = await multipart.part(Key, id, 3, LAST);
    expect(await refusal(multipart.complete(Key, id, [old, last]))).toEqual([400, 'InvalidPart']);
    await multipart.complete(Key, id, [first, last]);
    expect((await multipart.bytes(Key)).equals(Buffer.concat([FIRST, LAST]))).toBe(true);
  });

  test('a part below 5 MiB that is not the last is EntityTooSmall with its size, and the upload goes on', async () => {
    const Key = 'small';
    const id = await multipart.create(Key);
    const [small, big] = [await multipart.part(Key, id, 1, LAST), await multipart.part(Key, id, 2, FIRST)];
    const answer = await post(Key, id, documentOf([small, big]));
    expect(
      ['Code', 'ProposedSize', 'MinSizeAllowed', 'PartNumber', 'ETag'].map((name) => answer.xml(name)),
    ).toEqual(['EntityTooSmall', '3', String(5 * MIB), '1', small.ETag.replaceAll('"', '')]);
    expect(answer.status).toBe(400);
    const almost = await multipart.part(Key, id, 1, FIRST.subarray(1));
    expect(await refusal(multipart.complete(Key, id, [almost, big]))).toEqual([400, 'EntityTooSmall']);
    await multipart.complete(Key, id, [big]);
    expect((await multipart.bytes(Key)).equals(FIRST)).toBe(true);
  });

  test('a missing part, or another ETag, is InvalidPart and says which', async () => {
    const Key = 'missing';
    const id = await multipart.create(Key);
    const first = await multipart.part(Key, id, 1, FIRST);
    const none = { PartNumber: 2, ETag: first.ETag };
    const other = { PartNumber: 1, ETag: `"${'0'.repeat(32)}"` };
    for (const [parts, number, etag] of [
      [[first, none], '2', none.ETag],
      [[other], '1', other.ETag],
    ] as const) {
      const answer = await post(Key, id, documentOf(parts));
      expect([answer.status, answer.xml('Code')]).toEqual([400, 'InvalidPart']);
      expect([answer.xml('UploadId'), answer.xml('PartNumber'), answer.xml('ETag')]).toEqual([
        id,
        number,
        etag.replaceAll('"', ''),
      ]);
    }
    expect(await bucket.listing(Key)).toEqual([]);
  });

  test('parts out of order, or twice, are InvalidPartOrder', async () => {
    const Key = 'disorder';
    const id = await multipart.create(Key);
    const [a, b] = [await multipart.part(Key, id, 1, FIRST), await multipart.part(Key, id, 2, LAST)];
    expect(await refusal(multipart.complete(Key, id, [b, a]))).toEqual([400, 'InvalidPartOrder']);
    expect(await refusal(multipart.complete(Key, id, [a, a]))).toEqual([400, 'InvalidPartOrder']);
  });

  test.each([
    ['no document', '', 'MalformedXML'],
    ['no part', '<CompleteMultipartUpload/>', 'MalformedXML'],
    ['another root', '<Complete><Part/></Complete>', 'MalformedXML'],
    [
      'a part without ETag',
      '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>',
      'MalformedXML',
    ],
    [
      'a part without number',
      '<CompleteMultipartUpload><Part><ETag>"a"</ETag></Part></CompleteMultipartUpload>',
      'MalformedXML',
    ],
    ['part number 0', documentOf([{ PartNumber: 0, ETag: '"a"' }]), 'InvalidArgument'],
    ['part number 10,001', documentOf([{ PartNumber: 10_001, ETag: '"a"' }]), 'InvalidArgument'],
  ])('%s completes nothing', async (_what, body, code) => {
    const id = await multipart.create('malformed');
    await multipart.part('malformed', id, 1, LAST);
    const answer = await post('malformed', id, body);
    expect([answer.status, answer.xml('Code')]).toEqual([400, code]);
    expect(
      (await bucket.s3.send(new ListPartsCommand({ Bucket, Key: 'malformed', UploadId: id }))).Parts,
    ).toHaveLength(1);
  });

  test('ETags without quotes, and with quotes as references, are the same', async () => {
    for (const spelling of [
      (e: string) => e.replaceAll('"', ''),
      (e: string) => e.replaceAll('"', '&quot;'),
    ]) {
      const id = await multipart.create('quotes');
      const part = await multipart.part('quotes', id, 1, LAST);
      expect((await post('quotes', id, documentOf([{ ...part, ETag: spelling(part.ETag) }]))).status).toBe(
        200,
      );
    }
  });

  test('again with the same parts is the same answer, over a restart too; with others NoSuchUpload', async () => {
    const Key = 'again';
    const id = await multipart.create(Key);
    const parts = [await multipart.part(Key, id, 1, FIRST), await multipart.part(Key, id, 2, LAST)];
    const once = await multipart.complete(Key, id, parts);
    expect((await multipart.complete(Key, id, parts)).ETag).toBe(once.ETag);
    await bucket.stack.gateway.restart();
    expect((await multipart.complete(Key, id, parts)).ETag).toBe(once.ETag);
    expect(await refusal(multipart.complete(Key, id, parts.slice(0, 1)))).toEqual([404, 'NoSuchUpload']);
    expect(await refusal(multipart.complete('other', id, parts))).toEqual([404, 'NoSuchUpload']);
  });

  test('many at once with the same parts all succeed, and make one object', async () => {
    const Key = 'at-once';
    const id = await multipart.create(Key);
    const parts = [await multipart.part(Key, id, 1, LAST)];
    const done = await Promise.all(Array.from({ length: 8 }, () => multipart.complete(Key, id, parts)));
    expect(new Set(done.map((d) => d.ETag)).size).toBe(1);
    expect((await multipart.bytes(Key)).equals(LAST)).toBe(true);
  });

  test('two at once with different parts: one wins, the other finds no upload', async () => {
    for (let round = 0; round < 5; round += 1) {
      const Key = `rivals/${round}`;
      const id = await multipart.create(Key);
      const lists = [[await multipart.part(Key, id, 1, 'one')], [await multipart.part(Key, id, 2, 'two')]];
      const results = await Promise.all(lists.map((parts) => refusal(multipart.complete(Key, id, parts))));
      const winner = results.findIndex(([status]) => status === 200);
      expect(results[1 - winner]).toEqual([404, 'NoSuchUpload']);
      expect((await multipart.bytes(Key)).toString()).toBe(['one', 'two'][winner]);
    }
  });

  test('and Abort at once: the object is whole, or is not there', async () => {
    for (let round = 0; round < 10; round += 1) {
      const Key = `race/${round}`;
      const id = await multipart.create(Key);
      const first = await multipart.part(Key, id, 1, LAST);
      const [completed, aborted] = await Promise.all([
        refusal(multipart.complete(Key, id, [first])),
        refusal(multipart.abort(Key, id)),
      ]);
      const there = (await bucket.listing(Key)).length === 1;
      expect([completed[0] === 200, aborted[0] === 200].filter(Boolean)).toHaveLength(1);
      expect(there).toBe(completed[0] === 200);
    }
  });

  test('If-None-Match: * is won by one of many at once', async () => {
    const Key = 'none-match';
    const uploads = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const id = await multipart.create(Key);
        return { id, parts: [await multipart.part(Key, id, 1, `racer ${i}`)] };
      }),
    );
    const results = await Promise.all(
      uploads.map(({ id, parts }) => refusal(multipart.complete(Key, id, parts, { IfNoneMatch: '*' }))),
    );
    const winner = results.findIndex(([status]) => status === 200);
    expect((await multipart.bytes(Key)).toString()).toBe(`racer ${winner}`);
    for (const [i, result] of results.entries())
      expect(result).toEqual(i === winner ? [200] : [412, 'PreconditionFailed']);
  });

  test('If-Match is won by one of many at once, puts among them', async () => {
    const Key = 'if-match';
    const { ETag } = await bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body: 'start' }));
    const results = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        if (i % 2 === 1)
          return refusal(
            bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body: `racer ${i}`, IfMatch: ETag })),
          );
        const id = await multipart.create(Key);
        const parts = [await multipart.part(Key, id, 1, `racer ${i}`)];
        return refusal(multipart.complete(Key, id, parts, { IfMatch: ETag }));
      }),
    );
    const winner = results.findIndex(([status]) => status === 200);
    expect((await multipart.bytes(Key)).toString()).toBe(`racer ${winner}`);
    for (const [i, result] of results.entries())
      expect(result).toEqual(i === winner ? [200] : [412, 'PreconditionFailed']);
  });

  test('If-Match of a missing key is NoSuchKey; a failed condition leaves the upload open', async () => {
    const Key = 'conditions';
    const id = await multipart.create(Key);
    const parts = [await multipart.part(Key, id, 1, LAST)];
    expect(await refusal(multipart.complete(Key, id, parts, { IfMatch: '"x"' }))).toEqual([404, 'NoSuchKey']);
    expect(await refusal(multipart.complete(Key, id, parts, { IfNoneMatch: '*' }))).toEqual([200]);
  });

  test('x-amz-mp-object-size must be the size of the whole', async () => {
    const Key = 'mp-size';
    const id = await multipart.create(Key);
    const body = documentOf([
      await multipart.part(Key, id, 1, FIRST),
      await multipart.part(Key, id, 2, LAST),
    ]);
    const wrong = await post(Key, id, body, { 'x-amz-mp-object-size': String(5 * MIB) });
    expect([wrong.status, wrong.xml('Code')]).toEqual([400, 'InvalidRequest']);
    const noNumber = await post(Key, id, body, { 'x-amz-mp-object-size': 'large' });
    expect([noNumber.status, noNumber.xml('Code')]).toEqual([400, 'InvalidArgument']);
    expect(await bucket.listing(Key)).toEqual([]);
    expect((await post(Key, id, body, { 'x-amz-mp-object-size': String(5 * MIB + 3) })).status).toBe(200);
  });

  describe('checksums', () => {
    const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
    const crc = (bytes: Uint8Array) => {
      const word = Buffer.alloc(4);
      word.writeUInt32BE(crc32(bytes) >>> 0);
      return word;
    };
    /** An upload of two parts, and its document with no checksums. */
    async function upload(
      Key: string,
      more: { ChecksumAlgorithm: 'SHA256' | 'CRC32'; ChecksumType?: 'FULL_OBJECT' },
      numbers: readonly [number, number] = [1, 2],
    ): Promise<[string, string]> {
      const id = await multipart.create(Key, more);
      const parts: Listed[] = [];
      for (const [i, body] of [FIRST, LAST].entries()) {
        const query = { uploadId: id, partNumber: String(numbers[i]) };
        // Those of a FULL_OBJECT checksum needn't have any.
        const headers: Record<string, string> =
          more.ChecksumAlgorithm === 'SHA256'
            ? { 'x-amz-checksum-sha256': sha(body).toString('base64') }
            : more.ChecksumType
              ? {}
              : { 'x-amz-checksum-crc32': crc(body).toString('base64') };
        const sent = await bucket.wire.send({ method: 'PUT', path: `/files/${Key}`, query, headers, body });
        parts.push({ PartNumber: numbers[i]!, ETag: sent.headers.etag! });
      }
      return [id, documentOf(parts)];
    }
    const withChecksum = (body: string, name: string, values: readonly string[]) => {
      let i = 0;
      return body.replaceAll('</Part>', () => `<${name}>${values[i++]}</${name}></Part>`);
    };

    test('COMPOSITE is the checksum of the checksums, with the number of parts', async () => {
      const [id, body] = await upload('composite', { ChecksumAlgorithm: 'SHA256' });
      const sums = [sha(FIRST), sha(LAST)];
      const expected = `${sha(Buffer.concat(sums)).toString('base64')}-2`;
      const document = withChecksum(
        body,
        'ChecksumSHA256',
        sums.map((s) => s.toString('base64')),
      );
      const done = await post('composite', id, document, { 'x-amz-checksum-type': 'COMPOSITE' });
      expect([done.xml('ChecksumSHA256'), done.xml('ChecksumType')]).toEqual([expected, 'COMPOSITE']);
      const head = await bucket.wire.send({
        method: 'HEAD',
        path: '/files/composite',
        headers: { 'x-amz-checksum-mode': 'ENABLED' },
      });
      expect([head.headers['x-amz-checksum-sha256'], head.headers['x-amz-checksum-type']]).toEqual([
        expected,
        'COMPOSITE',
      ]);
    });

    test('FULL_OBJECT is that of all bytes; a wrong one completes nothing', async () => {
      const whole = crc(Buffer.concat([FIRST, LAST])).toString('base64');
      const [id, body] = await upload('full', { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
      const wrong = await post('full', id, body, { 'x-amz-checksum-crc32': crc(LAST).toString('base64') });
      expect([wrong.status, wrong.xml('Code')]).toEqual([400, 'BadDigest']);
      expect(await bucket.listing('full')).toEqual([]);
      const done = await post('full', id, body, { 'x-amz-checksum-crc32': whole });
      expect([done.xml('ChecksumCRC32'), done.xml('ChecksumType')]).toEqual([whole, 'FULL_OBJECT']);
      const again = await post('full', id, body, { 'x-amz-checksum-crc32': whole });
      expect([again.status, again.xml('ChecksumCRC32')]).toEqual([200, whole]);
    });

    // floci-io/floci#3093 (captured from S3), localstack#12842 and versitygw#1345: how AWS takes and tells the value.
    test('a composite value comes with the number of parts, and its parts tell their own, after a restart too', async () => {
      const Key = 'composite-parts';
      const [id, bare] = await upload(Key, { ChecksumAlgorithm: 'SHA256' });
      const sums = [sha(FIRST), sha(LAST)];
      const [first, last] = sums.map((s) => s.toString('base64'));
      const body = withChecksum(bare, 'ChecksumSHA256', [first!, last!]);
      const value = sha(Buffer.concat(sums)).toString('base64');
      const wrong = await post(Key, id, body, { 'x-amz-checksum-sha256': `${first}-2` });
      expect([wrong.status, wrong.xml('Code')]).toEqual([400, 'BadDigest']);
      const headers = { 'x-amz-checksum-sha256': `${value}-2`, 'x-amz-sdk-checksum-algorithm': 'SHA256' };
      const done = await post(Key, id, body, headers);
      expect([done.status, done.xml('ChecksumSHA256')]).toEqual([200, `${value}-2`]);
      await bucket.stack.gateway.restart();
      const path = `/files/${Key}`;
      const attributes = await bucket.wire.send({
        ...{ method: 'GET', path, query: { attributes: '' } },
        headers: { 'x-amz-object-attributes': 'Checksum,ObjectParts' },
      });
      expect(attributes.xmlAll('ChecksumSHA256')).toEqual([value, first, last]);
      const part = async (partNumber: string) => {
        const mode = { 'x-amz-checksum-mode': 'ENABLED' };
        const { headers: told } = await bucket.wire.send({
          method: 'HEAD',
          path,
          query: { partNumber },
          headers: mode,
        });
        return [told['x-amz-checksum-sha256'], told['x-amz-checksum-type']];
      };
      expect([await part('1'), await part('2')]).toEqual([
        [first, 'COMPOSITE'],
        [last, 'COMPOSITE'],
      ]);
    });

    // apache/opendal#4580 and floci-io/floci#3093 (row 23, captured from S3).
    test.each(['SHA256', 'CRC32'] as const)(
      'the list of a composite %s upload has the checksum of every part',
      async (ChecksumAlgorithm) => {
        const Key = `listed/${ChecksumAlgorithm}`;
        const [id, body] = await upload(Key, { ChecksumAlgorithm });
        const hash = ChecksumAlgorithm === 'SHA256' ? sha : crc;
        const whole = withChecksum(
          body,
          `Checksum${ChecksumAlgorithm}`,
          [FIRST, LAST].map((bytes) => hash(bytes).toString('base64')),
        );
        const half = whole.replace(
          /<Checksum\w+>[^<]*<\/Checksum\w+><\/Part><\/Complete/,
          '</Part></Complete',
        );
        expect(half).not.toBe(whole);
        for (const [document, missing] of [
          [body, 1],
          [half, 2],
        ] as const) {
          const answer = await post(Key, id, document);
          expect([answer.status, answer.xml('Code'), answer.xml('Message')]).toEqual([
            400,
            'InvalidRequest',
            `The upload was created using a ${ChecksumAlgorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${missing} in the request.`,
          ]);
        }
        expect(await bucket.listing(Key)).toEqual([]);
        expect((await post(Key, id, whole)).status).toBe(200);
        // As with S3, whoever asks again with the same parts need not tell more of them.
        expect((await post(Key, id, body)).status).toBe(200);
      },
    );

    // AWS CompletedPart, PartNumber: "must start at 1 and the part numbers must be consecutive".
    test('the parts of a composite upload are numbered from 1 without gaps', async () => {
      for (const numbers of [
        [1, 3],
        [2, 3],
      ] as const) {
        const [id, body] = await upload('numbers', { ChecksumAlgorithm: 'SHA256' }, numbers);
        const sums = [FIRST, LAST].map((bytes) => sha(bytes).toString('base64'));
        const answer = await post('numbers', id, withChecksum(body, 'ChecksumSHA256', sums));
        expect([answer.status, answer.xml('Code')]).toEqual([400, 'InvalidPartOrder']);
      }
      expect(await bucket.listing('numbers')).toEqual([]);
      const full = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;
      const [id, body] = await upload('numbers', full, [2, 4]);
      expect((await post('numbers', id, body)).status).toBe(200);
    });

    test.each([
      ['another algorithm', { 'x-amz-checksum-sha1': Buffer.alloc(20).toString('base64') }, 'InvalidRequest'],
      // AWS CompleteMultipartUpload, x-amz-checksum-type: "it'll result in a BadDigest error".
      ['another type', { 'x-amz-checksum-type': 'COMPOSITE' }, 'BadDigest'],
      ['an unknown type', { 'x-amz-checksum-type': 'HALF' }, 'InvalidRequest'],
    ] as [string, Record<string, string>, string][])(
      '%s than at Create is refused',
      async (_what, headers, code) => {
        const [id, body] = await upload('mode', { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
        const answer = await post('mode', id, body, headers);
        expect([answer.status, answer.xml('Code')]).toEqual([400, code]);
        expect(await bucket.listing('mode')).toEqual([]);
      },
    );

    test('a checksum of a part that is another one, or of another algorithm, is InvalidPart', async () => {
      const [id, body] = await upload('wrong-part', { ChecksumAlgorithm: 'SHA256' });
      const swapped = [sha(LAST), sha(FIRST)].map((s) => s.toString('base64'));
      const crcs = [crc(FIRST), crc(LAST)].map((s) => s.toString('base64'));
      for (const document of [
        withChecksum(body, 'ChecksumSHA256', swapped),
        withChecksum(body, 'ChecksumCRC32', crcs),
      ]) {
        const answer = await post('wrong-part', id, document);
        expect([answer.status, answer.xml('Code'), answer.xml('PartNumber')]).toEqual([
          400,
          'InvalidPart',
          '1',
        ]);
      }
    });
  });

  test('lib-storage uploads a stream in parallel parts', async () => {
    const Body = Buffer.concat([SECOND, FIRST, SECOND]);
    await new Upload({
      client: bucket.s3,
      queueSize: 4,
      partSize: 5 * MIB,
      params: { Bucket, Key: 'stream', Body },
    }).done();
    expect((await multipart.bytes('stream')).equals(Body)).toBe(true);
  });
});
