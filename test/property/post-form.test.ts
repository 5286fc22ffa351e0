/**
 * Hostile forms over the real router on a real socket: every one is answered quickly with something that is no
 * 500, memory stays bounded, and what is stored is what its signed policy allows. 2,600 forms in all: 1,200 of
 * pieces put together at random, 1,200 mutations of a valid one, 200 cut off. fast-check prints the seed.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Log } from '../../src/async/log.js';
import { silentLog } from '../../src/async/log.js';
import type { ObjectKey } from '../../src/format/ids.js';
import { S3Error } from '../../src/s3/errors.js';
import { parsePolicy } from '../../src/s3/post-form/policy.js';
import { startTestApp, type TestApp } from '../support/s3-app.js';
import type { S3Answer } from '../support/s3-client.js';
import {
  BOUNDARY,
  FORM_TYPE,
  SIGNING_CONDITIONS,
  formBody,
  signedFields,
  type FormPart,
} from '../support/post-form.js';
import { ANSWER_LIMIT_MS } from '../support/time-limits.js';
import { rounds } from '../support/rounds.js';

describe('hostile forms', () => {
  let app: TestApp;
  const failures: unknown[] = [];
  const log: Log = { ...silentLog, error: (_message, fields) => void failures.push(fields) };
  beforeAll(async () => {
    app = await startTestApp({ log, bodyIdleTimeoutMs: 5000 });
  });
  afterAll(() => app.close());

  const post = async (body: Buffer, contentType = FORM_TYPE): Promise<S3Answer> => {
    let timer: NodeJS.Timeout | undefined;
    const hung = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('the form was not answered')), ANSWER_LIMIT_MS);
    });
    try {
      return await Promise.race([
        app.client.raw('POST', '/images', { 'content-type': contentType }, body),
        hung,
      ]);
    } finally {
      clearTimeout(timer);
    }
  };
  const clear = async () => {
    const context = { signal: new AbortController().signal, requestId: '' };
    for (const key of app.objects.keys())
      await app.objects.deleteObject('images', key as ObjectKey, {}, context);
  };

  test('of any pieces are answered, never with a 500, and store nothing', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        `--${BOUNDARY}`,
        `--${BOUNDARY}--`,
        `\r\n--${BOUNDARY}\r\n`,
        '\r\n',
        '\r\n\r\n',
        'Content-Disposition: form-data; name="file"; filename="f"',
        'Content-Disposition: form-data; name="key"',
        'Content-Disposition: form-data; name="policy"',
        'Content-Disposition: form-data; name="x-amz-signature"',
        'Content-Disposition: form-data; name="__proto__"; filename*=utf-8\'\'%ff',
        'Content-Disposition: form-data; name="a[b][__proto__][0]"',
        'Content-Disposition: form-data',
        'Content-Disposition: attachment; name="file"',
        'Content-Type: application/octet-stream',
        'Content-Type: text/plain; charset=utf-16le',
        'Content-Transfer-Encoding: base64',
        'x'.repeat(9000),
      ),
      fc.string({ maxLength: 40 }),
    );
    const body = fc.oneof(
      fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join(''))),
      fc
        .array(
          fc.tuple(
            fc.constantFrom('key', 'file', 'policy', 'x-amz-signature', 'x-amz-algorithm', 'tagging', 'ſ'),
            fc.oneof(
              fc.string({ maxLength: 50 }),
              fc.record({ filename: fc.string({ maxLength: 10 }), content: fc.string({ maxLength: 50 }) }),
            ),
          ),
          { maxLength: 12 },
        )
        .map((parts) => formBody(parts)),
    );
    const type = fc.oneof(
      { weight: 6, arbitrary: fc.constant(FORM_TYPE) },
      fc.constantFrom(
        'multipart/form-data; boundary=',
        'multipart/form-data; boundary=""',
        `multipart/form-data; boundary="${BOUNDARY}"; charset=x`,
        `multipart/form-data; boundary=${'b'.repeat(300)}`,
        'multipart/form-data;;;=',
      ),
    );
    await fc.assert(
      fc.asyncProperty(body, type, async (bytes, contentType) => {
        const answer = await post(bytes, contentType);
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(answer.status).toBeLessThan(500);
        expect(app.objects.keys()).toEqual([]);
      }),
      { numRuns: rounds(1200) },
    );
    expect(failures).toEqual([]);
  });

  /** Allows keys below `user/`, types image/*, 4 to 64 bytes, one metadata field, and 201. */
  const POLICY = {
    expiration: new Date(Date.now() + 3600_000).toISOString(),
    conditions: [
      { bucket: 'images' },
      ['starts-with', '$key', 'user/'],
      ['starts-with', '$Content-Type', 'image/'],
      { 'x-amz-meta-colour': 'blue' },
      ['content-length-range', 4, 64],
      ['eq', '$success_action_status', '201'],
      ...SIGNING_CONDITIONS,
    ],
  };
  const valid = (): FormPart[] => [
    ['key', 'user/${filename}'],
    ['Content-Type', 'image/png'],
    ['x-amz-meta-colour', 'blue'],
    ['success_action_status', '201'],
    ...signedFields(app.target, POLICY),
    ['file', { filename: 'pic.png', contentType: 'image/png', content: 'the picture' }],
  ];

  /** True where what is stored is what the policy allows; written here again, apart from the code. */
  const allowed = async (): Promise<boolean> => {
    for (const key of app.objects.keys()) {
      const object = await app.client.send({ method: 'GET', path: `/images/${encodeURIComponent(key)}` });
      const types = String(object.headers['content-type']).split(',');
      const meta = Object.entries(object.headers).filter(([name]) => name.startsWith('x-amz-meta-'));
      if (
        !key.startsWith('user/') ||
        !types.every((type) => type.trim().startsWith('image/')) ||
        object.body.length < 4 ||
        object.body.length > 64 ||
        JSON.stringify(meta) !== JSON.stringify([['x-amz-meta-colour', 'blue']]) ||
        object.headers['x-amz-storage-class'] !== undefined ||
        object.headers['cache-control'] !== undefined
      )
        return false;
    }
    return true;
  };

  type Mutation = (parts: FormPart[]) => FormPart[];
  const at = (index: number, length: number) => index % Math.max(1, length);
  const value = fc.oneof(
    fc.constantFrom(
      '',
      'user/',
      '../user/x',
      'image/png,text/html',
      'image/gif, image/png',
      'red',
      '${filename}',
      'user/${filename}${filename}',
      'user/'.padEnd(1100, 'k'),
      '201',
      '\u0000',
      'GLACIER',
    ),
    fc.string({ maxLength: 20 }),
  );
  const name = fc.constantFrom(
    'key',
    'KEY',
    'Content-Type',
    'content-type ',
    'x-amz-meta-colour',
    'x-amz-meta-other',
    'x-ignore-me',
    'x-amz-storage-class',
    'Cache-Control',
    'acl',
    'bucket',
    'policy',
    'x-amz-signature',
    'success_action_status',
    'tagging',
    'constructor',
    '__proto__',
    'file',
  );
  const content = fc.oneof(
    fc.constantFrom('', 'abc', 'abcd', 'x'.repeat(64), 'x'.repeat(65), 'x'.repeat(100_000)),
    fc.string({ maxLength: 80 }),
  );
  const file = fc.record(
    { filename: fc.oneof(fc.constantFrom('a/b', 'c:\\d', '..', ''), fc.string({ maxLength: 12 })), content },
    { requiredKeys: ['content'] },
  );
  const mutation: fc.Arbitrary<Mutation> = fc.oneof(
    fc.nat().map(
      (i): Mutation =>
        (parts) =>
          parts.filter((_, j) => j !== at(i, parts.length)),
    ),
    fc.tuple(fc.nat(), value).map(
      ([i, v]): Mutation =>
        (parts) =>
          parts.map(([n, old], j) => (j === at(i, parts.length) ? [n, v] : [n, old])),
    ),
    fc.tuple(fc.nat(), name, fc.oneof(value, file)).map(
      ([i, n, v]): Mutation =>
        (parts) =>
          parts.toSpliced(at(i, parts.length + 1), 0, [n, v]),
    ),
    fc.tuple(fc.nat(), fc.nat()).map(([i, j]): Mutation => (parts) => {
      const [moved] = parts.slice(at(i, parts.length));
      if (!moved) return parts;
      const rest = parts.filter((part) => part !== moved);
      return rest.toSpliced(at(j, rest.length + 1), 0, moved);
    }),
    file.map(
      (f): Mutation =>
        (parts) =>
          parts.map(([n, v]) => (n === 'file' ? [n, f] : [n, v])),
    ),
    fc.tuple(fc.nat(), fc.nat({ max: 255 })).map(
      ([i, byte]): Mutation =>
        (parts) =>
          parts.map(([n, v]) => {
            if (n !== 'policy' || typeof v !== 'string' || v === '') return [n, v];
            const bytes = Buffer.from(v, 'base64');
            if (bytes.length === 0) return [n, v];
            bytes[at(i, bytes.length)] = byte;
            return [n, bytes.toString('base64')];
          }),
    ),
  );

  test('made of a valid one never store what its policy does not allow', async () => {
    const numRuns = rounds(1200);
    let storedForms = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 0, maxLength: 3 }), async (mutations) => {
        await clear();
        const parts = mutations.reduce((all, mutate) => mutate(all), valid());
        const answer = await post(formBody(parts));
        expect(answer.status === 201 || (answer.status >= 400 && answer.status < 500)).toBe(true);
        expect(app.objects.keys()).toHaveLength(answer.status === 201 ? 1 : 0);
        expect(await allowed()).toBe(true);
        storedForms += answer.status === 201 ? 1 : 0;
      }),
      { numRuns },
    );
    // Else nothing was shown.
    expect(storedForms).toBeGreaterThan(numRuns / 25);
    expect(failures).toEqual([]);
  });

  test('cut off anywhere store nothing', async () => {
    await clear();
    const whole = formBody(valid());
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 3 }), async (length) => {
        const answer = await post(whole.subarray(0, length));
        expect([answer.status, app.objects.keys()]).toEqual([400, []]);
      }),
      { numRuns: rounds(200) },
    );
    expect((await post(whole)).status).toBe(201);
  });

  test('with fields without an end are given up, and their bytes are not kept', async () => {
    const endless = Buffer.alloc(
      8 * 1024 * 1024,
      `\r\n--${BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\nb`,
    );
    const preamble = Buffer.alloc(8 * 1024 * 1024, 'no boundary ');
    const header = Buffer.concat([
      Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="`),
      Buffer.alloc(8 * 1024 * 1024, 'n'),
    ]);
    global.gc?.();
    const before = process.memoryUsage();
    for (let i = 0; i < 10; i += 1)
      for (const body of [endless, preamble, header]) {
        const answer = await post(body);
        expect([answer.status, ['MaxPostPreDataLengthExceeded', 'MalformedPOSTRequest']]).toEqual([
          400,
          expect.arrayContaining([answer.xml('Code')]),
        ]);
      }
    const after = process.memoryUsage();
    // 240 MiB were sent; client and server share this process, and buffers of sockets wait for collection.
    expect(after.heapUsed - before.heapUsed).toBeLessThan(64 * 1024 * 1024);
  });

  test('policies of any JSON are read or refused', () => {
    const condition = fc.oneof(
      fc.array(
        fc.oneof(fc.constantFrom('eq', 'starts-with', 'content-length-range', '$key', 'a'), fc.jsonValue()),
        {
          maxLength: 4,
        },
      ),
      fc.jsonValue(),
    );
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({
          expiration: fc.oneof(fc.constant('2100-01-01T00:00:00Z'), fc.jsonValue()),
          conditions: fc.oneof(fc.array(condition), fc.jsonValue()),
        })
        .map((p) => JSON.stringify(p)),
      fc
        .integer({ min: 1, max: 7000 })
        .map((depth) => `{"expiration":"2100-01-01T00:00:00Z","conditions":${'['.repeat(depth)}`),
    );
    fc.assert(
      fc.property(text, fc.boolean(), (policy, isEncoded) => {
        try {
          const { minBytes, maxBytes, expiresMs } = parsePolicy(
            isEncoded ? Buffer.from(policy).toString('base64') : policy,
          );
          expect([minBytes, maxBytes, expiresMs].every(Number.isSafeInteger)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(S3Error);
        }
      }),
      { numRuns: rounds(2000) },
    );
  });
});
