import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mustRun } from '../../support/child.js';
import { hashesOf, ODD_KEYS, ODD_TREE, readTree, writeTree } from '../../support/file-tree.js';
import { encodePath } from '../../support/s3-client.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { Tools } from '../../support/tools.js';

describe("Debian's aws-cli", () => {
  let bucket: S3Bucket;
  let tools: Tools;
  const s3api = async (...args: string[]): Promise<unknown> => {
    const { stdout } = await tools.aws('s3api', '--output', 'json', ...args);
    return stdout.trim() === '' ? undefined : JSON.parse(stdout);
  };
  beforeAll(async () => {
    bucket = await startS3Bucket();
    tools = await Tools.setUp(bucket.stack.directory, bucket.stack.gateway);
    await writeTree(tools.file('tree'), ODD_TREE);
  });
  afterAll(() => bucket.close());

  test('syncs a tree there and back, multipart objects among it, and then has nothing to do', async () => {
    await tools.aws('s3', 'sync', '--only-show-errors', 'tree', 's3://files/tree');
    expect((await bucket.listing('tree/')).map((o) => o.key).sort()).toEqual(
      Object.keys(ODD_TREE)
        .map((name) => `tree/${name}`)
        .sort(),
    );
    await tools.aws('s3', 'sync', '--only-show-errors', 's3://files/tree', 'back');
    expect(await readTree(tools.file('back'))).toEqual(hashesOf(ODD_TREE));
    const again = await tools.aws('s3', 'sync', 'tree', 's3://files/tree');
    expect(again.stdout).toBe('');
  });

  test('sync --delete removes what is gone', async () => {
    await mkdir(tools.file('part'), { recursive: true });
    await writeTree(tools.file('part'), { one: Buffer.from('1'), two: Buffer.from('2') });
    await tools.aws('s3', 'sync', '--only-show-errors', 'part', 's3://files/part');
    await mustRun('rm', [tools.file('part', 'one')]);
    await tools.aws('s3', 'sync', '--only-show-errors', '--delete', 'part', 's3://files/part');
    expect((await bucket.listing('part/')).map((o) => o.key)).toEqual(['part/two']);
  });

  test('copies, moves, lists in pages and removes recursively', async () => {
    await tools.aws(
      's3',
      'cp',
      '--only-show-errors',
      '--recursive',
      's3://files/tree/a',
      's3://files/copied',
    );
    await tools.aws('s3', 'mv', '--only-show-errors', 's3://files/tree/large.bin', 's3://files/copied/large');
    const list = (await s3api('list-objects-v2', '--bucket=files', '--prefix=copied/', '--page-size=1')) as {
      Contents: { Key: string; Size: number }[];
    };
    expect(list.Contents.map((c) => [c.Key, c.Size])).toEqual([
      ['copied/inline', 64 * 1024],
      ['copied/large', 64 * 1024 * 1024],
      ['copied/over', 64 * 1024 + 1],
    ]);
    await tools.aws('s3', 'cp', '--only-show-errors', 's3://files/copied/large', 'large');
    expect((await readFile(tools.file('large'))).equals(ODD_TREE['large.bin']!)).toBe(true);
    await tools.aws('s3', 'rm', '--only-show-errors', '--recursive', 's3://files/copied');
    expect(await bucket.listing('copied/')).toEqual([]);
  });

  test('copies, lists and removes the keys that no file can have', async () => {
    // A common beginning, and 1,024 bytes at most with it.
    const keys = [...ODD_KEYS.filter((k) => Buffer.byteLength(k) < 1000), 'k'.repeat(1015), '', '/'];
    for (const key of keys)
      await bucket.wire.send({ method: 'PUT', path: `/files/odd/${encodePath(key)}`, body: key });
    await tools.aws(
      's3',
      'cp',
      '--only-show-errors',
      '--recursive',
      's3://files/odd/',
      's3://files/odd-copy/',
    );
    const copied = await bucket.listing('odd-copy/');
    const named = keys.filter((key) => !key.endsWith('/') && key !== '');
    expect(copied.map((o) => o.key)).toEqual(expect.arrayContaining(named.map((key) => `odd-copy/${key}`)));
    const listed = (await tools.aws('s3', 'ls', '--recursive', 's3://files/odd/')).stdout;
    for (const key of keys) expect(listed).toContain(` odd/${key}\n`);
    await tools.aws('s3', 'rm', '--only-show-errors', '--recursive', 's3://files/odd');
    expect(await bucket.listing('odd/')).toEqual([]);
  });

  test('streams from stdin, and its presigned link works', async () => {
    const body = bytesOf(13 * 1024 * 1024, 'stdin');
    await writeFile(tools.file('stdin'), body);
    await mustRun(
      'sh',
      ['-c', '/usr/bin/aws --endpoint-url $GATEWAY_ENDPOINT s3 cp - s3://files/stdin < stdin'],
      {
        env: tools.env,
        cwd: tools.directory,
      },
    );
    const link = (await tools.aws('s3', 'presign', 's3://files/stdin', '--expires-in', '60')).stdout.trim();
    const answer = await fetch(link);
    expect([answer.status, Buffer.from(await answer.arrayBuffer()).equals(body)]).toEqual([200, true]);
  });

  test('reads metadata, attributes, tags, location and the list of buckets', async () => {
    await writeFile(tools.file('meta'), 'meta');
    await s3api(
      'put-object',
      '--bucket=files',
      '--key=meta',
      '--body=meta',
      '--metadata=colour=blue',
      '--tagging=a=1',
      '--checksum-algorithm=SHA256',
    );
    // Each program takes a second to start; what does not depend on another runs beside it.
    const [head, tags, location, buckets, versioning] = await Promise.all([
      s3api('head-object', '--bucket=files', '--key=meta', '--checksum-mode=ENABLED'),
      s3api('get-object-tagging', '--bucket=files', '--key=meta'),
      s3api('get-bucket-location', '--bucket=files'),
      s3api('list-buckets'),
      s3api('get-bucket-versioning', '--bucket=files'),
    ]);
    expect(head).toMatchObject({
      Metadata: { colour: 'blue' },
      ContentLength: 4,
      ChecksumSHA256: expect.stringMatching(/=$/),
    });
    expect(tags).toEqual({
      TagSet: [{ Key: 'a', Value: '1' }],
    });
    expect(location).toEqual({ LocationConstraint: null });
    expect(buckets).toMatchObject({ Buckets: [{ Name: 'files' }, { Name: 'registry' }] });
    expect(versioning).toBeUndefined();
  });
});
