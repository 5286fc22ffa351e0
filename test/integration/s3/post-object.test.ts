// AWS: "POST Object" and "Browser-based uploads using POST (AWS Signature Version 4)".
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetObjectCommand, GetObjectTaggingCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { bytesOf, md5Hex, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { FORM_TYPE, formBody, signedForm, type FormPart, type FormPlan } from '../../support/post-form.js';
import { Tools } from '../../support/tools.js';

const MIB = 1024 * 1024;

describe('PostObject', () => {
  let bucket: S3Bucket;
  let tools: Tools;
  beforeAll(async () => {
    bucket = await startS3Bucket();
    tools = await Tools.setUp(bucket.stack.directory, bucket.stack.gateway);
  });
  afterAll(() => bucket.close());

  const form = (plan: Partial<FormPlan> = {}) =>
    signedForm(bucket.wire.target, { bucket: 'files', key: 'k', ...plan });
  const send = (parts: readonly FormPart[]) =>
    bucket.wire.raw('POST', '/files', { 'content-type': FORM_TYPE }, formBody(parts));
  const keys = async (prefix: string) => (await bucket.listing(prefix)).map((object) => object.key);

  test('a form made by a browser is an object with the headers of its fields', async () => {
    // FormData and Blob are those of the Fetch standard, as a page has them.
    const data = new FormData();
    for (const [name, value] of form({
      key: 'page/${filename}',
      fields: [
        ['Content-Type', 'image/png'],
        ['x-amz-meta-by', 'a page'],
        ['tagging', '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>'],
        ['success_action_status', '201'],
      ],
    }))
      if (typeof value === 'string') data.append(name, value);
    data.append('file', new Blob([bytesOf(300_000, 'page')]), '图 1.png');
    const answer = await fetch(`${bucket.stack.gateway.endpoint}/files`, { method: 'POST', body: data });
    expect([answer.status, await answer.text()]).toEqual([
      201,
      expect.stringContaining('<Key>page/图 1.png</Key>'),
    ]);
    const head = await bucket.s3.send(new HeadObjectCommand({ Bucket: 'files', Key: 'page/图 1.png' }));
    expect(head).toMatchObject({
      ContentType: 'image/png',
      ContentLength: 300_000,
      ETag: `"${md5Hex(bytesOf(300_000, 'page'))}"`,
      Metadata: { by: 'a page' },
    });
    const tags = await bucket.s3.send(new GetObjectTaggingCommand({ Bucket: 'files', Key: 'page/图 1.png' }));
    expect(tags.TagSet).toEqual([{ Key: 'a', Value: 'b' }]);
  });

  test('curl -F sends 20 MiB through a form, and they come back', async () => {
    const content = bytesOf(20 * MIB, 'form');
    await writeFile(tools.file('big'), content);
    const args: string[] = [];
    for (const [name, value] of form({
      key: 'curl/${filename}',
      conditions: [['content-length-range', 20 * MIB, 20 * MIB]],
    })) {
      if (typeof value !== 'string') continue;
      // In files: a signature in an argument would show in the list of processes.
      await writeFile(tools.file(`field-${name}`), value, { mode: 0o600 });
      args.push('-F', `${name}=<field-${name}`);
    }
    args.push('-F', 'file=@big;filename=big.bin', '-w', '%{http_code}');
    const sent = await tools.curl(...args, `${bucket.stack.gateway.endpoint}/files`);
    expect(sent).toMatchObject({ code: 0, stdout: '204' });
    const got = await bucket.s3.send(new GetObjectCommand({ Bucket: 'files', Key: 'curl/big.bin' }));
    expect(Buffer.from(await got.Body!.transformToByteArray()).equals(content)).toBe(true);
  });

  test('success_action_redirect is 303 with bucket, key and etag', async () => {
    const answer = await send(form({ fields: [['success_action_redirect', 'https://app.example/done']] }));
    expect([answer.status, answer.headers.location]).toEqual([
      303,
      `https://app.example/done?bucket=files&key=k&etag=%22${md5Hex(Buffer.from('the file'))}%22`,
    ]);
  });

  test.each([
    ['a policy that is over', { expiration: '2020-01-01T00:00:00Z' }, 403, 'AccessDenied'],
    ['a condition that fails', { keyCondition: { key: 'other' } }, 403, 'AccessDenied'],
    ['a field without a condition', { fields: [['acl', 'private']], conditions: [] }, 403, 'AccessDenied'],
    ['a file that is too large', { conditions: [['content-length-range', 0, 7]] }, 400, 'EntityTooLarge'],
    ['a file that is too small', { conditions: [['content-length-range', 9, 99]] }, 400, 'EntityTooSmall'],
    ['a wrong checksum', { fields: [['x-amz-checksum-crc32', 'AAAAAA==']] }, 400, 'BadDigest'],
    ['a wrong Content-MD5', { fields: [['Content-MD5', 'A'.repeat(22) + '==']] }, 400, 'BadDigest'],
  ] as [string, Partial<FormPlan>, number, string][])(
    '%s is refused and stores nothing',
    async (_, plan, status, code) => {
      const answer = await send(form({ key: 'refused/k', ...plan }));
      expect([answer.status, answer.xml('Code')]).toEqual([status, code]);
      expect(await keys('refused/')).toEqual([]);
    },
  );

  test('a large file that content-length-range refuses, or that is cut, stores nothing', async () => {
    const file = { filename: 'f', content: bytesOf(9 * MIB, 'cut') };
    const large = await send(
      form({ key: 'refused/k', conditions: [['content-length-range', 0, MIB]], file }),
    );
    expect(large.xml('Code')).toBe('EntityTooLarge');
    const body = formBody(form({ key: 'refused/k', file }));
    const cut = await bucket.wire.raw(
      'POST',
      '/files',
      { 'content-type': FORM_TYPE },
      body.subarray(0, body.length - 100),
    );
    expect([cut.status, cut.xml('Code')]).toEqual([400, 'MalformedPOSTRequest']);
    expect(await keys('refused/')).toEqual([]);
  });

  test('a wrong signature is SignatureDoesNotMatch, and no signature AccessDenied', async () => {
    const wrong = form().map(([name, value]): FormPart =>
      name === 'x-amz-signature' ? [name, 'f'.repeat(64)] : [name, value],
    );
    expect((await send(wrong)).xml('Code')).toBe('SignatureDoesNotMatch');
    const none = await send([
      ['key', 'k'],
      ['file', { filename: 'f', content: 'x' }],
    ]);
    expect([none.status, none.xml('Code')]).toEqual([403, 'AccessDenied']);
  });

  test('a request that is no form is 412', async () => {
    const answer = await bucket.wire.raw('POST', '/files', { 'content-type': 'text/plain' }, 'x');
    expect([answer.status, answer.xml('Code')]).toEqual([412, 'PreconditionFailed']);
  });
});
