/**
 * Hostile requests to the whole S3 app on a real socket: whatever is sent, the answer is a known S3 one, no 500,
 * within its time, and the memory stays bounded. Most requests are signed, so that they get past the door.
 */
import { createHash, createHmac } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import type { Log } from '../../src/async/log.js';
import { findRoute } from '../../src/s3/routes.js';
import { S3_ERRORS } from '../../src/s3/errors.js';
import { RequestHeaders } from '../../src/s3/headers.js';
import { Query } from '../../src/s3/request-target.js';
import { chunkedBody } from '../support/aws-chunked-body.js';
import { Fuzz } from '../support/fuzz.js';
import { ACCESS_KEY, SECRET_KEY, startTestApp, type TestApp } from '../support/s3-app.js';
import { encodePath, encodeQuery, sha256Hex } from '../support/s3-client.js';
import { ANSWER_LIMIT_MS } from '../support/time-limits.js';

const fuzz = new Fuzz();
jest.setTimeout(fuzz.testLimitMs);
/** What one run sends at once, over as many connections. */
const BATCH = 16;
const MEMORY_GROWTH_BYTES_MAX = 400 * 1024 * 1024;

interface Hostile {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Bytes that HTTP lets stand in a header, one character each. */
const headerText = fc.string({
  unit: fc
    .oneof(
      { weight: 6, arbitrary: fc.integer({ min: 32, max: 126 }) },
      { weight: 1, arbitrary: fc.integer({ min: 128, max: 255 }) },
    )
    .map((n) => String.fromCharCode(n)),
  maxLength: 40,
});
const number = fc.oneof(
  fc.constantFrom(
    '0',
    '1',
    '4',
    '5',
    '-1',
    '00',
    '1.5',
    '9'.repeat(20),
    '',
    '2147483648',
    '9007199254740993',
    'x',
  ),
  fc.nat(30).map(String),
);
const range = fc.oneof(
  fc.tuple(number, number).map(([a, b]) => `bytes=${a}-${b}`),
  fc
    .array(
      fc.tuple(number, number).map(([a, b]) => `${a}-${b}`),
      { maxLength: 50 },
    )
    .map((r) => `bytes=${r.join()}`),
  headerText.map((text) => `bytes=${text}`),
  headerText,
);
const etag = fc.oneof(
  fc.constantFrom(
    '*',
    '"',
    '""',
    'W/"x"',
    '"5d41402abc4b2a76b9719d911017c592"',
    '5d41402abc4b2a76b9719d911017c592',
  ),
  fc.array(headerText, { maxLength: 5 }).map((tags) => tags.map((t) => `"${t}"`).join()),
  headerText,
);
const date = fc.oneof(
  fc.constantFrom(
    'Thu, 01 Jan 1970 00:00:00 GMT',
    'Sun Nov  6 08:49:37 1994',
    'Fri, 31 Dec 9999 23:59:59 GMT',
    '0',
  ),
  headerText,
);
const key = fc.constantFrom(
  'a',
  'b/c',
  'a b+c',
  '中',
  '..',
  '//',
  'none',
  '%',
  'x'.repeat(1024),
  'x'.repeat(1025),
);
/** A few of them: most are hostile, and of a request that is wrong in many ways only one is looked at. */
const few = (of: Record<string, fc.Arbitrary<string>>): fc.Arbitrary<Record<string, string>> =>
  fc.subarray(Object.keys(of), { maxLength: 3 }).chain((names) => {
    return fc.record(Object.fromEntries(names.map((name) => [name, of[name]!])));
  });

const conditions = {
  'if-match': etag,
  'if-none-match': etag,
  'if-modified-since': date,
  'if-unmodified-since': date,
};
const readHeaders = few({
  range,
  'if-range': fc.oneof(etag, date),
  ...conditions,
  'x-amz-checksum-mode': fc.constantFrom('ENABLED', 'x'),
  'x-amz-object-attributes': fc.oneof(fc.constant('ETag,ObjectParts,ObjectSize,Checksum'), headerText),
  'x-amz-max-parts': number,
  'x-amz-part-number-marker': number,
});
const base64 = fc.uint8Array({ maxLength: 33 }).map((b) => Buffer.from(b).toString('base64'));
const writeHeaders = few({
  ...conditions,
  'content-type': headerText,
  'content-encoding': fc.oneof(fc.constantFrom('aws-chunked', 'gzip,aws-chunked', ','), headerText),
  'content-md5': fc.oneof(base64, headerText),
  'x-amz-checksum-crc32': fc.oneof(base64, headerText),
  'x-amz-checksum-sha256': base64,
  'x-amz-checksum-algorithm': fc.oneof(fc.constantFrom('CRC32', 'SHA256', 'crc64nvme'), headerText),
  'x-amz-checksum-type': fc.oneof(fc.constantFrom('FULL_OBJECT', 'COMPOSITE'), headerText),
  'x-amz-sdk-checksum-algorithm': fc.oneof(fc.constantFrom('CRC32', 'SHA1'), headerText),
  'x-amz-trailer': fc.oneof(fc.constant('x-amz-checksum-crc32'), headerText),
  'x-amz-decoded-content-length': number,
  'x-amz-storage-class': fc.oneof(fc.constantFrom('STANDARD_IA', 'STANDARD'), headerText),
  'x-amz-tagging': fc.oneof(fc.constantFrom('a=1', '__proto__=x', '%', 'a=1&a=1', '&&=&'), headerText),
  'x-amz-meta-a': headerText,
  'x-amz-meta-__proto__': headerText,
  'x-amz-mp-object-size': number,
  'x-amz-metadata-directive': fc.oneof(fc.constantFrom('COPY', 'REPLACE'), headerText),
});
const copyHeaders = fc
  .tuple(
    writeHeaders,
    fc.oneof(
      fc.constantFrom(
        'images/a',
        '/images/a',
        'images/a?versionId=null',
        'shared/a',
        'secret/a',
        'images%2Fa',
        '%',
        '/',
      ),
      headerText,
      headerText.map((text) => `images/${text}`),
    ),
    few({
      'x-amz-copy-source-range': range,
      'x-amz-copy-source-if-match': etag,
      'x-amz-copy-source-if-none-match': etag,
      'x-amz-copy-source-if-modified-since': date,
      'x-amz-copy-source-if-unmodified-since': date,
    }),
  )
  .map(([headers, source, more]) => ({ ...headers, ...more, 'x-amz-copy-source': source }));

const xmlPiece = fc.constantFrom(
  ...[
    '<Delete>',
    '</Delete>',
    '<Object>',
    '</Object>',
    '<Key>',
    '</Key>',
    '<Key>a</Key>',
    '<Quiet>true</Quiet>',
  ],
  ...[
    '<CompleteMultipartUpload>',
    '</CompleteMultipartUpload>',
    '<Part>',
    '</Part>',
    '<PartNumber>1</PartNumber>',
  ],
  ...[
    '<ETag>"x"</ETag>',
    '<ETag/>',
    '<Tagging><TagSet>',
    '</TagSet></Tagging>',
    '<Tag>',
    '</Tag>',
    '<Value>v</Value>',
  ],
  ...[
    '<!DOCTYPE x [<!ENTITY a "b">]>',
    '&a;',
    '&#0;',
    '&#xFFFFFF;',
    '&lt;',
    '<![CDATA[x]]>',
    '<!--',
    '-->',
    '<?x?>',
  ],
  ...[
    '<__proto__>',
    '</__proto__>',
    '<a>'.repeat(40),
    '<a/>'.repeat(2000),
    '\u0001',
    '中',
    'x'.repeat(2000),
    '<',
    '>',
  ],
);
const xml = fc.tuple(
  fc.constantFrom('<Delete>', '<CompleteMultipartUpload>', '<Tagging>', '<Tagging><TagSet>', ''),
  fc.array(xmlPiece, { maxLength: 20 }),
  fc.constantFrom('</Delete>', '</CompleteMultipartUpload>', '</Tagging>', '</TagSet></Tagging>', ''),
);
const body = fc.oneof(
  xml.map(([open, pieces, close]) => Buffer.from(open + pieces.join('') + close)),
  fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b)),
  fc
    .tuple(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 3 }),
      fc.nat(300),
      fc.nat(255),
    )
    .map(([chunks, at, value]) => {
      const bytes = chunkedBody(
        chunks.map((c) => Buffer.from(c)),
        { trailer: { 'x-amz-checksum-crc32': 'AAAAAA==' } },
      );
      if (at < bytes.length) bytes[at] = value;
      return bytes;
    }),
);
const payload = fc.constantFrom(
  ...[
    ...Array<string>(8).fill('hash'),
    'UNSIGNED-PAYLOAD',
    'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  ],
  ...['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', 'f'.repeat(64), 'x'],
);
const text = fc.oneof(number, fc.string({ unit: 'grapheme', maxLength: 12 }), fc.constant('null'));
const subResource = fc.constantFrom(
  ...['uploads', 'uploadId', 'partNumber', 'delete', 'tagging', 'attributes', 'acl', 'versionId', 'location'],
  ...[
    'list-type',
    'prefix',
    'delimiter',
    'marker',
    'start-after',
    'continuation-token',
    'max-keys',
    'encoding-type',
  ],
  ...[
    'key-marker',
    'upload-id-marker',
    'max-uploads',
    'max-parts',
    'part-number-marker',
    'fetch-owner',
    'versions',
  ],
  ...[
    'response-content-type',
    'response-expires',
    'response-cache-control',
    'torrent',
    'policy',
    'cors',
    '__proto__',
  ],
);
const query = fc.dictionary(subResource, text, { maxKeys: 4 });

const anyRequest: fc.Arbitrary<Hostile> = fc.oneof(
  fc.record({
    method: fc.constantFrom('GET', 'HEAD'),
    path: key.map((k) => `/images/${encodePath(k)}`),
    query: few({
      partNumber: number,
      versionId: text,
      'response-content-type': text,
      attributes: fc.constant(''),
    }),
    headers: readHeaders,
    body: fc.constant(Buffer.alloc(0)),
  }),
  fc.record({
    method: fc.constant('PUT'),
    path: key.map((k) => `/images/${encodePath(k)}`),
    query: few({ partNumber: number, uploadId: text, tagging: fc.constant('') }),
    headers: fc.oneof(writeHeaders, copyHeaders),
    body,
  }),
  fc.record({
    method: fc.constant('POST'),
    path: fc.constantFrom('/images', '/images/a', '/images/', '/shared', '/none'),
    query: fc.oneof(
      fc.constant<Record<string, string>>({ delete: '' }),
      fc.constant<Record<string, string>>({ uploads: '' }),
      text.map((uploadId): Record<string, string> => ({ uploadId })),
    ),
    headers: writeHeaders,
    body,
  }),
  fc.record({
    method: fc.constantFrom('GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH'),
    path: fc.oneof(
      fc.constantFrom('/', '/images', '/images/a', '/secret/x', '/%', '/images/%ff', '/%00/x'),
      fc.string({ unit: 'grapheme', maxLength: 20 }).map((t) => `/${encodePath(t)}`),
    ),
    query,
    headers: fc.oneof(readHeaders, writeHeaders, copyHeaders),
    body,
  }),
);

/**
 * What the operation does not declare is refused before anything else is looked at: most requests go without. What
 * is no operation at all is read or written as an object.
 */
function asDeclared(hostile: Hostile): Hostile {
  const { method, path, query: asked, headers } = hostile;
  const kind = path === '/' ? 'service' : path.indexOf('/', 1) > 0 ? 'object' : 'bucket';
  const pairs = new Query(Object.entries(asked));
  const named = findRoute(method, kind, pairs, new RequestHeaders(Object.entries(headers).flat()));
  const route = named?.operation ? named : findRoute(method, kind, new Query([]), new RequestHeaders([]));
  const { operation, when = '' } = route ?? {};
  const parameters = [when.split('=')[0], ...(operation?.parameters ?? [])];
  const isPassed = ([name]: [string, string]) =>
    operation?.headers?.some((d) => name === d || (d.endsWith('-') && name.startsWith(d))) ||
    !/^(x-amz-|if-)/.test(name);
  return {
    ...hostile,
    query: Object.fromEntries(Object.entries(asked).filter(([name]) => parameters.includes(name))),
    headers: Object.fromEntries(Object.entries(headers).filter(isPassed)),
  };
}
const request = fc
  .tuple(anyRequest, fc.integer({ min: 0, max: 5 }))
  .map(([hostile, n]) => (n === 0 ? hostile : asDeclared(hostile)));

/** Signs the very bytes that go out: all x-amz-* headers and the host. */
function signed(hostile: Hostile, host: string, mode: string): Record<string, string> {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const hash = mode === 'hash' ? sha256Hex(hostile.body) : mode;
  const headers: Record<string, string> = {
    ...hostile.headers,
    host,
    'x-amz-date': stamp,
    'x-amz-content-sha256': hash,
  };
  const names = Object.keys(headers)
    .filter((name) => name === 'host' || name.startsWith('x-amz-'))
    .sort();
  const pairs = encodeQuery(hostile.query).slice(1).split('&').filter(Boolean);
  const canonical = [
    hostile.method,
    hostile.path,
    pairs.sort((a, b) => (a.replace('=', '\0') < b.replace('=', '\0') ? -1 : 1)).join('&'),
    ...names.map((name) => `${name}:${headers[name]!.trim().replace(/[ \t]+/g, ' ')}`),
    '',
    names.join(';'),
    hash,
  ].join('\n');
  const scope = `${stamp.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const digest = createHash('sha256').update(Buffer.from(canonical, 'latin1')).digest('hex');
  let signature: Buffer = Buffer.from(`AWS4${SECRET_KEY}`);
  for (const part of [...scope.split('/'), `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${digest}`])
    signature = createHmac('sha256', signature).update(part).digest();
  headers['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${ACCESS_KEY}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature.toString('hex')}`;
  return headers;
}

describe('the S3 app under hostile requests', () => {
  let app: TestApp;
  const agent = new http.Agent({ keepAlive: true, maxSockets: BATCH });
  const failures: unknown[] = [];
  /** Status and number of answers, to see that the requests do get past the door. */
  const seen = new Map<number, number>();
  let startBytes = 0;
  let peakBytes = 0;

  beforeAll(async () => {
    const log: Log = {
      child: () => log,
      error: (message, fields) => failures.push([message, fields]),
      warn: () => {},
      info: () => {},
      debug: () => {},
    };
    app = await startTestApp({ log, bodyIdleTimeoutMs: 300 });
    for (const path of ['/images/a', '/images/b/c'])
      await app.client.send({ method: 'PUT', path, body: 'hello' });
    startBytes = usedBytes();
  });
  afterAll(async () => {
    agent.destroy();
    await app.close();
    fuzz.report('the S3 app');
  });

  const usedBytes = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;

  function send(
    hostile: Hostile,
    headers: Record<string, string>,
  ): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const req = http.request({
        host: '127.0.0.1',
        port: app.port,
        agent,
        method: hostile.method,
        path: hostile.path + encodeQuery(hostile.query),
        headers: { ...headers, 'content-length': String(hostile.body.length) },
        timeout: ANSWER_LIMIT_MS,
      });
      req.on('timeout', () => req.destroy(new Error('no answer in time')));
      let isAnswered = false;
      // A body that is refused unread may break the connection after the answer.
      req.on('error', (error) => (isAnswered ? undefined : reject(error)));
      req.on('response', (res) => {
        isAnswered = true;
        const pieces: Buffer[] = [];
        res.on('data', (piece: Buffer) => pieces.push(piece));
        res.on('error', reject);
        res.on('end', () => resolve({ status: res.statusCode ?? 0, text: Buffer.concat(pieces).toString() }));
      });
      req.end(hostile.body);
    });
  }

  function check(hostile: Hostile, answer: { status: number; text: string }): void {
    seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
    peakBytes = Math.max(peakBytes, usedBytes());
    const { status, text: document } = answer;
    const code = /<Error><Code>(\w+)<\/Code>/.exec(document)?.[1];
    const isKnown = code === undefined || code in S3_ERRORS;
    const hasDocument = status < 400 || hostile.method === 'HEAD' || code !== undefined;
    if (status >= 500 && status !== 501) throw new Error(`answered ${status}: ${document}`);
    if (!isKnown || !hasDocument) throw new Error(`an error without a known code: ${status} ${document}`);
  }

  test('answers each with success or with an error of S3, and none with 500', async () => {
    await fuzz.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(request, payload), { minLength: BATCH, maxLength: BATCH }),
        async (batch) => {
          await Promise.all(
            batch.map(async ([hostile, mode]) =>
              check(hostile, await send(hostile, signed(hostile, `127.0.0.1:${app.port}`, mode))),
            ),
          );
        },
      ),
      { numRuns: 60, inputsEach: BATCH },
    );
    expect(failures).toEqual([]);
    // Signature, declarations and syntax must let enough pass, else nothing behind them is tried. Some four fifths and
    // a tenth do; what is asked for is so much less that no draw of a thousand misses it.
    const all = [...seen.values()].reduce((sum, n) => sum + n, 0);
    const past = all - (seen.get(403) ?? 0) - (seen.get(501) ?? 0);
    const served = (seen.get(200) ?? 0) + (seen.get(204) ?? 0) + (seen.get(206) ?? 0);
    expect([all, past > all / 3, served > all / 25]).toEqual([fuzz.inputs, true, true]);
    expect(peakBytes - startBytes).toBeLessThan(MEMORY_GROWTH_BYTES_MAX);
  });

  test('answers unsigned and garbled credentials as S3 does', async () => {
    const field = fc.constantFrom(
      ...['Credential=', 'SignedHeaders=', 'Signature=', 'AWS4-HMAC-SHA256', 'AWS ', ',', '/', ';', 'host'],
      ...[`${ACCESS_KEY}/20260101/us-east-1/s3/aws4_request`, 'f'.repeat(64), '20260101T000000Z', '='],
    );
    const garbled = fc.array(fc.oneof(field, headerText), { maxLength: 10 }).map((parts) => parts.join(''));
    const presigned = fc.dictionary(
      fc.constantFrom(
        ...['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Date', 'X-Amz-Expires', 'X-Amz-SignedHeaders'],
        ...['X-Amz-Signature', 'X-Amz-Security-Token', 'AWSAccessKeyId', 'Signature', 'Expires'],
      ),
      fc.oneof(field, number, fc.constant('AWS4-HMAC-SHA256')),
    );
    const input = fc.tuple(garbled, headerText, presigned, fc.constantFrom('GET', 'PUT', 'DELETE', 'POST'));
    await fuzz.assert(
      fc.asyncProperty(fc.array(input, { minLength: BATCH, maxLength: BATCH }), async (batch) => {
        await Promise.all(
          batch.map(async ([authorization, stamp, link, method]) => {
            const hostile = { method, path: '/images/a', query: link, headers: {}, body: Buffer.from('x') };
            const answer = await send(hostile, {
              ...(authorization ? { authorization } : {}),
              'x-amz-date': stamp,
            });
            check(hostile, answer);
            if (answer.status < 400) throw new Error(`let in: ${authorization}`);
          }),
        );
      }),
      { numRuns: 15, inputsEach: BATCH },
    );
    expect(failures).toEqual([]);
  });

  test('answers bytes that are no HTTP, or closes, and goes on', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        ...[
          'GET ',
          'PUT /images/a ',
          'HTTP/1.1\r\n',
          'HTTP/9.9\r\n',
          '\r\n',
          '\n',
          '\0',
          'Host: x\r\n',
          ': \r\n',
          ' ',
        ],
        ...[
          'Content-Length: 5\r\n',
          'Content-Length: -1\r\n',
          'Transfer-Encoding: chunked\r\n',
          '0\r\n\r\n',
          'ffffffff\r\n',
        ],
        ...[
          'Expect: 100-continue\r\n',
          'Range: bytes=0-\r\n',
          'Connection: upgrade\r\nUpgrade: x\r\n',
          'PRI * HTTP/2.0\r\n',
        ],
      ),
      fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b).toString('latin1')),
    );
    await fuzz.assert(
      fc.asyncProperty(
        fc.array(fc.array(piece, { maxLength: 12 }), { minLength: BATCH, maxLength: BATCH }),
        async (batch) => {
          const answers = await Promise.all(
            batch.map((pieces) => exchange(Buffer.from(pieces.join(''), 'latin1'))),
          );
          for (const answer of answers) expect(answer).not.toMatch(/^HTTP\/1\.1 50[^15]/);
        },
      ),
      { numRuns: 5, inputsEach: BATCH },
    );
    expect((await app.client.send({ method: 'GET', path: '/images' })).status).toBe(200);
    expect(failures).toEqual([]);
  });

  /** Sends bytes, says that there are no more, and reads until the server closes. */
  function exchange(bytes: Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port: app.port, host: '127.0.0.1', allowHalfOpen: true });
      let answer = '';
      socket.setTimeout(ANSWER_LIMIT_MS, () => socket.destroy(new Error('the connection was left open')));
      socket.on('data', (piece) => (answer += piece.toString('latin1')));
      socket.on('end', () => socket.end());
      // The server may reset what it does not understand.
      socket.on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(answer) : reject(error),
      );
      socket.on('close', () => resolve(answer));
      socket.end(bytes);
    });
  }
});
