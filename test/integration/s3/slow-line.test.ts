// Uploads over a line to Gitee that is far slower than the one from the client.
import { CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { until } from '../../support/child.js';
import { startStack, type Stack } from '../../support/stack.js';
import { bytesOf } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
/** 16 KiB each 16 ms: 1 MiB/s for all uploads together, less what the timer and a busy machine make of it. */
const SLOW = { ms: 16 };
/** Of the line: what may lie unsent (docs/ARCHITECTURE.md, src/line/admission.ts). */
const BUDGET_SECONDS = 8;
/** Time on the line over which its speed is a mean (src/line/uplink.ts). */
const WINDOW_SECONDS = 10;
/**
 * By how much of the line's real speed its estimate may be off once it was measured. What Gitee's kernel has taken and
 * Gitee has not read counts as sent when it is taken. That is at most all that may lie unsent, the budget, and it may
 * fill or drain within one window.
 */
const TOLERANCE = BUDGET_SECONDS / WINDOW_SECONDS;
/** Until it was measured all of it is taken at once; more than a window, or its mean would be of less. */
const FIRST_BYTES = 16 * MIB;
const CHUNK_BYTES = 8 * MIB;
/** Three times the budget come at once. */
const UPLOADS = 4;
const UPLOAD_BYTES = 6 * MIB;
/** A body that waits for its piece is read a run at a time (src/line/admission.ts), and its first run before it asks. */
const RUN_BYTES = 64 * 1024;
const TRICKLE_SECONDS = 5;
/** Answer and verification of a chunk that has crossed (src/line/in-flight.ts), and which is unsent until then. */
const ANSWER_SECONDS = 2;

interface Look {
  /** Of whole chunks, with those that are under way. */
  readonly unsentBytes: number;
  /** What the gateway itself holds against its budget: what has not crossed the line, with what is being read. */
  readonly pendingBytes: number;
  readonly budgetBytes: number;
  readonly bytesPerSecond: number;
  readonly waiting: number;
}

describe('a slow line to Gitee', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.close());

  test('parts are taken at its pace, however many come at once', async () => {
    await stack.gitee.fault('lfs-upload-slow', SLOW);
    const first = await watch(upload(0, FIRST_BYTES), FIRST_BYTES);
    // Until the line was measured it is two chunks.
    expect(first.looks[0]!.budgetBytes).toBe(2 * CHUNK_BYTES);

    const uploads = Array.from({ length: UPLOADS }, (_, i) => upload(i + 1, UPLOAD_BYTES));
    const { looks, seconds } = await watch(Promise.all(uploads), UPLOADS * UPLOAD_BYTES);
    expect(most(looks, 'waiting')).toBeGreaterThanOrEqual(2);

    const lineBytesPerSecond = (UPLOADS * UPLOAD_BYTES) / seconds;
    const ceilingBytesPerSecond = (1 + TOLERANCE) * lineBytesPerSecond;
    expect(most(looks, 'bytesPerSecond')).toBeLessThanOrEqual(ceilingBytesPerSecond);
    // A line that is not full says nothing of what it could do.
    const full = looks.filter(({ waiting }) => waiting > 0).map(({ bytesPerSecond }) => bytesPerSecond);
    expect(Math.min(...full)).toBeGreaterThanOrEqual((1 - TOLERANCE) * lineBytesPerSecond);

    // Between two looks the budget may have been larger than at both, and it bounds what is let in, not what lies there
    // when it falls: so what lies there is held to the largest that the tolerance allows.
    const ceilingBytes = BUDGET_SECONDS * ceilingBytesPerSecond;
    expect(most(looks, 'budgetBytes')).toBeLessThanOrEqual(ceilingBytes);
    const trickleBytes = UPLOADS * RUN_BYTES * (1 + seconds / TRICKLE_SECONDS);
    expect(most(looks, 'pendingBytes')).toBeLessThanOrEqual(ceilingBytes + trickleBytes);
    const answeredBytes = ANSWER_SECONDS * lineBytesPerSecond;
    expect(most(looks, 'unsentBytes')).toBeLessThanOrEqual(ceilingBytes + trickleBytes + answeredBytes);
  });

  async function upload(n: number, bytes: number): Promise<void> {
    const s3 = stack.gateway.s3Client();
    const to = { Bucket: 'registry', Key: `docker/registry/v2/repositories/app/_uploads/${n}/data` };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(to));
    const Body = bytesOf(bytes, `upload ${n}`);
    await s3.send(new UploadPartCommand({ ...to, UploadId, PartNumber: 2, Body }));
  }

  /** Looks at the gateway until these bytes are on Gitee. */
  async function watch(
    uploads: Promise<unknown>,
    bytes: number,
  ): Promise<{ readonly looks: readonly Look[]; readonly seconds: number }> {
    const uploadedBytes = async () => (await stack.gitee.stats()).repositories['acme/images']!.uploadedBytes;
    const beforeBytes = await uploadedBytes();
    const startMs = performance.now();
    const looks: Look[] = [];
    const isOnGitee = async () => {
      looks.push(await look());
      return (await uploadedBytes()) - beforeBytes >= bytes;
    };
    await Promise.all([uploads, until('all is on Gitee', isOnGitee)]);
    return { looks, seconds: (performance.now() - startMs) / 1_000 };
  }

  async function look(): Promise<Look> {
    const metric = await stack.gateway.metrics();
    return {
      unsentBytes: metric('gateway_spool_unsent_bytes'),
      pendingBytes: metric('gateway_admission_pending_bytes'),
      budgetBytes: metric('gateway_admission_budget_bytes'),
      bytesPerSecond: metric('gateway_uplink_bytes_per_second'),
      waiting: metric('gateway_admission_waiting'),
    };
  }
});

function most(looks: readonly Look[], figure: keyof Look): number {
  return Math.max(...looks.map((look) => look[figure]));
}
