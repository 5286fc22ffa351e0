import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { Tools } from '../../support/tools.js';

describe("buckets made by Debian's programs", () => {
  let bucket: S3Bucket;
  let tools: Tools;
  const names = async () => (await bucket.wire.send({ method: 'GET', path: '/' })).xmlAll('Name');
  beforeAll(async () => {
    bucket = await startS3Bucket({ createBuckets: true });
    tools = await Tools.setUp(bucket.stack.directory, bucket.stack.gateway);
    await writeFile(tools.file('hello.txt'), 'hello');
  });
  afterAll(() => bucket.close());

  test('aws s3 mb, cp, rb --force', async () => {
    await tools.aws('s3', 'mb', 's3://by-aws');
    await tools.aws('s3', 'cp', 'hello.txt', 's3://by-aws/hello.txt');
    expect((await tools.aws('s3', 'ls')).stdout).toMatch(/ by-aws\n/);
    await tools.aws('s3', 'rb', '--force', 's3://by-aws');
    expect(await names()).toEqual(['files', 'registry']);
  });

  test('s3cmd mb, put, rb --recursive', async () => {
    await tools.s3cmd('mb', 's3://by-s3cmd');
    await tools.s3cmd('put', 'hello.txt', 's3://by-s3cmd/hello.txt');
    expect((await tools.s3cmd('ls')).stdout).toMatch(/s3:\/\/by-s3cmd\n/);
    await tools.s3cmd('rb', '--recursive', '--force', 's3://by-s3cmd');
    expect(await names()).toEqual(['files', 'registry']);
  });

  test('rclone mkdir, copy, rmdir, and a copy that makes its bucket first', async () => {
    const file = tools.file('.config', 'rclone', 'rclone.conf');
    const checked = (await readFile(file, 'utf8')).replace('no_check_bucket = true\n', '');
    await writeFile(file, checked, { mode: 0o600 });
    await tools.rclone('mkdir', 'gw:by-rclone');
    expect((await tools.rclone('lsd', 'gw:')).stdout).toMatch(/ by-rclone\n/);
    await tools.rclone('rmdir', 'gw:by-rclone');
    await tools.rclone('copy', 'hello.txt', 'gw:first-copied');
    await tools.rclone('copy', 'hello.txt', 'gw:files/from-rclone');
    expect((await tools.rclone('cat', 'gw:files/from-rclone/hello.txt')).stdout).toBe('hello');
    await tools.rclone('purge', 'gw:first-copied');
    expect(await names()).toEqual(['files', 'registry']);
  });
});
