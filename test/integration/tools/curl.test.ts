import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
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

  test('puts and gets a file by presigned links, and goes on where a download broke off', async () => {
    const put = await tools.curl('-T', 'body', '-w', '%{http_code}', await link('PUT', '/files/by%20curl'));
    expect(put).toMatchObject({ code: 0, stdout: '200' });
    const get = await link('GET', '/files/by%20curl');
    await tools.curl('-r', '0-4999999', '-o', 'got', get);
    const rest = await tools.curl('-C', '-', '-o', 'got', '-w', '%{http_code}', get);
    expect(rest).toMatchObject({ code: 0, stdout: '206' });
    expect((await readFile(tools.file('got'))).equals(BODY)).toBe(true);
  });

  test('signs by itself', async () => {
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

  test('signs the requests of docs/s3-compatibility.md, and no query in another form than it shows', async () => {
    const { accessKeyId, secretAccessKey, endpoint } = bucket.stack.gateway;
    const page = await readFile('docs/s3-compatibility.md', 'utf8');
    const [, block] = /### curl\n[\s\S]*?^```sh\n([\s\S]*?)^```$/m.exec(page)!;
    const commands = block!
      .replaceAll('https://s3.example.com', endpoint)
      .replace('ACCESS_KEY_ID', accessKeyId)
      .replace('SECRET_ACCESS_KEY', secretAccessKey);
    await writeFile(tools.file('photo.jpg'), 'a photo');
    const shown = await tools.shell(commands);
    expect([shown.code, shown.stderr]).toEqual([0, '']);
    expect(shown.stdout).toMatch(/<Key>2026\/photo.jpg<\/Key>[\s\S]*<UploadId>/);
    expect((await stat(tools.file('s3.curl'))).mode & 0o077).toBe(0);
    for (const query of ['prefix=2026%2F&list-type=2', 'list-type=2&prefix=2026/', 'uploads']) {
      const answer = await tools.curl('-K', 's3.curl', `${endpoint}/files?${query}`);
      expect([query, /<Code>(\w+)/.exec(answer.stdout)?.[1]]).toEqual([query, 'SignatureDoesNotMatch']);
    }
  });

  test('waits a 503 out, for as long as it says, where it is told to try again', async () => {
    const times: number[] = [];
    const server = createServer((_request, response) => {
      times.push(performance.now());
      if (times.length === 1) response.writeHead(503, { 'retry-after': '2' });
      response.end();
    }).listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/files/k`;
      expect(
        (await tools.curl('-f', '-T', 'photo.jpg', '--retry', '8', '--retry-connrefused', url)).code,
      ).toBe(0);
      expect(times[1]! - times[0]!).toBeGreaterThan(1900);
    } finally {
      server.close();
    }
  });

  test('gets an error as a document, and with -f as its exit status', async () => {
    const none = await link('GET', '/files/none');
    expect((await tools.curl(none)).stdout).toMatch(/<Code>NoSuchKey<\/Code>/);
    expect((await tools.curl('-f', none)).code).toBe(22);
  });

  test('learns of a refused upload before it sends the body', async () => {
    const wrong = (await link('PUT', '/files/refused')).replace(/(?<=X-Amz-Signature=)./, (digit) =>
      digit === '0' ? '1' : '0',
    );
    const answer = await tools.curl('-T', 'body', '-w', ' %{http_code} %{size_upload}', wrong);
    expect(answer.stdout).toMatch(/<Code>SignatureDoesNotMatch<\/Code>[\s\S]* 403 0$/);
  });
});
