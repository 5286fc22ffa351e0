// AWS API reference: GetBucketCors and OPTIONS object; the rules stand in the configuration.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetBucketCorsCommand } from '@aws-sdk/client-s3';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('CORS by configuration', () => {
  let bucket: S3Bucket;
  let url: string;
  const ORIGIN = 'https://app.example';
  const preflight = (path: string, headers: Record<string, string>) =>
    fetch(url + path, { method: 'OPTIONS', headers: { origin: ORIGIN, ...headers } });
  beforeAll(async () => {
    bucket = await startS3Bucket({
      config: {
        cors: [
          {
            buckets: ['files'],
            origins: [ORIGIN],
            methods: ['GET', 'PUT'],
            headers: ['*'],
            expose_headers: ['ETag'],
            max_age: '10m',
          },
          { origins: ['https://*.reader.example'], methods: ['GET'] },
        ],
      },
    });
    url = bucket.stack.gateway.endpoint;
  });
  afterAll(() => bucket.close());

  test('GetBucketCors gives what is configured, of each bucket its own', async () => {
    const files = await bucket.s3.send(new GetBucketCorsCommand({ Bucket: 'files' }));
    expect(files.CORSRules).toEqual([
      {
        AllowedHeaders: ['*'],
        AllowedMethods: ['GET', 'PUT'],
        AllowedOrigins: [ORIGIN],
        ExposeHeaders: ['ETag'],
        MaxAgeSeconds: 600,
      },
      { AllowedMethods: ['GET'], AllowedOrigins: ['https://*.reader.example'] },
    ]);
    const registry = await bucket.s3.send(new GetBucketCorsCommand({ Bucket: 'registry' }));
    expect(registry.CORSRules).toHaveLength(1);
  });

  test('a preflight for a presigned PUT is allowed, and the PUT answered with the headers', async () => {
    const asked = await preflight('/files/by-browser', {
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'content-type',
    });
    expect([asked.status, asked.headers.get('access-control-allow-methods')]).toEqual([200, 'GET, PUT']);
    const link = await bucket.wire.presign({ method: 'PUT', path: '/files/by-browser' });
    const put = await fetch(url + link, { method: 'PUT', body: 'x', headers: { origin: ORIGIN } });
    expect([put.status, put.headers.get('access-control-allow-origin')]).toEqual([200, ORIGIN]);
    expect(put.headers.get('access-control-expose-headers')).toBe('ETag');
  });

  test('a preflight that no rule allows is 403 AccessForbidden', async () => {
    const answer = await preflight('/registry/k', { 'access-control-request-method': 'PUT' });
    expect([answer.status, await answer.text()]).toEqual([
      403,
      expect.stringContaining('<Code>AccessForbidden</Code>'),
    ]);
  });

  test('an error has the headers too, so that a script can read it', async () => {
    const answer = await fetch(`${url}/files/private`, { headers: { origin: ORIGIN } });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([403, ORIGIN]);
  });
});
