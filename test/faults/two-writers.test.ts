/**
 * Two gateways on one state directory: one stands still (SIGSTOP, a frozen container), and the other is started. Only
 * one of them may acknowledge, and what either acknowledged lands.
 */
import { readdir, rm, utimes } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { until } from '../support/child.js';
import { TestGateway } from '../support/gateway.js';
import { startStack, type Stack } from '../support/stack.js';

const WRITES = 20;

describe('two writers on one state directory', () => {
  let stack: Stack;
  let first: TestGateway;
  let second: TestGateway;
  const clients: S3Client[] = [];

  beforeEach(async () => {
    // What is written stays pending until a test asks for it.
    const config = { commit: { interval: '10m' } };
    stack = await startStack({ config });
    first = stack.gateway;
    second = await TestGateway.prepare({
      directory: path.join(stack.directory, 'second'),
      gitee: { url: stack.gitee.url, token: stack.gitee.token },
      config: { ...config, state_dir: first.stateDirectory },
    });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    first.child?.process.kill('SIGCONT');
    await second.stop();
    await stack.close();
  });

  function client(gateway: TestGateway): S3Client {
    const s3 = gateway.s3Client();
    clients.push(s3);
    return s3;
  }

  /** Writes side by side; the keys that were acknowledged, and the status or the error of each of the others. */
  async function write(gateway: TestGateway, name: string): Promise<{ kept: string[]; refused: unknown[] }> {
    const s3 = client(gateway);
    const [kept, refused]: [string[], unknown[]] = [[], []];
    await Promise.all(
      Array.from({ length: WRITES }, async (_, i) => {
        const Key = `${name}/${i}`;
        try {
          await s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body: Key }));
          kept.push(Key);
        } catch (error) {
          const { $metadata, code } = error as { $metadata?: { httpStatusCode?: number }; code?: string };
          refused.push($metadata?.httpStatusCode ?? code);
        }
      }),
    );
    return { kept, refused };
  }

  async function landed(gateway: TestGateway, keys: readonly string[]): Promise<void> {
    await gateway.stop(); // commits what is pending
    await gateway.start();
    expect(await gateway.metric('gateway_journal_pending_changes', { bucket: 'files' })).toBe(0);
    expect(await gateway.metric('gateway_quarantined_changes', { bucket: 'files' })).toBe(0);
    const s3 = client(gateway);
    for (const Key of keys) {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'files', Key }));
      expect(await Body!.transformToString()).toBe(Key);
    }
    expect(await gateway.cli('fsck', '--deep')).toMatchObject({ code: 0 });
    expect(await gateway.cli('audit', 'verify')).toMatchObject({ code: 0 });
  }

  /** Starts the second one, which must end. */
  const refusal = () =>
    second.start().then(
      () => 'it started',
      (error: Error) => error.message,
    );

  test('a second one does not start as long as the first lives, standing still or not', async () => {
    const before = await write(first, 'before');
    first.child!.process.kill('SIGSTOP');
    expect(await refusal()).toContain(`is held by pid ${first.child!.process.pid}`);
    // Nor where somebody believes that the lock is stale.
    await rm(path.join(first.stateDirectory, 'lock'));
    for (const name of await readdir(first.stateDirectory))
      if (name.endsWith('.sock'))
        await utimes(path.join(first.stateDirectory, name), new Date(0), new Date(0));
    expect(await refusal()).toContain('its lock file was removed');
    first.child!.process.kill('SIGKILL');
    await first.child!.exited;
    await second.start();
    const after = await write(second, 'after');
    expect([before.refused, after.refused]).toEqual([[], []]);
    await landed(second, [...before.kept, ...after.kept]);
  });

  test('one that stood still while another took over acknowledges nothing any more, and ends', async () => {
    const before = await write(first, 'before');
    first.child!.process.kill('SIGSTOP');
    for (const name of await readdir(first.stateDirectory))
      if (name.startsWith('lock')) await rm(path.join(first.stateDirectory, name));
    await second.start();
    const beside = await write(second, 'beside');
    // They wait in the socket of the one that stands still.
    const late = write(first, 'late');
    first.child!.process.kill('SIGCONT');
    const { kept, refused } = await late;
    expect(kept).toEqual([]);
    for (const status of refused) expect([503, 'ECONNRESET', 'ECONNREFUSED']).toContain(status);
    await until('the first one has ended', () => !first.child!.running);
    expect(await first.child!.exited).toBe(3);
    const after = await write(second, 'after');
    expect([before.refused, beside.refused, after.refused]).toEqual([[], [], []]);
    // It has taken nothing of the other's with it.
    expect(await second.cli('status')).toMatchObject({ code: 0 });
    await landed(second, [...before.kept, ...beside.kept, ...after.kept]);
  });
});
