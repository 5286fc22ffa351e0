/**
 * Headers that a client signs and a proxy drops, adds or changes. RFC 9110 §7.6.1 (hop-by-hop fields), §10.1.1
 * (a proxy may answer Expect itself); Nginx: "proxy_set_header … Host, Connection" and what it never hands on.
 */
import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RequestHeaders } from '../../../src/s3/headers.js';
import { headerReadings, READINGS_MAX } from '../../../src/s3/sigv4/proxied-headers.js';
import { chunkedBody } from '../../support/aws-chunked-body.js';
import { ACCESS_KEY, SECRET_KEY, startTestApp, type TestApp } from '../../support/s3-app.js';
import { sha256Hex, type S3Answer } from '../../support/s3-client.js';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
  await app.client.send({ method: 'PUT', path: '/images/k', body: 'hello' });
});
afterAll(() => app.close());

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

interface Signing {
  readonly method?: string;
  readonly path?: string;
  readonly body?: string;
  readonly payloadHash?: string;
  /** Signed, by lower-case name. `host` too, where it is another than the one that is sent. */
  readonly signed: Readonly<Record<string, string>>;
}

/** The headers of a request whose canonical form is written out here, as aws-sdk-go v1 does: every header. */
function sign({ method = 'PUT', path = '/images/k', body = 'hello', payloadHash, signed }: Signing) {
  const timestamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const hash = payloadHash ?? sha256Hex(body);
  const all: Record<string, string> = {
    host: `127.0.0.1:${app.port}`,
    'x-amz-content-sha256': hash,
    'x-amz-date': timestamp,
    ...signed,
  };
  const names = Object.keys(all).sort();
  const canonical = [method, path, '', ...names.map((n) => `${n}:${all[n]}`), '', names.join(';'), hash];
  const scope = `${timestamp.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const key = [`us-east-1`, 's3', 'aws4_request'].reduce(
    hmac,
    hmac(`AWS4${SECRET_KEY}`, timestamp.slice(0, 8)),
  );
  const digest = createHash('sha256').update(canonical.join('\n')).digest('hex');
  const signature = hmac(key, ['AWS4-HMAC-SHA256', timestamp, scope, digest].join('\n')).toString('hex');
  return {
    timestamp,
    signature,
    headers: {
      host: all['host']!,
      'x-amz-content-sha256': hash,
      'x-amz-date': timestamp,
      authorization: `AWS4-HMAC-SHA256 Credential=${ACCESS_KEY}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
    },
  };
}

const codeOf = (answer: S3Answer) => [answer.status, answer.xml('Code')];
const REFUSED = [403, 'SignatureDoesNotMatch'];

/** What arrives: the signed headers but for those that a proxy dropped or set anew. */
async function put(signed: Record<string, string>, arrives: Record<string, string> = {}): Promise<S3Answer> {
  const { headers } = sign({ signed });
  return app.client.raw('PUT', '/images/k', { ...headers, ...arrives }, 'hello');
}

describe('a header that was signed and that a proxy took away', () => {
  test.each([
    ['expect', '100-Continue'],
    ['expect', '100-continue'],
    ['connection', 'keep-alive'],
    ['connection', 'Keep-Alive'],
    ['connection', 'close'],
    ['accept-encoding', 'identity'],
    ['accept-encoding', 'gzip'],
    ['te', 'trailers'],
    ['transfer-encoding', 'chunked'],
    ['x-amz-meta-empty', ''],
  ])('%s: %s', async (name, value) => {
    expect(await put({ [name]: value })).toMatchObject({ status: 200 });
  });

  test('content-length: 0, of a request without a body', async () => {
    const { headers } = sign({ method: 'GET', body: '', signed: { 'content-length': '0' } });
    expect((await app.client.raw('GET', '/images/k', headers)).text).toBe('hello');
  });

  test('all at once', async () => {
    const signed = {
      expect: '100-continue',
      connection: 'close',
      'accept-encoding': 'gzip',
      te: 'trailers',
    };
    expect(await put(signed)).toMatchObject({ status: 200 });
  });

  test.each([
    ['expect', '200-ok'],
    ['expect', '100-CONTINUE'],
    ['connection', 'x-amz-acl'],
    ['accept-encoding', 'br'],
    ['te', 'gzip'],
    ['transfer-encoding', 'gzip'],
    ['content-length', '5'],
    ['user-agent', 'aws-sdk-go'],
    ['x-request-id', 'mine'],
    ['x-forwarded-for', '10.0.0.1'],
    ['content-type', 'text/plain'],
    ['x-amz-acl', 'private'],
  ])('no other value, no other name: %s: %s is refused', async (name, value) => {
    const { headers } = sign({ method: 'GET', body: '', signed: { [name]: value } });
    expect(codeOf(await app.client.raw('GET', '/images/k', headers))).toEqual(REFUSED);
  });

  test('has not to be as well: a signature that covers nothing of it holds as ever', async () => {
    expect(await put({}, { 'accept-encoding': 'gzip' })).toMatchObject({ status: 200 });
  });
});

describe('a header that a proxy set anew', () => {
  test.each([
    ['connection', 'keep-alive', 'close'],
    ['accept-encoding', 'identity', 'gzip, br'],
    ['accept-encoding', 'gzip', 'br'],
  ])('%s: %s, which arrives as %s', async (name, value, arrives) => {
    expect(await put({ [name]: value }, { [name]: arrives })).toMatchObject({ status: 200 });
  });

  test('an Expect of another value than was signed is refused: only its absence is forgiven', async () => {
    const { headers } = sign({ signed: { expect: '100-Continue' } });
    const answer = await app.client.raw('PUT', '/images/k', { ...headers, expect: '100-continue' }, 'hello');
    expect(codeOf(answer)).toEqual(REFUSED);
  });

  test.each([
    ['s3.example.com:443', 's3.example.com'],
    ['s3.example.com:80', 's3.example.com'],
    ['s3.example.com', 's3.example.com:443'],
    ['s3.example.com', 's3.example.com:80'],
    ['[::1]:443', '[::1]'],
  ])('host: %s, which arrives as %s', async (host, arrives) => {
    expect(await put({ host }, { host: arrives })).toMatchObject({ status: 200 });
  });

  test.each([
    ['s3.example.com:9000', 's3.example.com'],
    ['s3.example.com', 's3.example.com:9000'],
    ['s3.example.com:80', 's3.example.com:443'],
    ['s3.example.com', 'gateway_s3'],
  ])('host: %s, which arrives as %s, is refused', async (host, arrives) => {
    expect(codeOf(await put({ host }, { host: arrives }))).toEqual(REFUSED);
  });
});

test('blanks that a proxy folded or kept are the same to a signature', async () => {
  expect(await put({ 'x-amz-meta-a': 'two blanks' }, { 'x-amz-meta-a': '  two   blanks ' })).toMatchObject({
    status: 200,
  });
});

test("CloudFront's mark on every request does not have to be signed, other x-amz headers do", async () => {
  expect(await put({}, { 'x-amz-cf-id': 'abc' })).toMatchObject({ status: 200 });
  expect(codeOf(await put({}, { 'x-amz-cf-idx': 'abc' }))).toEqual([403, 'AccessDenied']);
});

describe.each(['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'] as const)(
  'a body in signed chunks, %s',
  (payloadHash) => {
    test.each(['100-Continue', '100-continue'])(
      'whose request was signed over `expect: %s`: its chunks are chained to that signature',
      async (expectation) => {
        const body = Buffer.alloc(70_000, 7);
        const hasTrailer = payloadHash.endsWith('TRAILER');
        const { timestamp, signature, headers } = sign({
          path: '/images/chunked',
          payloadHash,
          signed: {
            expect: expectation,
            'x-amz-decoded-content-length': String(body.length),
            ...(hasTrailer ? { 'x-amz-trailer': 'x-amz-checksum-sha256' } : {}),
          },
        });
        const signer = { secret: SECRET_KEY, region: 'us-east-1', timestamp, seed: signature };
        const trailer = {
          'x-amz-checksum-sha256': createHash('sha256').update(body).digest('base64'),
        };
        const encoded = chunkedBody([body.subarray(0, 65_536), body.subarray(65_536)], {
          signer,
          ...(hasTrailer ? { trailer } : {}),
        });
        const answer = await app.client.raw(
          'PUT',
          '/images/chunked',
          {
            ...headers,
            'x-amz-decoded-content-length': String(body.length),
            'content-encoding': 'aws-chunked',
            ...(hasTrailer ? { 'x-amz-trailer': 'x-amz-checksum-sha256' } : {}),
          },
          encoded,
        );
        expect(codeOf(answer)).toEqual([200, undefined]);
        expect((await app.client.send({ method: 'GET', path: '/images/chunked' })).body).toEqual(body);
      },
    );
  },
);

test('a presigned link of the AWS SDK that covers Accept-Encoding holds where a proxy clears or changes it', async () => {
  const link = await app.client.presign({
    method: 'GET',
    path: '/images/k',
    headers: { 'accept-encoding': 'identity' },
  });
  expect(link).toContain('accept-encoding');
  for (const headers of [{}, { 'accept-encoding': 'gzip, br' }])
    expect(await app.client.raw('GET', link, headers)).toMatchObject({ status: 200, text: 'hello' });
  expect(codeOf(await app.client.raw('GET', link.replace('/k?', '/other?')))).toEqual(REFUSED);
});

describe('the readings of a request', () => {
  const names = [
    'expect',
    'connection',
    'accept-encoding',
    'te',
    'transfer-encoding',
    'content-length',
    'host',
    'x-amz-date',
    'user-agent',
  ];
  const received = fc.dictionary(fc.constantFrom(...names), fc.string({ maxLength: 12 }));

  test('begin with what was received, are bounded and all different, and touch no other header', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...names), { maxLength: 40 }), received, (signed, sent) => {
        const headers = new RequestHeaders(Object.entries(sent).flat());
        const readings = [...headerReadings(signed, headers)].map((overrides) => [...overrides]);
        expect(readings[0]).toEqual([]);
        expect(readings.length).toBeLessThanOrEqual(READINGS_MAX);
        expect(new Set(readings.map((r) => JSON.stringify(r))).size).toBe(readings.length);
        for (const [name, value] of readings.flat()) {
          expect(signed).toContain(name);
          expect(['x-amz-date', 'user-agent']).not.toContain(name);
          expect(value).not.toBe(headers.raw(name));
        }
      }),
    );
  });

  test('are one where nothing of them was signed', () => {
    const headers = new RequestHeaders(['host', 's3.example.com:9000', 'connection', 'close']);
    expect([...headerReadings(['host', 'x-amz-date'], headers)]).toHaveLength(1);
  });
});
