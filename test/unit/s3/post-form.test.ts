// AWS: "POST Object", "POST Policy", "Browser-based uploads using POST (Signature Version 4)".
import { createHash } from 'node:crypto';
import http from 'node:http';
import { setInterval } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { AccessRecord } from '../../../src/s3/access-log.js';
import { FormFields } from '../../../src/s3/post-form/fields.js';
import { readForm } from '../../../src/s3/post-form/form-reader.js';
import { verifyForm } from '../../../src/s3/post-form/verify.js';
import { until } from '../../support/child.js';
import { ANSWER_LIMIT_MS } from '../../support/time-limits.js';
import {
  FORM_TYPE,
  SIGNING_CONDITIONS,
  formBody,
  signedFields,
  signedForm,
  type FormPart,
  type FormPlan,
} from '../../support/post-form.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';

describe('a form', () => {
  let app: TestApp;
  let records: AccessRecord[];
  beforeEach(async () => {
    records = [];
    app = await startTestApp({
      domain: 's3.test',
      settings: { isPublicRead: () => true, isRegistry: () => false, corsRules: () => [] },
      onAccess: (record) => records.push(record),
    });
  });
  afterEach(() => app.close());

  const send = (parts: readonly FormPart[], headers: Record<string, string> = {}, path = '/images') =>
    app.client.raw('POST', path, { 'content-type': FORM_TYPE, ...headers }, formBody(parts));
  const form = (plan: Partial<FormPlan> = {}) =>
    signedForm(app.target, { bucket: 'images', key: 'k', ...plan });
  const post = (plan: Partial<FormPlan> = {}) => send(form(plan));
  const stored = async (key = 'k') => (await app.client.send({ method: 'GET', path: `/images/${key}` })).text;

  test('stores its file and is answered 204 with ETag and Location', async () => {
    const answer = await post({ key: 'a/b c' });
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(answer.headers['etag']).toBe(`"${createHash('md5').update('the file').digest('hex')}"`);
    expect(answer.headers['location']).toBe(`${app.endpoint}/images/a%2Fb%20c`);
    expect(app.objects.keys()).toEqual(['a/b c']);
  });

  test('is recorded with its key and who signed it; a wrong one with neither', async () => {
    await post({ key: 'a/b' });
    await send(form().filter(([name]) => name !== 'x-amz-signature'));
    await until('both are recorded', async () => records.length === 2);
    expect(records.map((r) => [r.operation, r.bucket, r.key, r.accessKeyId, r.status])).toEqual([
      ['PostObject', 'images', 'a/b', app.target.accessKeyId, 204],
      ['PostObject', 'images', '', undefined, 400],
    ]);
    expect(records[0]!.bytesIn).toBeGreaterThan(500);
  });

  test('is posted to a virtual host too, and to the path with a slash', async () => {
    const hosted = await send(form(), { host: 'images.s3.test' }, '/');
    expect([hosted.status, hosted.headers['location']]).toEqual([204, 'http://images.s3.test/k']);
    expect((await send(form(), {}, '/images/')).status).toBe(204);
  });

  test.each([
    ['200', 200],
    ['201', 201],
    ['204', 204],
    ['302', 204],
    ['', 204],
  ])('success_action_status %s is answered %d', async (value, status) => {
    expect((await post({ fields: [['success_action_status', value]] })).status).toBe(status);
  });

  test('201 has a PostResponse', async () => {
    const answer = await post({ key: 'ä/b', fields: [['success_action_status', '201']] });
    expect(answer.headers['content-type']).toBe('application/xml');
    expect(['Location', 'Bucket', 'Key', 'ETag'].map((n) => answer.xml(n))).toEqual([
      `${app.endpoint}/images/%C3%A4%2Fb`,
      'images',
      'ä/b',
      answer.headers['etag'],
    ]);
    expect(answer.text).not.toContain('xmlns');
  });

  test.each(['success_action_redirect', 'redirect'])(
    '%s goes there with bucket, key and etag',
    async (name) => {
      const answer = await post({ key: 'a/b c', fields: [[name, 'https://app.example/done?x=1#top']] });
      expect(answer.status).toBe(303);
      expect(answer.headers['location']).toBe(
        `https://app.example/done?x=1&bucket=images&key=a%2Fb+c&etag=${encodeURIComponent(answer.headers['etag']!)}#top`,
      );
    },
  );

  test.each(['/relative', 'javascript:alert(1)', 'no url'])(
    'a redirect to %s is as if it were not there',
    async (url) => {
      expect((await post({ fields: [['success_action_redirect', url]] })).status).toBe(204);
    },
  );

  test('keeps headers, metadata, storage class and tags that its fields name', async () => {
    const answer = await post({
      fields: [
        ['Content-Type', 'image/png'],
        ['Cache-Control', 'max-age=9'],
        ['Content-Disposition', 'inline; filename="ü.png"'],
        ['x-amz-meta-Colour', 'blau ü'],
        ['x-amz-storage-class', 'STANDARD_IA'],
        ['tagging', '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>'],
        ['acl', 'public-read'],
      ],
    });
    expect(answer.status).toBe(204);
    const head = await app.client.send({ method: 'HEAD', path: '/images/k' });
    expect(head.headers).toMatchObject({
      'content-type': 'image/png',
      'cache-control': 'max-age=9',
      'x-amz-storage-class': 'STANDARD_IA',
      'x-amz-tagging-count': '1',
    });
    expect(Buffer.from(head.headers['x-amz-meta-colour'] as string, 'latin1').toString()).toBe('blau ü');
  });

  // AWS: PutObject knows none of them, or they say what is not so; a form means what its headers would.
  test.each([
    ['acl', 'private', 400, 'AccessControlListNotSupported'],
    ['x-amz-unheard-of', 'x', 501, 'NotImplemented'],
    ['x-amz-object-lock-mode', 'GOVERNANCE', 501, 'NotImplemented'],
    ['x-amz-server-side-encryption', 'aws:kms', 501, 'NotImplemented'],
    ['x-amz-checksum-foo', 'AAAA', 501, 'NotImplemented'],
  ])(
    'a field %s that cannot be honoured is refused, and nothing stored',
    async (name, value, status, code) => {
      const answer = await post({ fields: [[name, value]] });
      expect([answer.status, answer.xml('Code')]).toEqual([status, code]);
      expect(app.objects.keys()).toEqual([]);
    },
  );

  test('without Content-Type stores binary/octet-stream, whatever the part says', async () => {
    await post();
    const head = await app.client.send({ method: 'HEAD', path: '/images/k' });
    expect(head.headers['content-type']).toBe('binary/octet-stream');
  });

  test.each([
    ['pic.jpg', 'up/pic.jpg'],
    ['C:\\\\dir\\\\pic.jpg', 'up/pic.jpg'],
    ['/home/me/pic.jpg', 'up/pic.jpg'],
    ['中文 %22q%22.png', 'up/中文 "q".png'],
    ['', 'up/'],
    [undefined, 'up/'],
  ])('${filename} of %s makes the key %s', async (filename, key) => {
    const answer = await post({
      key: 'up/${filename}',
      keyCondition: ['starts-with', '$key', 'up/'],
      file: { content: 'x', ...(filename === undefined ? {} : { filename }) },
    });
    expect([answer.status, app.objects.keys()]).toEqual([204, [key]]);
  });

  test('${filename} is put in before the policy is looked at', async () => {
    const plan = { key: '${filename}', file: { filename: 'evil', content: 'x' } };
    const answer = await post({ ...plan, keyCondition: ['starts-with', '$key', '${filename}'] });
    expect(answer.xml('Code')).toBe('AccessDenied');
    expect((await post({ ...plan, keyCondition: ['eq', '$key', 'evil'] })).status).toBe(204);
  });

  test('takes a text area as the file, and field parts that have a file name', async () => {
    expect((await post({ file: { content: 'text ü' } })).status).toBe(204);
    expect(await stored()).toBe('text ü');
    const named = form().map(([name, value]): FormPart =>
      typeof value === 'string' ? [name, { filename: name, content: value }] : [name, value],
    );
    expect((await send(named)).status).toBe(204);
  });

  test('ignores what stands after the file, also a key', async () => {
    expect(
      (await send([...form(), ['key', 'other'], ['submit', 'go'], ['x', 'y'.repeat(30_000)]])).status,
    ).toBe(204);
    expect(app.objects.keys()).toEqual(['k']);
    const late = form().filter(([name]) => name !== 'key');
    const answer = await send([...late, ['key', 'k2']]);
    expect([answer.xml('Code'), answer.xml('ArgumentName')]).toEqual(['InvalidArgument', 'key']);
  });

  test('field names are taken in any case, and two of a name are joined by a comma', async () => {
    const upper = form({
      fields: [['x-amz-meta-tag', 'Ninja']],
      conditions: [{ 'X-Amz-Meta-Tag': 'Ninja,Stallman' }],
    });
    const parts = upper.map(([name, value]): FormPart => [name.toUpperCase(), value]);
    parts.splice(1, 0, ['x-amz-meta-TAG', 'Stallman']);
    const [key, second, first, ...rest] = parts;
    expect((await send([key!, first!, second!, ...rest])).status).toBe(204);
  });

  describe('its policy', () => {
    const refusal = async (plan: Partial<FormPlan>) => {
      const answer = await post(plan);
      expect(app.objects.keys()).toEqual([]);
      return [answer.status, answer.xml('Code'), answer.xml('Message')];
    };

    test('that is over is told so', async () => {
      expect(await refusal({ expiration: new Date(Date.now() - 1000).toISOString() })).toEqual([
        403,
        'AccessDenied',
        'Invalid according to Policy: Policy expired.',
      ]);
    });

    test('that was signed more than seven days ago holds no longer', async () => {
      expect(await refusal({ now: new Date(Date.now() - 8 * 86_400_000) })).toContain(
        'Invalid according to Policy: Policy expired.',
      );
    });

    test.each([
      [{ keyCondition: ['eq', '$key', 'other'] }, 'Policy Condition failed: ["eq", "$key", "other"]'],
      [{ keyCondition: { key: 'K' } }, 'Policy Condition failed: ["eq", "$key", "K"]'],
      [
        { keyCondition: ['starts-with', '$Key', 'user/'] },
        'Policy Condition failed: ["starts-with", "$Key", "user/"]',
      ],
      [{ keyCondition: ['eq', 'key', 'k'] }, 'Policy Condition failed: ["eq", "key", "k"]'],
      [
        { conditions: [['starts-with', '$Content-Type', '']] },
        'Policy Condition failed: ["starts-with", "$Content-Type", ""]',
      ],
      [
        {
          fields: [['Content-Type', 'image/jpg,text/plain']],
          conditions: [['starts-with', '$Content-Type', 'image/']],
        },
        'Policy Condition failed: ["starts-with", "$Content-Type", "image/"]',
      ],
      [{ fields: [['x-amz-meta-a', 'b']], conditions: [] }, 'Extra input fields: x-amz-meta-a'],
      [{ fields: [['submit', 'go']], conditions: [] }, 'Extra input fields: submit'],
      [
        { conditions: [['content-length-range', 'a', '10']] },
        'Policy Condition failed: ["content-length-range", "a", "10"]',
      ],
      [{ bucket: 'shared' }, 'Policy Condition failed: ["eq", "$bucket", "shared"]'],
      [
        { fields: [['bucket', 'shared']], conditions: [] },
        'Policy Condition failed: ["eq", "$bucket", "shared"]',
      ],
    ] as [Partial<FormPlan>, string][])('%j is refused: %s', async (plan, message) => {
      expect(await refusal(plan)).toEqual([403, 'AccessDenied', `Invalid according to Policy: ${message}`]);
    });

    test.each([
      [
        {
          fields: [['Content-Type', 'image/jpg,image/png']],
          conditions: [['starts-with', '$content-type', 'image/']],
        },
      ],
      [
        {
          fields: [
            ['x-ignore-this', 'a'],
            ['X-Ignore-That', 'b'],
          ],
          conditions: [],
        },
      ],
      [{ fields: [['bucket', 'images']], conditions: [] }],
      [{ conditions: [['content-length-range', 8, 8]] }],
      [{ conditions: [['content-length-range', '0', '10']] }],
      [{ fields: [['x-amz-meta-empty', '']], conditions: [['STARTS-WITH', '$x-amz-meta-empty', '']] }],
    ] as [Partial<FormPlan>][])('%j is let in', async (plan) => {
      expect((await post(plan)).status).toBe(204);
    });

    test.each([
      [1, 7, 'EntityTooLarge', 'MaxSizeAllowed', '7'],
      [9, 20, 'EntityTooSmall', 'MinSizeAllowed', '9'],
    ])('a file of 8 bytes is not from %d to %d: %s', async (min, max, code, element, limit) => {
      const answer = await post({ conditions: [['content-length-range', min, max]] });
      expect([answer.status, answer.xml('Code'), answer.xml(element)]).toEqual([400, code, limit]);
      expect(app.objects.keys()).toEqual([]);
    });

    const at = '"expiration":"2100-01-01T00:00:00Z"';
    test.each([
      ['', 'Invalid JSON.'],
      ['[]', 'Invalid JSON.'],
      ['{"expiration"', 'Invalid JSON.'],
      [`{${at}}`, 'Policy missing conditions.'],
      ['{"conditions":[]}', 'Policy missing expiration.'],
      [`{${at},"conditions":{}}`, "Invalid 'conditions' value: must be a List."],
      [`{${at},"conditions":[],"Statement":[]}`, "Unexpected: 'statement'"],
      ['{"EXPIRATION":"x","conditions":[]}', "Unexpected: 'expiration'"],
      [
        '{"expiration":"2100-01-01T00:00:00+02:00","conditions":[]}',
        "Invalid 'expiration' value: '2100-01-01T00:00:00+02:00'",
      ],
      ['{"expiration":4102444800,"conditions":[]}', "Invalid 'expiration' value: '4102444800'"],
      [`{${at},"conditions":[[]]}`, 'Invalid Condition: missing operation identifier.'],
      [`{${at},"conditions":[["in","$key","a"]]}`, "Invalid Condition: unknown operation 'in'."],
      [`{${at},"conditions":[["eq","$key"]]}`, 'Invalid eq: wrong number of arguments.'],
      [`{${at},"conditions":[["eq","$key",1]]}`, 'Invalid JSON.'],
      [
        `{${at},"conditions":[{}]}`,
        'Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.',
      ],
      [
        `{${at},"conditions":[{"a":"b","c":"d"}]}`,
        'Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.',
      ],
      [`{${at},"conditions":[{"key":5}]}`, 'Invalid Simple-Condition: value must be a string.'],
      [`{${at},"conditions":["key"]}`, 'Invalid condition test: must be a List or Object.'],
      [
        `{${at},"conditions":[["content-length-range",0]]}`,
        'Invalid content-length-range: wrong number of arguments.',
      ],
      [`{${at},"conditions":[["content-length-range",-1,0]]}`, 'Invalid JSON.'],
      [`{${at},"conditions":[["content-length-range",0,1.5]]}`, 'Invalid JSON.'],
    ])('%s is no policy: %s', async (text, message) => {
      const answer = await send([
        ['key', 'k'],
        ...signedFields(app.target, text),
        ['file', { filename: 'f', content: 'x' }],
      ]);
      expect([answer.status, answer.xml('Code'), answer.xml('Message')]).toEqual([
        400,
        'InvalidPolicyDocument',
        `Invalid Policy: ${message}`,
      ]);
    });

    test('may use the escapes that AWS lists', async () => {
      const text = `{${at},"conditions":[{"bucket":"images"},["eq","\\$key","\\u006b"],["starts-with","$x-amz-meta-a","\\\\$"],${SIGNING_CONDITIONS.map((c) => JSON.stringify(c)).join()}]}`;
      const answer = await send([
        ['key', 'k'],
        ['x-amz-meta-a', '\\$1'],
        ...signedFields(app.target, text),
        ['file', { filename: 'f', content: 'x' }],
      ]);
      expect([answer.status, answer.text]).toEqual([204, '']);
    });
  });

  describe('its signature', () => {
    const change = (name: string, value: string | undefined) =>
      form().flatMap(([n, v]): FormPart[] =>
        n !== name ? [[n, v]] : value === undefined ? [] : [[n, value]],
      );

    test("is that of AWS's own example", () => {
      const policy =
        'eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9';
      const fields = new FormFields([
        ['X-Amz-Credential', 'AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request'],
        ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
        ['X-Amz-Date', '20151229T000000Z'],
        ['Policy', policy],
        ['X-Amz-Signature', '8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e'],
      ]);
      const verified = verifyForm(fields, {
        region: 'us-east-1',
        clock: { nowMs: () => Date.UTC(2015, 11, 29, 1) } as never,
        credentials: {
          find: () => ({ secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', rights: () => 'write' }),
        },
      });
      expect(verified.accessKeyId).toBe('AKIAIOSFODNN7EXAMPLE');
      expect(verified.policy.expiresMs).toBe(Date.UTC(2015, 11, 30, 12));
      expect(verified.policy.conditions).toHaveLength(11);
    });

    test.each([
      ['x-amz-signature', 'f'.repeat(64), 403, 'SignatureDoesNotMatch'],
      ['x-amz-signature', 'short', 403, 'SignatureDoesNotMatch'],
      ['policy', Buffer.from('{}').toString('base64'), 403, 'SignatureDoesNotMatch'],
      ['x-amz-credential', 'NOBODY/20260101/us-east-1/s3/aws4_request', 400, 'InvalidArgument'],
      ['x-amz-credential', 'a/b', 400, 'InvalidArgument'],
      ['x-amz-algorithm', 'AWS4-ECDSA-P256-SHA256', 400, 'InvalidArgument'],
      ['x-amz-date', 'yesterday', 400, 'InvalidArgument'],
      ['x-amz-algorithm', undefined, 400, 'InvalidArgument'],
      ['x-amz-credential', undefined, 400, 'InvalidArgument'],
      ['x-amz-date', undefined, 400, 'InvalidArgument'],
      ['x-amz-signature', undefined, 400, 'InvalidArgument'],
      ['policy', undefined, 400, 'InvalidArgument'],
    ])('with %s %s is refused', async (name, value, status, code) => {
      const answer = await send(change(name, value));
      expect([answer.status, answer.xml('Code')]).toEqual([status, code]);
      if (value === undefined) expect(answer.xml('ArgumentName')?.toLowerCase()).toBe(name);
      expect(app.objects.calls).toEqual([]);
    });

    test('of a key that does not exist, or may only read, is refused', async () => {
      const nobody = signedForm({ ...app.target, accessKeyId: 'NOBODY' }, { bucket: 'images', key: 'k' });
      expect((await send(nobody)).xml('Code')).toBe('InvalidAccessKeyId');
      const reader = signedForm(app.reader.target, { bucket: 'images', key: 'k' });
      expect((await send(reader)).xml('Code')).toBe('AccessDenied');
      expect(app.objects.calls).toEqual([]);
    });

    test('for another region is told the right one', async () => {
      const answer = await send(
        signedForm({ ...app.target, region: 'mars' }, { bucket: 'images', key: 'k' }),
      );
      expect([answer.xml('Message'), answer.xml('Region')]).toEqual([
        "the region 'mars' is wrong; expecting 'us-east-1'",
        'us-east-1',
      ]);
    });

    test('is needed, also where everybody may read', async () => {
      const answer = await send([
        ['key', 'k'],
        ['file', { filename: 'f', content: 'x' }],
      ]);
      expect([answer.status, answer.xml('Code')]).toEqual([403, 'AccessDenied']);
      expect(app.objects.calls).toEqual([]);
    });

    test('of version 2, or by a session, is refused clearly', async () => {
      const two = await send([
        ['AWSAccessKeyId', 'a'],
        ['signature', 'b'],
        ['policy', 'c'],
        ['key', 'k'],
        ['file', 'x'],
      ]);
      expect(two.xml('Message')).toContain('Please use AWS4-HMAC-SHA256');
      expect((await post({ fields: [['x-amz-security-token', 't']] })).xml('Code')).toBe('InvalidToken');
    });

    test('in the header or the query instead is refused', async () => {
      const signed = await app.client.send({
        method: 'POST',
        path: '/images',
        body: formBody(form()),
        headers: { 'content-type': FORM_TYPE },
      });
      expect([signed.status, signed.xml('Code')]).toEqual([400, 'InvalidArgument']);
      expect((await send(form(), { authorization: 'AWS4-HMAC-SHA256 x' })).status).toBe(400);
      expect(app.objects.calls).toEqual([]);
    });
  });

  describe('its body', () => {
    const raw = (body: Buffer | string, type = FORM_TYPE) =>
      app.client.raw('POST', '/images', { 'content-type': type }, body);

    test.each(['application/x-www-form-urlencoded', 'text/plain', 'multipart/mixed; boundary=a'])(
      'of type %s is 412',
      async (type) => {
        const answer = await raw('key=k', type);
        expect([answer.status, answer.xml('Condition')]).toEqual([
          412,
          'Bucket POST must be of the enclosure-type multipart/form-data',
        ]);
      },
    );

    test.each([
      ['without a boundary in its type', 'multipart/form-data', formBody([])],
      ['that is empty', FORM_TYPE, ''],
      ['with another boundary', 'multipart/form-data; boundary=other', formBody([['a', 'b']])],
      [
        'with a broken part header',
        FORM_TYPE,
        formBody([['a', 'b']])
          .toString()
          .replace('Content-Disposition:', 'Content Disposition'),
      ],
      [
        'with a part without a name',
        FORM_TYPE,
        formBody([['a', 'b']])
          .toString()
          .replace('; name="a"', ''),
      ],
    ])('%s is MalformedPOSTRequest', async (_, type, body) => {
      const answer = await raw(body, type);
      expect([answer.status, answer.xml('Code')]).toEqual([400, 'MalformedPOSTRequest']);
    });

    test('that ends within the file, or before the last boundary, stores nothing', async () => {
      const whole = formBody(form());
      for (const cut of [60, 45, 30, 4, 3]) {
        const answer = await raw(whole.subarray(0, whole.length - cut));
        expect([cut, answer.status, answer.xml('Code')]).toEqual([cut, 400, 'MalformedPOSTRequest']);
      }
      expect(app.objects.keys()).toEqual([]);
    });

    test('that the connection takes away within the file stores nothing', async () => {
      const whole = formBody(form({ file: { filename: 'f', content: 'x'.repeat(300_000) } }));
      const request = http.request({
        port: app.port,
        method: 'POST',
        path: '/images',
        headers: { 'content-type': FORM_TYPE, 'content-length': whole.length },
      });
      request.on('error', () => {});
      request.write(whole.subarray(0, 200_000));
      await until('the file is being stored', async () => app.objects.calls.includes('putObject'));
      request.destroy();
      await until('the upload is given up', async () => app.objects.signals.some((signal) => signal.aborted));
      expect(app.objects.keys()).toEqual([]);
    });

    test('without a file, or with two, is refused', async () => {
      const none = await send(form().filter(([name]) => name !== 'file'));
      expect([none.xml('Code'), none.xml('ArgumentName'), none.xml('ArgumentValue')]).toEqual([
        'InvalidArgument',
        'file',
        '0',
      ]);
      const two = await send([...form(), ['file', { filename: 'g', content: 'y' }]]);
      expect([two.status, two.xml('Message')]).toEqual([
        400,
        'POST requires exactly one file upload per request.',
      ]);
      expect(app.objects.keys()).toEqual([]);
    });

    test('with more than 20 KiB before the file is refused, and with as many is not', async () => {
      const long = (size: number) => post({ fields: [['x-ignore-long', 'x'.repeat(size)]], conditions: [] });
      const answer = await long(20_480);
      expect([answer.status, answer.xml('Code'), answer.xml('MaxPostPreDataLengthBytes')]).toEqual([
        400,
        'MaxPostPreDataLengthExceeded',
        '20480',
      ]);
      expect((await long(17_000)).status).toBe(204);
    });

    test('with a ${filename} that would grow is refused', async () => {
      const answer = await post({
        fields: [['x-ignore-long', '${filename}'.repeat(900)]],
        conditions: [],
        file: { filename: 'f'.repeat(200), content: 'x' },
      });
      expect(answer.xml('Code')).toBe('MaxPostPreDataLengthExceeded');
    });

    test('of no known length is 411', async () => {
      const status = await new Promise((resolve, reject) => {
        const headers = { 'content-type': FORM_TYPE, 'transfer-encoding': 'chunked' };
        const request = http.request(
          { port: app.port, method: 'POST', path: '/images', headers },
          (answer) => {
            answer.resume();
            resolve(answer.statusCode);
          },
        );
        request.on('error', reject);
        request.end(formBody(form()));
      });
      expect([status, app.objects.keys()]).toEqual([411, []]);
    });
  });

  /** Within which the fields must come, and how often a piece does. */
  const FIELDS_MS = 200;
  const DRIP_MS = 10;
  const LATER_MS = 600;

  describe('its memory', () => {
    const PIECE = Buffer.alloc(64 * 1024, 'x');
    /** The start of a form, then the same bytes for ever; counts what was asked for. */
    async function* endless(head: Buffer, pulled: { bytes: number }) {
      yield head;
      for (;;) {
        pulled.bytes += PIECE.length;
        yield PIECE;
      }
    }
    const turns = async () => {
      for (let i = 0; i < 100; i += 1) await new Promise(setImmediate);
    };

    test('does not grow while the store stands still: no more is read than the buffers hold', async () => {
      const pulled = { bytes: 0 };
      const whole = formBody(form());
      const head = whole.subarray(0, whole.indexOf('the file'));
      const result = await readForm(
        FORM_TYPE,
        endless(head, pulled),
        async (fields, bytes) => {
          const pieces = bytes[Symbol.asyncIterator]();
          await pieces.next();
          await turns();
          await pieces.return?.();
          return fields.get('key');
        },
        ANSWER_LIMIT_MS,
      );
      expect(result).toBe('k');
      await turns();
      expect(pulled.bytes).toBeLessThan(8 * PIECE.length);
    });

    test('holds no more than 20 KiB of fields, however long the body goes on', async () => {
      const pulled = { bytes: 0 };
      const reading = readForm(
        FORM_TYPE,
        endless(formBody([['a', 'b']]), pulled),
        async () => 'stored',
        ANSWER_LIMIT_MS,
      );
      await expect(reading).rejects.toMatchObject({ code: 'MaxPostPreDataLengthExceeded' });
      expect(pulled.bytes).toBeLessThan(3 * PIECE.length);
    });

    test('is given back where what follows the file has no end', async () => {
      const pulled = { bytes: 0 };
      const reading = readForm(
        FORM_TYPE,
        endless(formBody(form()), pulled),
        async (_, bytes) => {
          for await (const piece of bytes) expect(piece.length).toBeGreaterThan(0);
          return 'stored';
        },
        ANSWER_LIMIT_MS,
      );
      await expect(reading).rejects.toMatchObject({ code: 'MalformedPOSTRequest' });
      expect(pulled.bytes).toBeLessThan(8 * PIECE.length);
    });

    test.each<[string, (whole: Buffer) => Buffer, string]>([
      ['before anybody has signed it', (whole) => whole.subarray(0, 40), 'x'],
      ['after its file', (whole) => whole, '\r\n'],
    ])('never stands still and is given up all the same %s', async (_name, head, drop) => {
      let isOver = false;
      let drops = 0;
      async function* dripping() {
        yield head(formBody(form()));
        for await (const _ of setInterval(DRIP_MS)) {
          if (isOver) return;
          drops += 1;
          yield Buffer.from(drop);
        }
      }
      const reading = readForm(
        FORM_TYPE,
        dripping(),
        async (_fields, bytes) => {
          for await (const piece of bytes) expect(piece.length).toBeGreaterThan(0);
          return 'stored';
        },
        FIELDS_MS,
      );
      await expect(reading).rejects.toMatchObject({ code: 'RequestTimeout' });
      isOver = true;
      expect(drops).toBeGreaterThan(0);
    });

    test('may take its time once it is known whose it is', async () => {
      const whole = formBody(form());
      const cut = whole.indexOf('the file') + 3;
      let goOn = () => {};
      const waits = new Promise<void>((resolve) => (goOn = resolve));
      async function* slowly() {
        yield whole.subarray(0, cut);
        await waits;
        yield whole.subarray(cut);
      }
      const reading = readForm(
        FORM_TYPE,
        slowly(),
        async (_fields, bytes) => {
          setTimeout(goOn, LATER_MS);
          let sizeBytes = 0;
          for await (const piece of bytes) sizeBytes += piece.length;
          return sizeBytes;
        },
        FIELDS_MS,
      );
      await expect(reading).resolves.toBe('the file'.length);
    });
  });

  test('is waited for as long as its store takes, once it is read to its end', async () => {
    const WITHIN_MS = 20;
    async function* body() {
      yield formBody([['file', { filename: 'f', content: 'x' }]]);
    }
    const stored = await readForm(
      FORM_TYPE,
      body(),
      async (_fields, bytes) => {
        for await (const piece of bytes) expect(piece.length).toBe(1);
        // What waits for a commit on Gitee waits for much longer than a body may stand still.
        const readMs = performance.now();
        await until(
          'a body that stood still had been refused',
          () => performance.now() - readMs > 5 * WITHIN_MS,
        );
        return 'stored';
      },
      WITHIN_MS,
    );
    expect(stored).toBe('stored');
  });

  describe('its file', () => {
    test('is checked against Content-MD5 and checksums of its fields', async () => {
      const md5 = createHash('md5').update('the file').digest('base64');
      const sha256 = createHash('sha256').update('the file').digest('base64');
      const right = await post({
        fields: [
          ['Content-MD5', md5],
          ['x-amz-checksum-algorithm', 'SHA256'],
          ['x-amz-checksum-sha256', sha256],
        ],
      });
      expect([right.status, right.headers['x-amz-checksum-sha256']]).toEqual([204, sha256]);
      const other = createHash('sha256').update('other').digest('base64');
      for (const [fields, code] of [
        [[['Content-MD5', createHash('md5').update('x').digest('base64')]], 'BadDigest'],
        [[['Content-MD5', 'x']], 'InvalidDigest'],
        [[['x-amz-checksum-sha256', other]], 'BadDigest'],
        [[['x-amz-checksum-sha256', 'sailorjerry']], 'InvalidRequest'],
        [[['x-amz-checksum-algorithm', 'CRC32']], 'InvalidRequest'],
      ] as [[string, string][], string][])
        expect((await post({ key: 'wrong', fields })).xml('Code')).toBe(code);
      expect(app.objects.keys()).toEqual(['k']);
    });

    test.each([
      [[['x-amz-storage-class', 'FAKE']], 400, 'InvalidStorageClass'],
      [[['tagging', 'not-xml']], 400, 'MalformedXML'],
      [[['x-amz-website-redirect-location', '/x']], 501, 'NotImplemented'],
      [[['x-amz-server-side-encryption', 'aws:kms']], 501, 'NotImplemented'],
      [[['x-amz-grant-read', 'id=x']], 400, 'AccessControlListNotSupported'],
      [[['x-amz-meta-a', 'x'.repeat(2048)]], 400, 'MetadataTooLarge'],
    ] as [[string, string][], number, string][])(
      'with %j is refused as PutObject would',
      async (fields, status, code) => {
        const answer = await post({ fields });
        expect([answer.status, answer.xml('Code'), app.objects.keys()]).toEqual([status, code, []]);
      },
    );

    test.each([
      ['', 'InvalidArgument'],
      ['k'.repeat(1025), 'KeyTooLongError'],
    ])('of the key %s is refused', async (key, code) => {
      expect((await post({ key })).xml('Code')).toBe(code);
    });

    test('with lines that look like a boundary comes through byte for byte', async () => {
      const content = Buffer.concat([
        Buffer.from('--\r\n------Form\r\n\r\n'),
        Buffer.from([0, 255, 13, 10, 45, 45]),
        Buffer.alloc(100_000, 7),
      ]);
      await post({ file: { filename: 'f', content } });
      const got = await app.client.send({ method: 'GET', path: '/images/k' });
      expect(got.body.equals(content)).toBe(true);
    });

    test('of no bytes is an empty object', async () => {
      expect((await post({ file: { filename: '', content: '' } })).status).toBe(204);
      expect(await stored()).toBe('');
    });
  });

  test('refused keeps the connection usable, and one that is large is not read to its end', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const refused = (content: Buffer) =>
      new Promise<[status: unknown, connection: unknown, isReused: boolean]>((resolve, reject) => {
        const body = formBody(form({ expiration: '2001-01-01T00:00:00Z', file: { filename: 'f', content } }));
        const headers = { 'content-type': FORM_TYPE, 'content-length': body.length };
        const request = http.request({ port: app.port, method: 'POST', path: '/images', headers, agent });
        request.on('response', (answer) =>
          answer
            .resume()
            .on('end', () => resolve([answer.statusCode, answer.headers.connection, request.reusedSocket])),
        );
        request.on('error', reject);
        request.end(body);
      });
    expect(await refused(Buffer.alloc(10))).toEqual([403, 'keep-alive', false]);
    expect(await refused(Buffer.alloc(200_000))).toEqual([403, 'keep-alive', true]);
    expect(await refused(Buffer.alloc(4 * 1024 * 1024))).toEqual([403, 'close', true]);
    agent.destroy();
  });
});
