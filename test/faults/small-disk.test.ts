import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { until } from '../support/child.js';
import { makeImage, pull, push } from '../support/image.js';
import { mountSmallDisk } from '../support/small-disk.js';
import { startStack, type Stack } from '../support/stack.js';

const MIB = 1024 * 1024;
const DISK_BYTES = 128 * MIB;
const RESERVE_BYTES = 24 * MIB;
const LAYER_BYTES = 9 * MIB;
/** More than two disks full of layers, each pushed within the grace time of a day. */
const PUSHES = 15;

/**
 * A disk that is smaller than what is pushed in a day: what Gitee has gives way, cached or in its grace time, long
 * before a write is refused; what Gitee does not have stays (invariant 1). The state stands on a small tmpfs.
 */
describe('a disk smaller than the pushes of a day', () => {
  let stack: Stack;
  let unmount: () => Promise<void>;
  let registry: Awaited<ReturnType<Stack['startRegistry']>>;
  let s3: S3Client;
  const digests = new Map<string, string>();

  const metric = (name: string, labels?: Record<string, string>) => stack.gateway.metric(name, labels);
  const landed = () =>
    until('everything is on Gitee', async () => {
      const pending = ['registry', 'files'].map((bucket) =>
        metric('gateway_journal_pending_changes', { bucket }),
      );
      return (await Promise.all(pending)).every((changes) => changes === 0);
    });
  /** A refusal that a client waited out counts too. */
  const refusals = async () => {
    const text = await (await fetch(`${stack.gateway.metricsUrl}/metrics`)).text();
    return text.split('\n').filter((line) => /^gateway_http_requests_total\{.*status="5\d\d"/.test(line));
  };
  const isPushed = async (name: string) => {
    const image = await makeImage(path.join(stack.directory, 'image'), [LAYER_BYTES, LAYER_BYTES]);
    digests.set(name, image.manifestDigest);
    expect([name, await push(image, registry.address, name)]).toEqual([
      name,
      expect.objectContaining({ code: 0 }),
    ]);
    await rm(image.directory, { recursive: true });
  };
  const isPulled = async (name: string) => {
    const to = path.join(stack.directory, 'pulled');
    expect([name, await pull(registry.address, name, to)]).toEqual([name, digests.get(name)]);
    await rm(to, { recursive: true });
  };

  beforeAll(async () => {
    stack = await startStack({
      start: false,
      config: { disk_reserve: String(RESERVE_BYTES), uplink_initial: '64MiB', commit: { interval: '1s' } },
    });
    unmount = await mountSmallDisk(stack.gateway.stateDirectory, DISK_BYTES);
    await stack.gateway.start();
    registry = await stack.startRegistry();
    s3 = stack.gateway.s3Client();
  });

  afterAll(async () => {
    s3.destroy();
    await stack.gateway.stop();
    await unmount();
    await stack.close();
  });

  test('takes push after push and refuses none; what is kept beside the cache stays within its bound', async () => {
    const limitBytes = await metric('gateway_spool_grace_limit_bytes');
    expect(limitBytes).toBe(DISK_BYTES / 4);
    let mostBytes = 0;
    for (let i = 0; i < PUSHES; i += 1) {
      await isPushed(`day/app-${i}:v1`);
      mostBytes = Math.max(mostBytes, await metric('gateway_spool_grace_bytes'));
      await until(
        'the oldest have given way, and nothing waits',
        async () =>
          (await metric('gateway_spool_grace_bytes')) <= limitBytes &&
          (await metric('gateway_spool_unsent_bytes')) === 0,
      );
    }
    // Not since nothing is kept: the newest images are still there.
    expect(mostBytes).toBeGreaterThan(LAYER_BYTES);
    expect(await refusals()).toEqual([]);
  });

  test('all images pull, also those that this disk has no more', async () => {
    for (const name of digests.keys()) await isPulled(name);
    expect(await metric('gateway_cache_reads_total', { result: 'miss' })).toBeGreaterThan(0);
    expect(await refusals()).toEqual([]);
  });

  test('what Gitee does not have yet takes the place of what it has, and outlives a kill', async () => {
    const bodies = new Map<string, Buffer>();
    await isPushed('day/last:v1');
    const kept = () => metric('gateway_spool_grace_bytes');
    await until('the last image is kept', async () => (await kept()) > 2 * LAYER_BYTES);
    const keptBytes = await kept();
    await stack.gitee.fault('lfs-stall');
    // More than what is free and the cache together: chunks within their grace time have to give way.
    for (let i = 0; i < 10; i += 1) {
      const [Key, Body] = [`unsent/${i}`, randomBytes(8 * MIB)];
      await s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body }));
      bodies.set(Key, Body);
    }
    await until(
      'all of it is counted',
      async () => (await metric('gateway_spool_unsent_bytes')) === 10 * 8 * MIB,
    );
    await until('of what was kept there is less', async () => (await kept()) < keptBytes);
    expect(await refusals()).toEqual([]);
    await stack.gateway.kill();
    await stack.gateway.start({ ready: false });
    await stack.gitee.clearFaults();
    await landed();
    for (const [Key, body] of bodies) {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'files', Key }));
      expect([Key, Buffer.from(await Body!.transformToByteArray()).equals(body)]).toEqual([Key, true]);
    }
    await isPulled('day/app-0:v1');
    await isPulled('day/last:v1');
    expect(await stack.gateway.cli('fsck')).toMatchObject({ code: 0 });
  });
});
