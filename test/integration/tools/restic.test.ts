import { mkdir, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { hashesOf, readTree, writeTree } from '../../support/file-tree.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { Tools } from '../../support/tools.js';

describe("Debian's restic", () => {
  let bucket: S3Bucket;
  let tools: Tools;
  const files: Record<string, Buffer> = {};
  beforeAll(async () => {
    bucket = await startS3Bucket({ config: { commit: { interval: '2s' } } });
    tools = await Tools.setUp(bucket.stack.directory, bucket.stack.gateway);
    for (let i = 0; i < 2000; i += 1)
      files[`d${i % 17}/file ${i}`] = bytesOf(i % 250 === 0 ? 1_500_000 : (i * 37) % 20_000, `restic ${i}`);
    await writeTree(tools.file('source'), files);
  });
  afterAll(() => bucket.close());

  test('backs up, forgets, prunes, checks every byte and restores', async () => {
    await tools.restic('init');
    await tools.restic('backup', 'source', '--tag=first');
    await rm(tools.file('source', 'd3'), { recursive: true });
    for (const name of Object.keys(files)) if (name.startsWith('d3/')) delete files[name];
    await mkdir(tools.file('source', 'd3'));
    await writeFile(tools.file('source', 'd3', 'new'), (files['d3/new'] = bytesOf(2_000_000, 'new')));
    await tools.restic('backup', 'source', '--tag=second');
    await tools.restic('forget', '--keep-last=1', '--prune', '--max-unused=0');
    await tools.restic('check', '--read-data');
    await tools.restic('restore', 'latest', '--target=restored');
    const root = tools.file('restored', 'source');
    expect(await readTree(root)).toEqual(hashesOf(files));
  });

  test('is whole on an empty state directory too', async () => {
    await bucket.landed();
    await bucket.stack.gateway.stop();
    await rm(bucket.stack.gateway.stateDirectory, { recursive: true });
    await bucket.stack.gateway.start();
    await tools.restic('--no-cache', 'check', '--read-data');
    await rm(tools.file('restored'), { recursive: true });
    await tools.restic('--no-cache', 'restore', 'latest', '--target=restored');
    const root = tools.file('restored', 'source');
    expect(await readTree(root)).toEqual(hashesOf(files));
  });
});
