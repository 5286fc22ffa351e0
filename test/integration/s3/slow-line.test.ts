// Uploads over a line to Gitee that is far slower than the one from the client.
import { CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { until } from '../../support/child.js';
import { startStack, type Stack } from '../../support/stack.js';
import { bytesOf } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;

describe('a slow line to Gitee', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.close());

  test('parts are taken at its pace, however many come at once', async () => {
    // 1 MiB/s for all uploads together.
    await stack.gitee.fault('lfs-upload-slow', { ms: 16 });
    const s3 = stack.gateway.s3Client();
    const uploads = [1, 2, 3, 4].map(async (n) => {
      const to = {
        Bucket: 'registry',
        Key: `docker/registry/v2/repositories/app/_uploads/${n}/data`,
      };
      const { UploadId } = await s3.send(new CreateMultipartUploadCommand(to));
      const Body = bytesOf(8 * MIB, `part ${n}`);
      await s3.send(new UploadPartCommand({ ...to, UploadId, PartNumber: 2, Body }));
    });
    let mostBytes = 0;
    let waited = 0;
    let isOver = false;
    const all = Promise.all(uploads).finally(() => (isOver = true));
    await until('all parts are taken', async () => {
      mostBytes = Math.max(mostBytes, await stack.gateway.metric('gateway_spool_unsent_bytes'));
      waited = Math.max(waited, await stack.gateway.metric('gateway_admission_waiting'));
      return isOver;
    });
    await all;
    // 32 MiB came at once. Until the line was measured two chunks of 8 MiB are let in, what waits comes at a
    // trickle of 1 MiB pieces, and an estimate may be above the truth: a quarter of all waits in any case.
    expect(mostBytes).toBeLessThanOrEqual(24 * MIB);
    expect(waited).toBeGreaterThanOrEqual(2);
  });
});
