// AWS: "Bucket policy examples", granting s3:GetObject, s3:ListBucket and s3:GetBucketLocation to everybody.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { isUnsigned } from '../../../src/s3/anonymous.js';
import { RequestHeaders } from '../../../src/s3/headers.js';
import { parseQuery } from '../../../src/s3/request-target.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';
import type { S3Answer } from '../../support/s3-client.js';

describe('a request without a signature', () => {
  let app: TestApp;
  const codeOf = (answer: S3Answer) => [answer.status, answer.xml('Code')];
  const get = (path: string, headers: Record<string, string> = {}) => app.client.raw('GET', path, headers);
  beforeAll(async () => {
    app = await startTestApp({
      settings: {
        isPublicRead: (bucket) => bucket === 'images',
        isRegistry: () => false,
        corsRules: () => [],
      },
    });
    await app.client.send({
      method: 'PUT',
      path: '/images/k',
      body: 'hello',
      headers: { 'content-type': 'text/x', 'x-amz-tagging': 'a=b' },
    });
  });
  afterAll(() => app.close());

  test('reads an object of a public bucket, whole, in part, and by conditions', async () => {
    const whole = await get('/images/k');
    expect([whole.status, whole.text, whole.headers['content-type']]).toEqual([200, 'hello', 'text/x']);
    expect((await get('/images/k', { range: 'bytes=1-2' })).text).toBe('el');
    expect((await get('/images/k', { 'if-none-match': whole.headers.etag! })).status).toBe(304);
    expect((await app.client.raw('HEAD', '/images/k')).headers.etag).toBe(whole.headers.etag);
  });

  test('reads a bare plus of the path as a blank, as S3 does (aws/aws-sdk-ruby#654, imgix/js-core#88)', async () => {
    await app.client.send({ method: 'PUT', path: '/images/dir/a%20b', body: 'blank' });
    await app.client.send({ method: 'PUT', path: '/images/dir/a%2Bb', body: 'plus' });
    expect((await get('/images/dir/a+b')).text).toBe('blank');
    expect((await get('/images/dir/a%2Bb')).text).toBe('plus');
    await app.client.send({ method: 'DELETE', path: '/images/dir/a%20b' });
    await app.client.send({ method: 'DELETE', path: '/images/dir/a%2Bb' });
  });

  test('lists a public bucket, in both versions, and learns that and where it is', async () => {
    expect((await get('/images')).xmlAll('Key')).toEqual(['k']);
    expect((await get('/images?list-type=2&prefix=k')).xml('KeyCount')).toBe('1');
    expect((await app.client.raw('HEAD', '/images')).status).toBe(200);
    expect((await get('/images?location')).status).toBe(200);
  });

  test('is told NoSuchKey where it may list, as S3 does', async () => {
    expect(codeOf(await get('/images/none'))).toEqual([404, 'NoSuchKey']);
  });

  test.each([
    ['PUT', '/images/new'],
    ['DELETE', '/images/k'],
    ['POST', '/images/k?uploads'],
    ['POST', '/images?delete'],
    ['GET', '/images?uploads'],
    ['GET', '/images/k?uploadId=1'],
    ['GET', '/images/k?tagging'],
    ['GET', '/images/k?attributes'],
    ['GET', '/images/k?acl'],
    ['GET', '/images?acl'],
    ['GET', '/images?policyStatus'],
    ['GET', '/images?versions'],
    ['GET', '/images/k?torrent'],
    ['PATCH', '/images/k'],
    ['GET', '/'],
    ['GET', '/shared'],
    ['GET', '/shared/k'],
    ['GET', '/nowhere/k'],
  ])('may not %s %s', async (method, path) => {
    const answer = await app.client.raw(method, path, {}, method === 'PUT' ? 'x' : undefined);
    expect(codeOf(answer)).toEqual([403, 'AccessDenied']);
    expect(app.objects.keys()).toEqual(['k']);
  });

  test.each(['content-type', 'content-disposition', 'cache-control', 'expires', 'content-language'])(
    'may not have the answer say another %s',
    async (name) => {
      const answer = await get(`/images/k?response-${name}=x`);
      expect(codeOf(answer)).toEqual([400, 'InvalidRequest']);
      expect(answer.xml('Message')).toContain('anonymous GET requests');
    },
  );

  test('with a wrong signature is refused, not taken for anonymous', async () => {
    const headers = await app.client.signedHeaders({ method: 'GET', path: '/images/k' });
    const wrong = {
      ...headers,
      authorization: headers['authorization']!.replace(/.$/, (c) => (c === '0' ? '1' : '0')),
    };
    expect(codeOf(await get('/images/k', wrong))).toEqual([403, 'SignatureDoesNotMatch']);
    const link = (await app.client.presign({ method: 'GET', path: '/images/k' })).replace(/.$/, (c) =>
      c === '0' ? '1' : '0',
    );
    expect((await get(link)).status).toBe(403);
  });

  test.each([
    ['Authorization', {}, { authorization: 'Basic YTpi' }],
    ['Authorization, empty', {}, { authorization: '' }],
    ['a session token', {}, { 'x-amz-security-token': 't' }],
    ['X-Amz-Signature', { 'X-Amz-Signature': 'f' }, {}],
    ['x-amz-credential', { 'x-amz-credential': 'a' }, {}],
    ['AWSAccessKeyId', { AWSAccessKeyId: 'a', Signature: 'b', Expires: '1' }, {}],
  ])('that has %s is an attempt to sign', async (_, query, headers: Record<string, string>) => {
    const search = new URLSearchParams(query as Record<string, string>).toString();
    expect(isUnsigned(new RequestHeaders(Object.entries(headers).flat()), parseQuery(search))).toBe(false);
    expect((await get(`/images/k?${search}`, headers)).status).toBeGreaterThanOrEqual(400);
  });

  test('leaves what keys may do as it is', async () => {
    expect((await app.reader.send({ method: 'PUT', path: '/images/k2', body: 'x' })).status).toBe(403);
    expect((await app.client.send({ method: 'GET', path: '/images/k' })).text).toBe('hello');
  });
});

describe('what a public bucket says of itself', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({
      settings: {
        isPublicRead: (bucket) => bucket === 'images',
        isRegistry: () => false,
        corsRules: () => [],
      },
    });
    await app.client.send({ method: 'PUT', path: '/images/k', body: 'hello' });
  });
  afterAll(() => app.close());
  const ask = (path: string, name: string) => app.client.send({ method: 'GET', path, query: { [name]: '' } });

  test('GetBucketPolicyStatus: IsPublic true; of a private one NoSuchBucketPolicy', async () => {
    expect((await ask('/images', 'policyStatus')).xml('IsPublic')).toBe('true');
    expect((await ask('/shared', 'policyStatus')).xml('Code')).toBe('NoSuchBucketPolicy');
  });

  test.each(['/images', '/images/k'])('the ACL of %s lets AllUsers READ', async (path) => {
    const answer = await ask(path, 'acl');
    expect(answer.xml('URI')).toBe('http://acs.amazonaws.com/groups/global/AllUsers');
    expect(answer.xmlAll('Permission')).toEqual(['FULL_CONTROL', 'READ']);
  });

  test('the ACL of a private one names the owner alone', async () => {
    expect((await ask('/shared', 'acl')).xmlAll('Permission')).toEqual(['FULL_CONTROL']);
  });
});
