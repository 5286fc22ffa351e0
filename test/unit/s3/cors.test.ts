// AWS: "Using cross-origin resource sharing (CORS)"; Fetch standard §3.3.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { matchCors, patternMistake, type CorsRule } from '../../../src/s3/cors.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';

const rule = (fields: Partial<CorsRule>): CorsRule => ({
  origins: ['*'],
  methods: ['GET'],
  headers: [],
  exposeHeaders: [],
  ...fields,
});
const request = (origin: string, method = 'GET', headers: string[] = []) => ({ origin, method, headers });

describe('the rules of CORS', () => {
  test.each([
    ['https://a.example', 'https://a.example', true],
    ['https://a.example', 'https://A.example', false],
    ['https://a.example', 'https://a.example.evil.test', false],
    ['https://*.example', 'https://b.example', true],
    ['https://*.example', 'https://.example', true],
    ['https://*.example', 'https://example', false],
    ['http*', 'http', true],
    ['*a*', 'aa', false],
    ['ab*ba', 'aba', false],
    ['*', 'null', true],
  ])('origin %s lets %s in: %s', (pattern, origin, isIn) => {
    expect(matchCors([rule({ origins: [pattern] })], request(origin)) !== undefined).toBe(isIn);
  });

  test('the first rule counts that fits in all three, not the first of the origin', () => {
    const rules = [
      rule({ origins: ['https://a.example'] }),
      rule({ origins: ['https://a.example'], methods: ['PUT'], headers: ['x-*'] }),
      rule({ methods: ['PUT'], headers: ['*'] }),
    ];
    expect(matchCors(rules, request('https://a.example', 'PUT', ['x-amz-date']))?.rule).toBe(rules[1]);
    expect(matchCors(rules, request('https://a.example', 'PUT', ['x-amz-date', 'range']))?.rule).toBe(
      rules[2],
    );
    expect(matchCors(rules, request('https://a.example', 'DELETE'))).toBeUndefined();
  });

  test('headers match in any case, and every one of them must', () => {
    const rules = [rule({ headers: ['Content-*', 'X-Amz-Date'] })];
    expect(matchCors(rules, request('o', 'GET', ['content-type', 'x-amz-date']))).toBeDefined();
    expect(matchCors(rules, request('o', 'GET', ['content-type', 'range']))).toBeUndefined();
  });

  test('a pattern has one * at most, and nothing that a header cannot hold', () => {
    expect(['a*b', 'https://x', ''].map(patternMistake).map(Boolean)).toEqual([false, false, true]);
    expect(['*a*', 'a b', 'a\r\nb: c', '中'].map(patternMistake).every(Boolean)).toBe(true);
  });
});

describe('CORS over the wire', () => {
  let app: TestApp;
  const ORIGIN = 'https://app.example';
  const rules: CorsRule[] = [
    rule({
      origins: ['https://*.example'],
      methods: ['GET', 'PUT'],
      headers: ['*'],
      exposeHeaders: ['ETag', 'x-amz-request-id'],
      maxAgeSeconds: 600,
    }),
    rule({}),
  ];
  const ask = (path: string, headers: Record<string, string>) => app.client.raw('OPTIONS', path, headers);
  beforeAll(async () => {
    app = await startTestApp({
      domain: 's3.test',
      settings: {
        isPublicRead: () => false,
        isRegistry: () => false,
        corsRules: (bucket) => (bucket === 'images' ? rules : []),
      },
    });
  });
  afterAll(() => app.close());

  test('a preflight that fits gets all of its rule', async () => {
    const answer = await ask('/images/k', {
      origin: ORIGIN,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'X-Amz-Date, content-type,',
    });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'GET, PUT',
      'access-control-allow-headers': 'x-amz-date, content-type',
      'access-control-expose-headers': 'ETag, x-amz-request-id',
      'access-control-max-age': '600',
      'access-control-allow-credentials': 'true',
      vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
    });
  });

  test('a rule for everybody answers *, and then no credentials', async () => {
    const answer = await ask('/images', { origin: 'http://x', 'access-control-request-method': 'GET' });
    expect(answer.headers['access-control-allow-origin']).toBe('*');
    expect(answer.headers).not.toHaveProperty('access-control-allow-credentials');
  });

  test.each([
    ['without Origin', { 'access-control-request-method': 'GET' }, 400, 'BadRequest', 'Origin'],
    ['without a method', { origin: ORIGIN }, 400, 'BadRequest', 'Access-Control-Request-Method'],
    [
      'of a method that no rule has',
      { origin: ORIGIN, 'access-control-request-method': 'DELETE' },
      403,
      'AccessForbidden',
      'This CORS request is not allowed. This is usually because the evalution of Origin',
    ],
    [
      'of a header that no rule has',
      {
        origin: 'http://x',
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'x-mine',
      },
      403,
      'AccessForbidden',
      'not whitelisted by the resource',
    ],
  ])('a preflight %s is refused', async (_, headers, status, code, message) => {
    const answer = await ask('/images/k', headers);
    expect([answer.status, answer.xml('Code')]).toEqual([status, code]);
    expect(answer.xml('Message')).toContain(message);
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  });

  test('a refused preflight tells Method and ResourceType', async () => {
    const headers = { origin: ORIGIN, 'access-control-request-method': 'DELETE' };
    const [bucket, object] = [await ask('/images', headers), await ask('/images/k', headers)];
    expect([bucket.xml('Method'), bucket.xml('ResourceType')]).toEqual(['DELETE', 'BUCKET']);
    expect(object.xml('ResourceType')).toBe('OBJECT');
  });

  test('a bucket without rules says that CORS is not enabled', async () => {
    const answer = await ask('/shared/k', { origin: ORIGIN, 'access-control-request-method': 'GET' });
    expect(answer.xml('Message')).toBe('CORSResponse: CORS is not enabled for this bucket.');
  });

  test('the bucket of a virtual host is asked for by its host', async () => {
    const answer = await ask('/k', {
      host: 'images.s3.test',
      origin: ORIGIN,
      'access-control-request-method': 'PUT',
    });
    expect(answer.headers['access-control-allow-origin']).toBe(ORIGIN);
  });

  test('answers carry the headers, errors and 304 too; without Origin, or where none fits, they do not', async () => {
    const send = (method: string, path: string, headers: Record<string, string> = {}) =>
      app.client.send({ method, path, headers, ...(method === 'PUT' ? { body: 'x' } : {}) });
    const put = await send('PUT', '/images/k', { origin: ORIGIN });
    const cached = { origin: ORIGIN, 'if-none-match': put.headers.etag! };
    const answers = [
      put,
      await send('GET', '/images/k', { origin: ORIGIN }),
      await send('GET', '/images/none', { origin: ORIGIN }),
      await send('GET', '/images/k', cached),
      await app.client.raw('GET', '/images/k', { origin: ORIGIN }),
    ];
    expect(answers.map((a) => a.status)).toEqual([200, 200, 404, 304, 403]);
    for (const answer of answers) {
      expect(answer.headers['access-control-allow-origin']).toBe(ORIGIN);
      expect(answer.headers['access-control-expose-headers']).toBe('ETag, x-amz-request-id');
    }
    for (const answer of [
      await send('GET', '/images/k'),
      await send('HEAD', '/images/k', { origin: ORIGIN }),
      await send('GET', '/shared/k', { origin: ORIGIN }),
    ])
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  });

  test('GetBucketCors gives the rules back', async () => {
    const answer = await app.client.send({ method: 'GET', path: '/images', query: { cors: '' } });
    expect([answer.xmlAll('AllowedOrigin'), answer.xmlAll('AllowedMethod')]).toEqual([
      ['https://*.example', '*'],
      ['GET', 'PUT', 'GET'],
    ]);
    expect([answer.xmlAll('ExposeHeader'), answer.xmlAll('MaxAgeSeconds')]).toEqual([
      ['ETag', 'x-amz-request-id'],
      ['600'],
    ]);
    expect((await app.client.send({ method: 'GET', path: '/shared', query: { cors: '' } })).xml('Code')).toBe(
      'NoSuchCORSConfiguration',
    );
  });
});
