import { writeFile, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { Tools } from '../../support/tools.js';

describe("Debian's curl", () => {
  let bucket: S3Bucket;
  let tools: Tools;
  const BODY = bytesOf(64 * 1024 * 1024, 'curl');
  const link = async (method: string, path: string, query = {}) =>
    `${bucket.stack.gateway.endpoint}${await bucket.wire.presign({ method, path, query })}`;
  beforeAll(async () => {
    bucket = await startS3Bucket();
    tools = await Tools.setUp(bucket.stack.directory, bucket.stack.gateway);
    await writeFile(tools.file('body'), BODY);
  });
  afterAll(() => bucket.close());

  it('puts and gets a file by presigned links, and goes on where a download broke off', async () => {
    const put = await tools.curl('-T', 'body', '-w', '%{http_code}', await link('PUT', '/files/by%20curl'));
    expect(put).toMatchObject({ code: 0, stdout: '200' });
    const get = await link('GET', '/files/by%20curl');
    await tools.curl('-r', '0-4999999', '-o', 'got', get);
    const rest = await tools.curl('-C', '-', '-o', 'got', '-w', '%{http_code}', get);
    expect(rest).toMatchObject({ code: 0, stdout: '206' });
    expect((await readFile(tools.file('got'))).equals(BODY)).toBe(true);
  });

  it('signs by itself', async () => {
    const { accessKeyId, secretAccessKey, endpoint } = bucket.stack.gateway;
    // In a file: an argument would show the secret in the list of processes.
    await writeFile(
      tools.file('signed'),
      `user = "${accessKeyId}:${secretAccessKey}"\naws-sigv4 = "aws:amz:us-east-1:s3"\n`,
      { mode: 0o600 },
    );
    const hash = 'UNSIGNED-PAYLOAD';
    const answer = await tools.curl(
      '-K',
      'signed',
      '-H',
      `x-amz-content-sha256: ${hash}`,
      `${endpoint}/files?list-type=2&prefix=by`,
    );
    expect(answer.stdout).toMatch(/<Key>by curl<\/Key>/);
  });

  it('gets an error as a document, and with -f as its exit status', async () => {
    const none = await link('GET', '/files/none');
    expect((await tools.curl(none)).stdout).toMatch(/<Code>NoSuchKey<\/Code>/);
    expect((await tools.curl('-f', none)).code).toBe(22);
  });

  it('learns of a refused upload before it sends the body', async () => {
    const wrong = (await link('PUT', '/files/refused')).replace(/(?<=X-Amz-Signature=)./, (digit) =>
      digit === '0' ? '1' : '0',
    );
    const answer = await tools.curl('-T', 'body', '-w', ' %{http_code} %{size_upload}', wrong);
    expect(answer.stdout).toMatch(/<Code>SignatureDoesNotMatch<\/Code>[\s\S]* 403 0$/);
  });
});
