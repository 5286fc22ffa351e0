/**
 * Invariant 3: no reader gets a complete answer whose bytes do not hash to what the index says, not of a small object
 * either, whose bytes stand in the index itself; and what has rotted is not committed.
 */
import { open, readdir, readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { until } from '../support/child.js';
import { History } from '../support/history/history.js';
import { record, throughGateway } from '../support/history/s3-client.js';
import { bytesOf } from '../support/s3-bucket.js';
import { startStack, type Stack } from '../support/stack.js';

describe('a bit that rots in the bytes of a small object', () => {
  let stack: Stack;
  let s3: S3Client;
  const history = new History();
  const text = (seed: string) => bytesOf(1500, seed).toString('hex');

  beforeAll(async () => {
    stack = await startStack({ config: { commit: { interval: '1s' } } });
    s3 = record(stack.gateway.s3Client(), history);
  });
  afterAll(async () => {
    s3.destroy();
    await stack.close();
  });

  const put = (Key: string, Body: string) => s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body }));
  const read = async (Key: string) => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'files', Key }));
    return Body!.transformToString();
  };
  const landed = () =>
    until('everything is on Gitee', async () => {
      return (await stack.gateway.metric('gateway_journal_pending_changes', { bucket: 'files' })) === 0;
    });

  /** Flips one bit of every place in the file where the text stands. */
  async function rot(file: string, of: string): Promise<void> {
    const bytes = await readFile(file);
    const needle = Buffer.from(of.slice(0, 64));
    const handle = await open(file, 'r+');
    let places = 0;
    for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) {
      await handle.write(Buffer.from([bytes[at + 100]! ^ 1]), 0, 1, at + 100);
      places += 1;
    }
    await handle.close();
    expect(places).toBeGreaterThan(0);
  }

  async function basePath(): Promise<string> {
    const own = path.join(stack.gateway.stateDirectory, 'buckets/files');
    const name = (await readdir(own)).find((entry) => /^base-\d+$/.test(entry))!;
    return path.join(own, name, 'data.mdb');
  }

  test('of the last known commit is found by whoever reads it and by fsck; a rebuild mends it', async () => {
    const body = text('base');
    await put('one', body);
    await landed();
    await stack.gateway.stop();
    await rot(await basePath(), body);
    await stack.gateway.start();
    await expect(read('one')).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } });
    const fsck = await stack.gateway.cli('fsck', '--deep', '--bucket', 'files');
    expect(fsck.code).toBe(1);
    expect(fsck.stdout).toContain('one');
    expect(fsck.stdout).toContain('gitee-s3 rebuild');
    expect((await stack.gateway.cli('rebuild', '--bucket', 'files')).code).toBe(0);
    expect(await history.problems(throughGateway(s3, 'files'))).toEqual([]);
  });

  test('of a change that waits is found before it is committed: it is set aside, the rest lands', async () => {
    const body = text('overlay');
    await stack.gitee.fault('git-refuse-push', { status: 503 });
    await put('two', body);
    await put('three', 'sound');
    await stack.gateway.kill();
    history.serverEnded();
    await rot(path.join(stack.gateway.stateDirectory, 'overlay/data.mdb'), body);
    await stack.gitee.clearFaults();
    await stack.gateway.start();
    await expect(read('two')).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } });
    await landed();
    expect(await stack.gateway.metric('gateway_quarantined_changes', { bucket: 'files' })).toBe(1);
    // It had these bytes alone, and owns up to it; nothing else is lost.
    expect(await history.problems(throughGateway(s3, 'files'))).toEqual([
      expect.stringContaining("two: can't be read"),
    ]);
  });
});
