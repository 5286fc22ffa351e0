import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import * as path from 'node:path';
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { mustRun, until } from '../support/child.js';
import { expectNothingLost } from '../support/history/everywhere.js';
import { History } from '../support/history/history.js';
import { record, throughGateway } from '../support/history/s3-client.js';
import { mountSmallDisk } from '../support/small-disk.js';
import { startStack, type Stack } from '../support/stack.js';

const MiB = 1024 * 1024;

/** Invariant 1: an acknowledged write is never lost, not by a full disk. The state stands on a small tmpfs. */
describe('a full disk', () => {
  let stack: Stack;
  let unmount: () => Promise<void>;
  let s3: S3Client;
  const history = new History();

  const put = async (key: string, sizeBytes: number): Promise<string> => {
    try {
      await s3.send(new PutObjectCommand({ Bucket: 'files', Key: key, Body: randomBytes(sizeBytes) }));
      return 'ok';
    } catch (error) {
      return (error as Error).name;
    }
  };
  const landed = async () =>
    (await stack.gateway.metric('gateway_journal_pending_changes', { bucket: 'files' })) === 0;
  const remove = (Key: string) => s3.send(new DeleteObjectCommand({ Bucket: 'files', Key }));
  /** A deletion needs no room; that one waits for Gitee makes the commit at once. */
  const allLand = async (key: string) => {
    await remove(key);
    await until('everything is on Gitee', landed);
  };
  const readsBack = async (prefix = '') => {
    const keys = history.keys.filter((key) => key.startsWith(prefix));
    expect(await history.problems(throughGateway(s3, 'files'), 'local', keys)).toEqual([]);
  };

  beforeAll(async () => {
    stack = await startStack({
      start: false,
      config: {
        disk_reserve: '24MiB',
        uplink_initial: '64MiB',
        buckets: [
          { name: 'registry', repository: 'acme/images', branch: 'master', preset: 'registry' },
          {
            ...{ name: 'files', repository: 'acme/files', branch: 'master', preset: 'generic' },
            ...{ write_concern: 'barrier', barrier_patterns: ['now/*'] },
          },
        ],
      },
    });
    unmount = await mountSmallDisk(stack.gateway.stateDirectory, 128 * MiB);
    await stack.gateway.start();
    s3 = record(stack.gateway.s3Client(), history, (key) => (key.startsWith('now/') ? 'remote' : 'local'));
    for (const key of ['now/1', 'now/2', 'now/3']) expect(await put(key, 300)).toBe('ok');
  });

  afterAll(async () => {
    s3.destroy();
    await stack.gateway.stop();
    await unmount();
    await stack.close();
  });

  test('at the reserve writes are refused with a clear code, and what was acknowledged reads back', async () => {
    await stack.gitee.fault('lfs-stall');
    const answers: string[] = [];
    for (let i = 0; i < 24 && answers.at(-1) !== 'SlowDown'; i += 1)
      answers.push(await put(`reserve/${i}`, 8 * MiB));
    expect(answers.filter((a) => a === 'ok').length).toBeGreaterThan(3);
    expect(answers.at(-1)).toBe('SlowDown');
    await readsBack();
  });

  test('with no byte left nothing is acknowledged, and nothing that was is lost over a kill', async () => {
    const ballast = path.join(stack.gateway.stateDirectory, 'ballast');
    // dd ends with an error when the disk is full: that is what it is for here.
    await mustRun('sh', ['-c', 'dd if=/dev/zero of="$0" bs=64k 2>/dev/null; true', ballast]);
    const answer = await put('none/left', 100_000);
    expect(['SlowDown', 'ServiceUnavailable', 'InternalError']).toContain(answer);
    await readsBack();
    await stack.gateway.kill();
    history.serverEnded();
    await rm(ballast);
    await stack.gateway.start({ ready: false });
    await readsBack();
  });

  test('when Gitee takes bytes again there is room again, and all of it lands', async () => {
    await stack.gitee.clearFaults();
    stack.gateway.child!.process.kill('SIGHUP');
    await allLand('now/1');
    // What has landed is given up a moment later.
    await until('there is room again', async () => (await put('room/again', 8 * MiB)) === 'ok');
    await readsBack();
    expect(await stack.gateway.cli('fsck')).toMatchObject({ code: 0 });
  });

  /** What needs room in the journal and none for chunks. */
  const JOURNALLED: [string, (key: string) => Promise<unknown>][] = [
    [
      'PutObject, inline',
      (Key) => s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body: 'x'.repeat(300) })),
    ],
    [
      'CreateMultipartUpload',
      (Key) =>
        s3.send(
          new CreateMultipartUploadCommand({ Bucket: 'files', Key, Metadata: { m: 'y'.repeat(1500) } }),
        ),
    ],
    [
      'PutObjectTagging',
      (key) =>
        s3.send(
          new PutObjectTaggingCommand({
            ...{ Bucket: 'files', Key: `full/${key.slice(-1)}` },
            Tagging: { TagSet: [{ Key: 'a', Value: key }] },
          }),
        ),
    ],
    [
      'CopyObject',
      (Key) => s3.send(new CopyObjectCommand({ Bucket: 'files', Key, CopySource: 'files/full/1' })),
    ],
  ];
  const REQUESTS = 80;

  describe('filled to the last byte by somebody else', () => {
    const junk = () => path.join(stack.gateway.stateDirectory, 'junk');
    // At once: while it is filled slowly the gateway gives its ballast up, and that would be filled as well. Again where
    // the gateway wrote something in between.
    const fill = () =>
      mustRun(
        'sh',
        [
          '-c',
          'for i in 1 2 3 4 5; do fallocate -l "$(stat -f -c "%a * %S" . | xargs expr)" junk && exit; done; exit 1',
        ],
        { cwd: stack.gateway.stateDirectory },
      );
    const ballast = () => stack.gateway.metric('gateway_disk_ballast_bytes');

    beforeAll(async () => {
      for (let i = 0; i < 10; i += 1) expect(await put(`full/${i}`, 300)).toBe('ok');
      for (let i = 0; i < REQUESTS; i += 1) expect(await put(`gone/${i}`, 300)).toBe('ok');
      await allLand('now/2');
    });
    beforeEach(async () => {
      await until('the ballast is there', async () => (await ballast()) > 0);
      await fill();
    });
    afterEach(() => rm(junk(), { force: true }));

    test.each(JOURNALLED)('%s ends with 503 at most, and the process lives', async (name, run) => {
      const before = stack.gateway.child;
      const answers = new Set<number>();
      for (let i = 0; i < REQUESTS; i += 1)
        answers.add(
          await run(`${name}/${i}`).then(
            () => 200,
            (error: unknown) => (error as { $metadata: { httpStatusCode: number } }).$metadata.httpStatusCode,
          ),
        );
      expect([...answers].filter((status) => status !== 200 && status !== 503)).toEqual([]);
      expect(answers).toContain(503);
      expect(stack.gateway.child).toBe(before);
      expect(before!.process.exitCode).toBeNull();
      await readsBack('full/');
    });

    test('deletions are taken and land', async () => {
      for (let i = 0; i < REQUESTS; i += 1) await remove(`gone/${i}`);
      stack.gateway.child!.process.kill('SIGHUP');
      await allLand('now/3');
      expect(await ballast()).toBe(0);
      await readsBack('full/');
      // The ballast went before LMDB, which does not survive that for sure, met the full disk.
      expect(await readFile(path.join(stack.gateway.directory, 'gateway.log'), 'utf8')).not.toMatch(
        /No space left on device/,
      );
    });
  });

  test('after all of it nothing is lost: here, in a clone, and of a gateway that has Gitee alone', () => {
    const view = throughGateway(s3, 'files');
    return expectNothingLost(stack, { bucket: 'files', history, view, holds: 'objects' });
  });
});
