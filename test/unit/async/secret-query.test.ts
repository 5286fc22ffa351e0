import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { silentLog } from '../../../src/async/log.js';
import { cleanEvent } from '../../../src/audit/record.js';
import { recordAccess, type AccessRecord } from '../../../src/s3/access-log.js';
import { parseQuery } from '../../../src/s3/request-target.js';
import { Redactor } from '../../../src/server/logging/redact.js';

const SECRET = '5ec2e7'.repeat(10);

/** A spelling of the name that a query parser reads as the name. */
const spelled = (name: string) =>
  fc
    .tuple(...[...name].map((c) => fc.constantFrom(c, c, percent(c), percent(c).toLowerCase())))
    .map((parts) => parts.join(''));
const percent = (c: string) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

const signatures = fc
  .constantFrom('X-Amz-Signature', 'X-Amz-Security-Token', 'Signature', 'access_token')
  .chain(spelled);

function logged(url: string): string {
  let line = '';
  const log = {
    ...silentLog,
    info: (_: string, fields?: Record<string, unknown>) => (line = JSON.stringify(fields)),
  };
  recordAccess({ url, operation: 'GetObject', durationMs: 1, bytesIn: 0, bytesOut: 0 } as AccessRecord, log, {
    count: () => {},
    observe: () => {},
  } as never);
  return line;
}

const audited = (subject: string) =>
  JSON.stringify(cleanEvent({ who: 'a', action: 'login', subject, from: 'c', result: 'ok' }, 0));

test('whatever a query parser reads as a signature is in no log line, audit record or error', () => {
  const redactor = new Redactor();
  fc.assert(
    fc.property(
      signatures,
      fc.constantFrom('', 'a=1&', 'list-type=2&&'),
      fc.constantFrom('', '&b=2'),
      (name, before, after) => {
        const url = `/bucket/key?${before}${name}=${SECRET}${after}`;
        expect(parseQuery(url.split('?')[1]!).entries.some(([, value]) => value === SECRET)).toBe(true);
        const whole = `failed: http://gateway${url} (503)`;
        for (const text of [
          logged(url),
          audited(url),
          redactor.mask(whole),
          JSON.stringify(redactor.maskDeep(new Error(whole))),
        ]) {
          expect(text).not.toContain(SECRET);
          expect(text).toContain('key');
        }
      },
    ),
  );
});

test.each([
  ['a query without its path', `X-Amz-%53ignature=${SECRET}`],
  ['a query that was encoded once too often', `/b/k%3FX-Amz-Date%3D1%26X-Amz-Signature%3D${SECRET}`],
  ['a name that was encoded twice', `/b/k?X-Amz-%2553ignature=${SECRET}`],
  ['a malformed escape beside it', `/b/k?%zz=1&x-amz-%73ignature=${SECRET}`],
])('%s', (_, url) => {
  for (const text of [logged(url), new Redactor().mask(url), audited(url)])
    expect(text).not.toContain(SECRET);
});

test('the signature of an Authorization header is masked', () => {
  const header = `AWS4-HMAC-SHA256 Credential=AK/20260101/r/s3/aws4_request, SignedHeaders=host, Signature=${SECRET}`;
  expect(new Redactor().mask(header)).not.toContain(SECRET);
});

test('what is no secret stays readable', () => {
  for (const url of [
    '/b/a=b&c',
    '/b?prefix=Signature%2F&delimiter=/',
    '/b/k?uploadId=4&partNumber=1',
    '/b/%E4%B8%AD?x=%FF',
  ])
    expect(logged(url)).toContain(url);
});

test('a long text takes time in proportion to its length', () => {
  for (const piece of ['?', '&', '%3f', '%25', '?a', '%', '=', '?%41'])
    expect(new Redactor().mask(piece.repeat(50_000))).toHaveLength(piece.length * 50_000);
});
