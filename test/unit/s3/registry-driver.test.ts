// Which answer the registry's driver must not repeat, and that nobody else gets it.
import { ObjectError, type ObjectErrorCode } from '../../../src/objects/errors.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';

const DRIVERS = [
  'aws-sdk-go/1.15.11 (go1.11.2; linux; amd64)',
  'aws-sdk-go/1.44.133 (go1.19.8; linux; amd64)',
  'docker-distribution/v3.0.0 aws-sdk-go/1.55.5 (go1.23.7; linux; amd64)',
];

describe('a read while Gitee is known to be down', () => {
  let app: TestApp;
  beforeEach(async () => {
    app = await startTestApp({
      settings: {
        isPublicRead: () => true,
        isRegistry: (bucket) => bucket === 'images',
        corsRules: () => [],
      },
    });
  });
  afterEach(() => app.close());

  const failWith = (code: ObjectErrorCode) => {
    const error = new ObjectError(code, 'not fetched while Gitee fails', { retryAfterMs: 1_000 });
    app.objects.getObject = () => Promise.reject(error);
    app.objects.headObject = () => Promise.reject(error);
  };
  const ask = async (userAgent: string, path = '/images/layer', method = 'GET') => {
    const { status, headers, text } = await app.client.send({
      method,
      path,
      unsignedHeaders: { 'User-Agent': userAgent },
    });
    return { status, retryAfter: headers['retry-after'], text };
  };

  test.each(DRIVERS)('is for %s no answer that it repeats, and never "not there"', async (driver) => {
    failWith('remote-down');
    const { status, retryAfter, text } = await ask(driver);
    expect([status, retryAfter]).toEqual([424, undefined]);
    expect(text).toContain('<Code>ServiceUnavailable</Code>');
    expect(text).toContain('not fetched while Gitee fails');
  });

  test.each([
    ['aws-sdk-js', 'aws-sdk-js/3.400.0', '/images/layer', 'GET'],
    ['version 2 for Go', 'aws-sdk-go-v2/1.30.0 ua/2.0', '/images/layer', 'GET'],
    ['the same program elsewhere', DRIVERS[1]!, '/shared/file', 'GET'],
    ['a HEAD', DRIVERS[1]!, '/images/layer', 'HEAD'],
  ])('is 503 with Retry-After for others: %s', async (_name, userAgent, path, method) => {
    failWith('remote-down');
    const { status, retryAfter } = await ask(userAgent, path, method);
    expect([status, retryAfter]).toEqual([503, '1']);
  });

  test('is 503 for who signs nothing, as clients of the registry with a link of its own', async () => {
    failWith('remote-down');
    const answer = await fetch(`${app.endpoint}/images/layer`, { headers: { 'User-Agent': DRIVERS[1]! } });
    expect(answer.status).toBe(503);
  });

  test.each(['remote-unavailable', 'unavailable', 'slow-down', 'read-only'] as const)(
    'what passes may be repeated by the driver: %s',
    async (code) => {
      failWith(code);
      expect(await ask(DRIVERS[0]!)).toMatchObject({ status: 503, retryAfter: '1' });
    },
  );
});

test('the registry alone is told of v4auth where it signs with version 2', async () => {
  const app = await startTestApp({
    settings: { isPublicRead: () => false, isRegistry: (bucket) => bucket === 'images', corsRules: () => [] },
  });
  const ask = async (path: string) => {
    const answer = await app.client.raw('GET', path, { authorization: 'AWS AKID:c2lnbmF0dXJl' });
    return [answer.xml('Code'), answer.xml('Message')?.includes('v4auth: true')];
  };
  try {
    expect(await ask('/images/k')).toEqual(['InvalidRequest', true]);
    expect(await ask('/shared/k')).toEqual(['InvalidRequest', false]);
  } finally {
    await app.close();
  }
});
