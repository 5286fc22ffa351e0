/**
 * What the registry's s3 driver is meant to wait out, through the shipped Nginx: each of its operations, at each
 * answer that asks for patience. A part is larger than the 2 MiB from which aws-sdk-go sends (and, when it repeats,
 * signs) `Expect`, which Nginx drops.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { RunResult } from '../../support/child.js';
import {
  DRIVER_OPERATIONS,
  FaultyGateway,
  type DriverOperation,
  type S3Fault,
} from '../../support/faulty-gateway.js';
import { Front } from '../../support/front.js';
import { makeImage } from '../../support/image.js';

const MIB = 1024 * 1024;
const PART_BYTES = 8 * MIB;

/** A front whose S3 requests fail as a test asks. */
interface FaultyFront {
  readonly front: Front;
  readonly faulty: FaultyGateway;
}

/**
 * Nearly all that is done here is waiting, as Retry-After asks: what does not need the same gateway runs side by side.
 * The tests of one front take it in turn.
 */
const FRONTS = ['answers', 'lost answers', 'SIGTERM', 'SIGKILL'] as const;
const fronts = {} as Record<(typeof FRONTS)[number], FaultyFront>;

/** What Nginx asks for while the gateway restarts. No restart has to be waited for where an answer alone is lost. */
const SHORT_PATIENCE = ['Retry-After 10 always;', 'Retry-After 1 always;'] as const;

beforeAll(async () => {
  expect(await readFile('nginx/snippets/s3-gateway.conf', 'utf8')).toContain(SHORT_PATIENCE[0]);
  await Promise.all(
    FRONTS.map(async (name) => {
      fronts[name] = await startFront(name === 'lost answers' ? [SHORT_PATIENCE] : []);
    }),
  );
});

afterAll(async () => {
  for (const { front, faulty } of Object.values(fronts)) {
    await front.close();
    await faulty.stop();
  }
});

async function startFront(nginxEdits: readonly (readonly [string, string])[]): Promise<FaultyFront> {
  let faulty: FaultyGateway | undefined;
  const front = await Front.start({
    nginxEdits,
    // Switches the web address on, where Nginx asks why the registry failed.
    config: () => ({ webhook: { secret: randomBytes(12).toString('hex') } }),
    between: async (endpoint) => {
      faulty = await FaultyGateway.start(endpoint);
      return faulty.address;
    },
    registry: () => ({
      env: {
        // As shipped, every copy is one request; with these, large ones go in parts.
        REGISTRY_STORAGE_S3_MULTIPARTCOPYTHRESHOLDSIZE: String(16 * MIB),
        REGISTRY_STORAGE_S3_MULTIPARTCOPYCHUNKSIZE: String(16 * MIB),
      },
    }),
  });
  return { front, faulty: faulty! };
}

/** In turn with the other tests of this front; a gateway that the step left dead is started again. */
function on(name: keyof typeof fronts, step: (front: FaultyFront) => Promise<void>): Promise<void> {
  const { front } = fronts[name];
  const { gateway } = front.stack;
  return front.inTurn(async () => {
    try {
      await step(fronts[name]);
    } finally {
      if (!gateway.child?.running) await gateway.start();
    }
  });
}

async function ask(
  { nginx }: Front,
  method: string,
  path: string,
): Promise<{ status: number; location: string; body: string }> {
  const sent = httpsRequest({
    host: '127.0.0.1',
    port: nginx.ports.tls,
    path,
    method,
    rejectUnauthorized: false,
    ...(method === 'POST' ? { headers: { 'content-length': '0' } } : {}),
  });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return {
    status: response.statusCode!,
    location: response.headers.location ?? '',
    body: await text(response),
  };
}

/** Everything that users do, so that the driver asks for each of its operations: push, pull, catalog, cancel, delete. */
async function useAll(front: Front, label: string): Promise<void> {
  const { directory } = front;
  const image = await makeImage(join(directory, label), [20 * MIB, 4096]);
  const name = `${label}/app`;
  expect(await front.push(image, name)).toMatchObject({ code: 0 });
  const to = join(directory, `${label}-pulled`);
  expect(await front.pull(name, to)).toMatchObject({ code: 0 });
  for (const digest of image.blobDigests)
    expect(
      (await readFile(join(to, digest.slice('sha256:'.length)))).equals(
        await readFile(join(image.directory, 'blobs', 'sha256', digest.slice('sha256:'.length))),
      ),
    ).toBe(true);
  const catalog = await ask(front, 'GET', '/v2/_catalog');
  expect([catalog.status, catalog.body]).toEqual([200, expect.stringContaining(name)]);
  const begun = await ask(front, 'POST', `/v2/${name}/blobs/uploads/`);
  expect(begun.status).toBe(202);
  const { pathname, search } = new URL(begun.location);
  expect(await ask(front, 'DELETE', pathname + search)).toMatchObject({ status: 204 });
  expect(await ask(front, 'DELETE', `/v2/${name}/manifests/${image.manifestDigest}`)).toMatchObject({
    status: 202,
  });
  await rm(to, { recursive: true });
  await rm(image.directory, { recursive: true });
}

async function answersOfS3({ nginx }: Front, since: number): Promise<Record<string, unknown>[]> {
  return (await nginx.accessLog('s3')).slice(since);
}

async function isWaitedOut({ front, faulty }: FaultyFront, fault: S3Fault): Promise<void> {
  const logged = (await front.nginx.accessLog('s3')).length;
  faulty.happened.length = 0;
  for (const operation of DRIVER_OPERATIONS) faulty.fail(operation, fault);
  await useAll(front, String(fault));
  expect(faulty.outstanding).toEqual([]);
  expect(new Set(faulty.happened)).toEqual(new Set(DRIVER_OPERATIONS));
  expect(faulty.largestBytes.get('UploadPart')).toBeGreaterThanOrEqual(PART_BYTES);
  const answers = await answersOfS3(front, logged);
  expect(answers.filter(({ status }) => status === 403)).toEqual([]);
  expect(answers.filter(({ status }) => status === 503).length).toBeGreaterThanOrEqual(
    DRIVER_OPERATIONS.length,
  );
}

type Signal = 'SIGTERM' | 'SIGKILL';

async function costsOnlyTime(
  { front, faulty }: FaultyFront,
  signal: Signal,
  operation: DriverOperation,
): Promise<void> {
  const { gateway } = front.stack;
  const logged = (await front.nginx.accessLog('s3')).length;
  const image = await makeImage(join(front.directory, operation), [20 * MIB, 9 * MIB]);
  let ended: Promise<void> | undefined;
  faulty.fail(operation, () => {
    ended = gateway.child!.stop(signal).then(() => gateway.start());
  });
  const name = `${signal.toLowerCase()}/${operation.toLowerCase()}`;
  expect(await front.push(image, name)).toMatchObject({ code: 0 });
  await ended;
  expect(faulty.outstanding).toEqual([]);
  expect(await front.pull(name, join(front.directory, `${operation}-pulled`))).toMatchObject({ code: 0 });
  expect((await answersOfS3(front, logged)).filter(({ status }) => status === 403)).toEqual([]);
}

test.concurrent.each(['slow-down', 'service-unavailable', 'reset'] as const)(
  '%s is waited out by every operation of the driver',
  (fault) => on(fault === 'slow-down' ? 'answers' : 'lost answers', (front) => isWaitedOut(front, fault)),
);

test.concurrent(
  'a stop that takes its whole grace time, for a part that does not end, costs two pushes nothing but time',
  () =>
    on('answers', async ({ front, faulty }) => {
      const { gateway } = front.stack;
      const images = [
        await makeImage(join(front.directory, 'held'), [20 * MIB]),
        await makeImage(join(front.directory, 'beside'), [12 * MIB, 12 * MIB]),
      ] as const;
      let ended: Promise<void> | undefined;
      const beside = new Promise<RunResult>((resolve) => {
        faulty.fail('UploadPart', (hold) => {
          hold();
          ended = gateway.child!.stop('SIGTERM').then(() => gateway.start());
          // Begins while the gateway takes no connection any more.
          resolve(front.push(images[1], 'graceful/beside'));
        });
      });
      expect(await front.push(images[0], 'graceful/held')).toMatchObject({ code: 0 });
      expect(await beside).toMatchObject({ code: 0 });
      await ended;
    }),
);

test.concurrent(
  'what the user of a failed push reads is the reason, in both languages, and nothing is tried in vain',
  () =>
    on('answers', async ({ front }) => {
      const { gitee, gateway } = front.stack;
      await gitee.fault('lfs-quota-full');
      try {
        const image = await makeImage(join(front.directory, 'quota'), [12 * MIB]);
        const pushed = await front.push(image, 'quota/app');
        expect(pushed.code).not.toBe(0);
        expect(pushed.stderr).toMatch(
          /denied: the storage space at Gitee is used up\. .*gitee-s3 status \/ Gitee 的存储空间已用完.*gitee-s3 status/,
        );
        expect(await gateway.metric('gateway_registry_failures_total', { reason: 'paused' })).toBeGreaterThan(
          0,
        );
      } finally {
        await gitee.clearFaults();
      }
    }),
);

/** In the order in which both fronts come to their turn. */
const MOMENTS = (['UploadPart', 'CompleteMultipartUpload', 'UploadPartCopy', 'PutObject'] as const).flatMap(
  (operation) => (['SIGTERM', 'SIGKILL'] as const).map((signal) => ({ signal, operation })),
);
test.concurrent.each(MOMENTS)(
  'a gateway that ends by $signal in the middle of $operation, and is started again, costs a push nothing but time',
  ({ signal, operation }) => on(signal, (front) => costsOnlyTime(front, signal, operation)),
);
