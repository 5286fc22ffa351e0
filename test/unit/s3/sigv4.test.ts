import http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import aws4 from 'aws4';
import { canonicalUris } from '../../../src/s3/sigv4/canonical-request.js';
import { deriveSigningKey, SigningKeys } from '../../../src/s3/sigv4/signing.js';
import { ACCESS_KEY, SECRET_KEY, startTestApp, type TestApp } from '../../support/s3-app.js';
import { WireClient, sha256Hex } from '../../support/s3-client.js';

describe('Signature Version 4', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
    await app.client.send({ method: 'PUT', path: '/images/k', body: 'hello' });
  });
  afterAll(() => app.close());

  const get = (query: Record<string, string> = {}) => ({ method: 'GET', path: '/images/k', query });
  const codeOf = (answer: { status: number; xml(n: string): string | undefined }) => [
    answer.status,
    answer.xml('Code'),
  ];

  test('lets a request in that @smithy/signature-v4 signed', async () => {
    expect((await app.client.send(get())).text).toBe('hello');
  });

  test.each([
    '/images/a%20b',
    '/images/a%2Fb',
    '/images/a//b',
    '/images/%E4%BD%A0/~x',
    "/images/(a)'*!",
    '/images/a+b',
    '/images/a/../b',
    '/images/%2525',
  ])('lets the path %s in as it was sent, and keeps it apart from others', async (path) => {
    const answer = await app.client.send({ method: 'PUT', path, body: path });
    expect(answer.status).toBe(200);
    expect((await app.client.send({ method: 'GET', path })).text).toBe(path);
  });

  test('lets requests in that aws4 signed, by header and by query', async () => {
    const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
    const header = aws4.sign(
      {
        host: `127.0.0.1:${app.port}`,
        path: '/images/k?response-content-type=text%2Fx%20y',
        service: 's3',
        region: 'us-east-1',
        method: 'GET',
      },
      credentials,
    );
    const byHeader = await app.client.raw('GET', header.path!, header.headers);
    expect([byHeader.status, byHeader.text]).toEqual([200, 'hello']);
    const query = aws4.sign(
      {
        host: `127.0.0.1:${app.port}`,
        path: '/images/k?X-Amz-Expires=60',
        service: 's3',
        region: 'us-east-1',
        signQuery: true,
      },
      credentials,
    );
    expect((await app.client.raw('GET', query.path!)).text).toBe('hello');
  });

  test.each(['GET', 'HEAD', 'PUT', 'DELETE'])('lets a presigned %s in', async (method) => {
    const url = await app.client.presign({ method, path: '/images/presigned' });
    const answer = await app.client.raw(method, url, {}, method === 'PUT' ? 'body' : undefined);
    expect(answer.status).toBe({ GET: 404, HEAD: 404, PUT: 200, DELETE: 204 }[method]);
  });

  test('lets a presigned link hold for a client that adds Range and User-Agent', async () => {
    const url = await app.client.presign(get());
    const answer = await app.client.raw('GET', url, {
      range: 'bytes=1-2',
      'user-agent': 'docker',
      'accept-encoding': 'gzip',
    });
    expect([answer.status, answer.text, answer.headers['content-range']]).toEqual([206, 'el', 'bytes 1-2/5']);
  });

  test('refuses a presigned link of one method for another', async () => {
    const url = await app.client.presign({ method: 'GET', path: '/images/k' });
    expect(codeOf(await app.client.raw('DELETE', url))).toEqual([403, 'SignatureDoesNotMatch']);
  });

  test('refuses a presigned link after its time', async () => {
    const url = await app.client.presign({ ...get(), now: new Date(Date.now() - 61_000) }, 60);
    const answer = await app.client.raw('GET', url);
    expect(codeOf(answer)).toEqual([403, 'AccessDenied']);
    expect(answer.xml('Message')).toBe('Request has expired');
  });

  test.each([
    ['0', 400],
    ['-5', 400],
    ['604801', 400],
    ['soon', 400],
  ])('refuses X-Amz-Expires=%s', async (expires, status) => {
    const url = (await app.client.presign(get())).replace('X-Amz-Expires=1200', `X-Amz-Expires=${expires}`);
    expect(codeOf(await app.client.raw('GET', url))).toEqual([status, 'AuthorizationQueryParametersError']);
  });

  test('takes X-Amz-Expires=604800', async () => {
    const url = await app.client.presign(get(), 604_800);
    expect((await app.client.raw('GET', url)).status).toBe(200);
  });

  test('refuses a header that was changed, a query that was added, a body that is another', async () => {
    const headers = await app.client.signedHeaders({
      method: 'PUT',
      path: '/images/x',
      body: 'a',
      headers: { 'x-amz-acl': 'private' },
    });
    expect(
      codeOf(await app.client.raw('PUT', '/images/x', { ...headers, 'x-amz-acl': 'public-read' }, 'a')),
    ).toEqual([403, 'SignatureDoesNotMatch']);
    expect(codeOf(await app.client.raw('PUT', '/images/x?acl', headers, 'a'))).toEqual([
      403,
      'SignatureDoesNotMatch',
    ]);
    expect(codeOf(await app.client.raw('PUT', '/images/x', headers, 'b'))).toEqual([
      400,
      'XAmzContentSHA256Mismatch',
    ]);
    expect(app.objects.keys()).not.toContain('x');
  });

  test('refuses an x-amz header that is not signed, and names it', async () => {
    const answer = await app.client.send({ ...get(), unsignedHeaders: { 'x-amz-meta-added': '1' } });
    expect(codeOf(answer)).toEqual([403, 'AccessDenied']);
    expect(answer.xml('HeadersNotSigned')).toBe('x-amz-meta-added');
  });

  test('refuses a signature that does not cover the host', async () => {
    const headers = await app.client.signedHeaders(get());
    const authorization = headers['authorization']!.replace('SignedHeaders=host;', 'SignedHeaders=');
    const answer = await app.client.raw('GET', '/images/k', { ...headers, authorization });
    expect(answer.xml('HeadersNotSigned')).toBe('host');
  });

  test.each([-16, 16])('refuses a clock that is %d minutes off', async (minutes) => {
    const answer = await app.client.send({ ...get(), now: new Date(Date.now() + minutes * 60_000) });
    expect(codeOf(answer)).toEqual([403, 'RequestTimeTooSkewed']);
    expect(answer.xml('MaxAllowedSkewMilliseconds')).toBe('900000');
  });

  test('bears a clock that is 14 minutes off', async () => {
    expect((await app.client.send({ ...get(), now: new Date(Date.now() - 14 * 60_000) })).status).toBe(200);
  });

  test('refuses a foreign region and says which one it expects', async () => {
    const answer = await new WireClient({ ...app.target, region: 'eu-west-1' }).send(get());
    expect(codeOf(answer)).toEqual([400, 'AuthorizationHeaderMalformed']);
    expect(answer.xml('Region')).toBe('us-east-1');
  });

  test('refuses a scope of another service or another day', async () => {
    const headers = await app.client.signedHeaders(get());
    for (const [from, to] of [
      ['/s3/', '/sqs/'],
      [/\/\d{8}\//, '/20200101/'],
    ] as const) {
      const authorization = headers['authorization']!.replace(from, to);
      expect(codeOf(await app.client.raw('GET', '/images/k', { ...headers, authorization }))).toEqual([
        400,
        'AuthorizationHeaderMalformed',
      ]);
    }
  });

  test('refuses an unknown access key, and a wrong secret', async () => {
    expect(codeOf(await new WireClient({ ...app.target, accessKeyId: 'NOBODY' }).send(get()))).toEqual([
      403,
      'InvalidAccessKeyId',
    ]);
    expect(codeOf(await new WireClient({ ...app.target, secretAccessKey: 'wrong' }).send(get()))).toEqual([
      403,
      'SignatureDoesNotMatch',
    ]);
  });

  test('refuses a request without a signature', async () => {
    expect(codeOf(await app.client.raw('GET', '/images/k'))).toEqual([403, 'AccessDenied']);
  });

  test('refuses a session token clearly', async () => {
    const answer = await app.client.send({ ...get(), headers: { 'x-amz-security-token': 'token' } });
    expect(codeOf(answer)).toEqual([400, 'InvalidToken']);
    expect(answer.xml('Message')).toMatch(/session token/i);
  });

  test.each([
    ['header', '/images/k', { authorization: 'AWS AKID:c2lnbmF0dXJl' }],
    ['query', '/images/k?AWSAccessKeyId=AKID&Signature=x&Expires=1', {}],
  ])('refuses Signature Version 2 in the %s and says what is asked for', async (_where, path, headers) => {
    const answer = await app.client.raw('GET', path, headers);
    expect(codeOf(answer)).toEqual([400, 'InvalidRequest']);
    expect(answer.xml('Message')).toContain('AWS4-HMAC-SHA256');
    // What is to be set in the registry's configuration is of no use to anybody else.
    expect(answer.xml('Message')).not.toContain('v4auth');
  });

  // git-annex signs for the host where that is none of Amazon's (Haskell library aws, S3 signature version 4).
  test('takes the name of the host for the region, and no other name', async () => {
    const host = app.endpoint.replace(/^http:\/\/|:\d+$/g, '');
    const asked = async (region: string) =>
      codeOf(await new WireClient({ ...app.target, region }).send({ method: 'GET', path: '/images' }));
    expect(await asked(host)).toEqual([200, undefined]);
    expect(await asked('other.example')).toEqual([400, 'AuthorizationHeaderMalformed']);
  });

  test('refuses a header signature without x-amz-content-sha256, or with a senseless one', async () => {
    const headers = await app.client.signedHeaders(get());
    const { 'x-amz-content-sha256': _hash, ...without } = headers;
    expect(codeOf(await app.client.raw('GET', '/images/k', without))).toEqual([400, 'InvalidRequest']);
    expect(
      codeOf(await app.client.raw('GET', '/images/k', { ...headers, 'x-amz-content-sha256': 'abc' })),
    ).toEqual([400, 'InvalidArgument']);
  });

  test('takes UNSIGNED-PAYLOAD by header', async () => {
    const answer = await app.client.send({
      method: 'PUT',
      path: '/images/u',
      body: 'x',
      payloadHash: 'UNSIGNED-PAYLOAD',
    });
    expect(answer.status).toBe(200);
  });

  test('gives a reader reads and no writes, and no other bucket', async () => {
    expect((await app.reader.send(get())).text).toBe('hello');
    expect(codeOf(await app.reader.send({ method: 'PUT', path: '/images/r', body: 'x' }))).toEqual([
      403,
      'AccessDenied',
    ]);
    expect(codeOf(await app.reader.send({ method: 'GET', path: '/shared' }))).toEqual([403, 'AccessDenied']);
  });

  test('does not let a copy read what its key may not read', async () => {
    await app.objects.putObject(
      'secret',
      's' as never,
      { bytes: bytes('secret'), promise: {} },
      { meta: {}, conditions: {} },
      { signal: new AbortController().signal, requestId: 't' },
    );
    const answer = await app.client.send({
      method: 'PUT',
      path: '/images/stolen',
      headers: { 'x-amz-copy-source': 'secret/s' },
    });
    expect(codeOf(answer)).toEqual([403, 'AccessDenied']);
  });

  test('lists only the buckets that the key may use', async () => {
    expect((await app.client.send({ method: 'GET', path: '/' })).xmlAll('Name')).toEqual([
      'images',
      'shared',
    ]);
    expect((await app.reader.send({ method: 'GET', path: '/' })).xmlAll('Name')).toEqual(['images']);
  });

  test('signs header values with runs of blanks and UTF-8 as signers do', async () => {
    const answer = await app.client.send({
      method: 'PUT',
      path: '/images/meta',
      body: '',
      headers: { 'x-amz-meta-note': '  two   blanks ' },
    });
    expect(answer.status).toBe(200);
  });

  test('reads an absolute request target', async () => {
    const headers = await app.client.signedHeaders(get());
    const text = await new Promise<string>((resolve, reject) => {
      http
        .get({ host: '127.0.0.1', port: app.port, path: `${app.endpoint}/images/k`, headers }, (res) => {
          let body = '';
          res.on('data', (piece: Buffer) => (body += piece.toString()));
          res.on('end', () => resolve(body));
        })
        .on('error', reject);
    });
    expect(text).toBe('hello');
  });

  test('knows two spellings of a path at most, and a third of one with a bare plus', () => {
    const uris = (path: string) => canonicalUris(path).map(({ canonicalUri }) => canonicalUri);
    expect(uris('/b/a+b%2B(c)')).toEqual(['/b/a%20b%2B%28c%29', '/b/a+b%2B(c)', '/b/a%2Bb%2B%28c%29']);
    expect(uris('/b/a(b)')).toEqual(['/b/a(b)', '/b/a%28b%29']);
    expect(uris('/b/a%2Fb')).toEqual(['/b/a%2Fb']);
    expect(sha256Hex('')).toMatch(/^e3b0c442/);
  });

  // AWS reads a bare plus of a path as a blank, and reckons the signature over %20: anomalizer/ngx_aws_auth#87 (with the
  // CanonicalRequest that AWS answered), nginx/nginx-s3-gateway#77, ceph/ceph#10919 (s3cmd), AdRoll/goamz#259.
  describe('a bare plus in the path', () => {
    const BARE = '/images/plus/a+b';
    const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
    const signedByAws4 = (options: { path: string; method?: string; signQuery?: boolean }) =>
      aws4.sign(
        { host: `127.0.0.1:${app.port}`, service: 's3', region: 'us-east-1', method: 'GET', ...options },
        credentials,
      );
    beforeAll(async () => {
      await app.client.send({ method: 'PUT', path: '/images/plus/a%20b', body: 'blank' });
      await app.client.send({ method: 'PUT', path: '/images/plus/a%2Bb', body: 'plus' });
    });

    test('is a blank where the signature is over %20, in a header and in a presigned link', async () => {
      const { headers } = signedByAws4({ path: BARE });
      expect((await app.client.raw('GET', BARE, headers)).text).toBe('blank');
      const link = signedByAws4({ path: `${BARE}?X-Amz-Expires=60`, signQuery: true });
      expect((await app.client.raw('GET', link.path!)).text).toBe('blank');
      const put = signedByAws4({ path: '/images/plus/c+%2B', method: 'PUT' });
      expect((await app.client.raw('PUT', '/images/plus/c+%2B', put.headers)).status).toBe(200);
      expect(app.objects.keys()).toContain('plus/c +');
    });

    test('is a plus where the signature is over %2B: a proxy spelled it anew', async () => {
      const headers = await app.client.signedHeaders({ method: 'GET', path: '/images/plus/a%2Bb' });
      expect((await app.client.raw('GET', BARE, headers)).text).toBe('plus');
      const link = await app.client.presign({ method: 'GET', path: '/images/plus/a%2Bb' });
      expect((await app.client.raw('GET', link.replace('%2Bb', '+b'))).text).toBe('plus');
    });

    test('is a plus where the signature is over the plus itself, which AWS refuses', async () => {
      expect((await app.client.send({ method: 'GET', path: BARE })).text).toBe('plus');
    });

    test('leads nobody to the other object: %2B and %20 name one key each, whatever was signed', async () => {
      const blank = await app.client.signedHeaders({ method: 'GET', path: '/images/plus/a%20b' });
      const plus = await app.client.signedHeaders({ method: 'GET', path: '/images/plus/a%2Bb' });
      expect(codeOf(await app.client.raw('GET', '/images/plus/a%2Bb', blank))).toEqual([
        403,
        'SignatureDoesNotMatch',
      ]);
      expect(codeOf(await app.client.raw('GET', '/images/plus/a%20b', plus))).toEqual([
        403,
        'SignatureDoesNotMatch',
      ]);
    });

    test('is told as a blank in the canonical request of a refusal, as AWS tells it', async () => {
      const headers = await app.client.signedHeaders({ method: 'GET', path: '/images/plus/other' });
      const refused = await app.client.raw('GET', BARE, headers);
      expect(refused.xml('CanonicalRequest')).toContain('/images/plus/a%20b');
    });
  });
});

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

describe('the signing key of an access key', () => {
  const scope = { date: '20260101', region: 'us-east-1', service: 's3' };

  test('is the derived one, kept once a request was signed with it', () => {
    const keys = new SigningKeys();
    const key = keys.get('AK', 'secret', scope);
    expect(key).toEqual(deriveSigningKey('secret', scope));
    expect(keys.get('AK', 'secret', scope)).not.toBe(key);
    keys.keep('AK', 'secret', scope, key);
    expect(keys.get('AK', 'secret', { ...scope })).toBe(key);
  });

  test.each([
    ['another secret', 'AK', 'changed', scope],
    ['another access key', 'BK', 'secret', scope],
    ['another day', 'AK', 'secret', { ...scope, date: '20260102' }],
    ['another region', 'AK', 'secret', { ...scope, region: 'cn-north-1' }],
  ])('is another one for %s', (_what, accessKeyId, secret, other) => {
    const keys = new SigningKeys();
    keys.keep('AK', 'secret', scope, keys.get('AK', 'secret', scope));
    expect(keys.get(accessKeyId, secret, other)).toEqual(deriveSigningKey(secret, other));
  });
});
