import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { hashesOf, ODD_TREE, readTree, writeTree } from '../../support/file-tree.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { Tools } from '../../support/tools.js';

describe("Debian's rclone", () => {
  let bucket: S3Bucket;
  let tools: Tools;
  beforeAll(async () => {
    bucket = await startS3Bucket();
    tools = await Tools.setUp(bucket.stack.directory, bucket.stack.gateway);
    await writeTree(tools.file('tree'), ODD_TREE);
  });
  afterAll(() => bucket.close());

  test('syncs a tree there and back with the times of the files, and checks it byte for byte', async () => {
    await tools.rclone('sync', 'tree', 'gw:files/tree');
    await tools.rclone('check', '--download', 'tree', 'gw:files/tree');
    await tools.rclone('sync', 'gw:files/tree', 'back');
    expect(await readTree(tools.file('back'))).toEqual(hashesOf(ODD_TREE));
    const again = await tools.rclone('sync', '-v', '--stats-one-line', 'tree', 'gw:files/tree');
    expect(again.stderr).toMatch(/There was nothing to transfer/);
  });

  test('copies on the server, lists, moves and deletes', async () => {
    await tools.rclone('copy', 'gw:files/tree/a', 'gw:files/copied');
    await tools.rclone('moveto', 'gw:files/tree/large.bin', 'gw:files/copied/large');
    const listed = JSON.parse((await tools.rclone('lsjson', '--hash', 'gw:files/copied')).stdout) as {
      Name: string;
      Size: number;
    }[];
    expect(listed.map((f) => [f.Name, f.Size])).toEqual([
      ['inline', 64 * 1024],
      ['large', 64 * 1024 * 1024],
      ['over', 64 * 1024 + 1],
    ]);
    await tools.rclone('purge', 'gw:files/copied');
    expect(await bucket.listing('copied/')).toEqual([]);
    expect((await tools.rclone('lsd', 'gw:')).stdout).toMatch(/ files\n[\s\S]* registry\n/);
  });

  test('sync removes what is gone, and streams what it is given', async () => {
    await rm(tools.file('tree', 'large.bin'));
    await rm(tools.file('tree', 'a'), { recursive: true });
    await tools.rclone('sync', 'tree', 'gw:files/tree');
    expect((await bucket.listing('tree/a/')).length).toBe(0);
    const link = (await tools.rclone('link', 'gw:files/tree/small.txt', '--expire', '1m')).stdout.trim();
    expect(await (await fetch(link)).text()).toBe('hello');
  });
});
