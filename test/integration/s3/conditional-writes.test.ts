// AWS user guide: "How to prevent object overwrites with conditional writes".
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CopyObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { bytesOf, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('conditional writes', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const put = (Key: string, Body: string | Buffer, more: Partial<PutObjectCommandInput> = {}) =>
    bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
  const read = async (Key: string) =>
    (await bucket.s3.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToString();
  beforeAll(async () => {
    bucket = await startS3Bucket();
  });
  afterAll(() => bucket.close());

  test.each([
    ['small', 10],
    ['large', 200_000],
  ])('If-None-Match: * is won by exactly one of 20 %s puts at once', async (name, sizeBytes) => {
    const Key = `race/${name}`;
    const bodies = Array.from({ length: 20 }, (_, i) => bytesOf(sizeBytes, `racer ${i}`));
    const results = await Promise.all(bodies.map((body) => refusal(put(Key, body, { IfNoneMatch: '*' }))));
    const winners = results.flatMap(([status], i) => (status === 200 ? [i] : []));
    expect(winners).toHaveLength(1);
    for (const [status, code] of results.filter(([s]) => s !== 200))
      expect([
        [412, 'PreconditionFailed'],
        [409, 'ConditionalRequestConflict'],
      ]).toContainEqual([status, code]);
    const answer = await bucket.wire.send({ method: 'GET', path: `/files/${Key}` });
    expect(answer.body.equals(bodies[winners[0]!]!)).toBe(true);
  });

  test('If-Match counts up without a lost step while 4 clients try', async () => {
    await put('counter', '0');
    const client = async () => {
      for (let done = 0; done < 5;) {
        const answer = await bucket.s3.send(new GetObjectCommand({ Bucket, Key: 'counter' }));
        const next = Number(await answer.Body!.transformToString()) + 1;
        const [status] = await refusal(put('counter', String(next), { IfMatch: answer.ETag }));
        if (status === 200) done += 1;
        else expect([409, 412]).toContain(status);
      }
    };
    await Promise.all([client(), client(), client(), client()]);
    expect(await read('counter')).toBe('20');
  });

  test('If-Match on a missing key is NoSuchKey, If-None-Match: * writes it', async () => {
    expect(await refusal(put('new', 'x', { IfMatch: '"abc"' }))).toEqual([404, 'NoSuchKey']);
    expect(await refusal(put('new', 'x', { IfNoneMatch: '*' }))).toEqual([200]);
    expect(await refusal(put('new', 'y', { IfNoneMatch: '*' }))).toEqual([412, 'PreconditionFailed']);
    expect(await read('new')).toBe('x');
  });

  test('a copy honours them for its destination', async () => {
    await put('from', 'source');
    const copy = (more: object) =>
      refusal(
        bucket.s3.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource: 'files/from', ...more })),
      );
    expect(await copy({ IfNoneMatch: '*' })).toEqual([200]);
    expect(await copy({ IfNoneMatch: '*' })).toEqual([412, 'PreconditionFailed']);
    expect(await copy({ IfMatch: '"abc"' })).toEqual([412, 'PreconditionFailed']);
  });

  test('a refused body is not asked for', async () => {
    await put('there', 'x');
    const body = bytesOf(1_000_000);
    const headers = await bucket.wire.signedHeaders({
      method: 'PUT',
      path: '/files/there',
      headers: { 'if-none-match': '*' },
      body,
    });
    // The client sends its body only when the gateway says 100 Continue.
    const answer = await bucket.wire.raw('PUT', '/files/there', { ...headers, expect: '100-continue' }, body);
    expect([answer.status, answer.xml('Code')]).toEqual([412, 'PreconditionFailed']);
    expect(await read('there')).toBe('x');
  });
});
