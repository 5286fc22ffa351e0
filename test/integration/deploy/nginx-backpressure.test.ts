/**
 * What the registry's s3 driver is meant to wait out, through the shipped Nginx: each of its operations, at each
 * answer that asks for patience. A part is larger than the 2 MiB from which aws-sdk-go sends (and, when it repeats,
 * signs) `Expect`, which Nginx drops.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { freePort, run, type RunResult } from '../../support/child.js';
import {
  DRIVER_OPERATIONS,
  FaultyGateway,
  type DriverOperation,
  type S3Fault,
} from '../../support/faulty-gateway.js';
import { makeImage, type TestImage } from '../../support/image.js';
import { TestNginx } from '../../support/nginx.js';
import { ShippedRegistry } from '../../support/shipped-registry.js';
import { startStack, type Stack } from '../../support/stack.js';

let directory: string;
let stack: Stack;
let faulty: FaultyGateway;
let nginx: TestNginx;
let registry: ShippedRegistry;
let trust: string;
const env = { ...process.env, no_proxy: '127.0.0.1,localhost', NO_PROXY: '127.0.0.1,localhost' };

const MIB = 1024 * 1024;
const PART_BYTES = 8 * MIB;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nginx-backpressure-'));
  const webPort = await freePort();
  stack = await startStack({
    config: {
      web: { host: '127.0.0.1', port: webPort },
      // Switches the web address on, where Nginx asks why the registry failed.
      webhook: { secret: randomBytes(12).toString('hex') },
    },
  });
  faulty = await FaultyGateway.start(stack.gateway.endpoint);
  nginx = await TestNginx.prepare({ directory: join(directory, 'nginx') });
  registry = await ShippedRegistry.start({
    directory: join(directory, 'registry'),
    s3Endpoint: `http://127.0.0.1:${nginx.ports.s3}`,
    accessKeyId: stack.gateway.accessKeyId,
    secretAccessKey: stack.gateway.secretAccessKey,
    httpSecret: 'a secret of the test',
    env: {
      // As shipped, every copy is one request; with these, large ones go in parts.
      REGISTRY_STORAGE_S3_MULTIPARTCOPYTHRESHOLDSIZE: String(16 * MIB),
      REGISTRY_STORAGE_S3_MULTIPARTCOPYCHUNKSIZE: String(16 * MIB),
    },
  });
  await nginx.setUpstreams({
    registries: [registry.address],
    gatewayS3: faulty.address,
    gatewayWeb: `127.0.0.1:${webPort}`,
  });
  await nginx.start();
  trust = join(directory, 'trust');
  await mkdir(trust);
  await copyFile(nginx.certificateFile, join(trust, 'ca.crt'));
});

afterAll(async () => {
  await nginx.stop();
  await registry.stop();
  await faulty.stop();
  await stack.close();
  await rm(directory, { recursive: true });
});

afterEach(async () => {
  // Whatever a test did to it.
  if (!stack.gateway.child?.running) await stack.gateway.start();
});

function push(image: TestImage, name: string): Promise<RunResult> {
  return run(
    'skopeo',
    [
      ...['copy', '--insecure-policy', '--dest-cert-dir', trust],
      ...[`oci:${image.directory}:latest`, `docker://${nginx.registry}/${name}`],
    ],
    { env },
  );
}

function pull(name: string, to: string): Promise<RunResult> {
  return run(
    'skopeo',
    ['copy', '--insecure-policy', '--src-cert-dir', trust, `docker://${nginx.registry}/${name}`, `dir:${to}`],
    { env },
  );
}

async function ask(
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
async function useAll(label: string): Promise<void> {
  const image = await makeImage(join(directory, label), [20 * MIB, 4096]);
  const name = `${label}/app`;
  expect(await push(image, name)).toMatchObject({ code: 0 });
  const to = join(directory, `${label}-pulled`);
  expect(await pull(name, to)).toMatchObject({ code: 0 });
  for (const digest of image.blobDigests)
    expect(
      (await readFile(join(to, digest.slice('sha256:'.length)))).equals(
        await readFile(join(image.directory, 'blobs', 'sha256', digest.slice('sha256:'.length))),
      ),
    ).toBe(true);
  const catalog = await ask('GET', '/v2/_catalog');
  expect([catalog.status, catalog.body]).toEqual([200, expect.stringContaining(name)]);
  const begun = await ask('POST', `/v2/${name}/blobs/uploads/`);
  expect(begun.status).toBe(202);
  const { pathname, search } = new URL(begun.location);
  expect(await ask('DELETE', pathname + search)).toMatchObject({ status: 204 });
  expect(await ask('DELETE', `/v2/${name}/manifests/${image.manifestDigest}`)).toMatchObject({ status: 202 });
  await rm(to, { recursive: true });
  await rm(image.directory, { recursive: true });
}

async function answersOfS3(since: number): Promise<Record<string, unknown>[]> {
  return (await nginx.accessLog('s3')).slice(since);
}

describe.each(['slow-down', 'service-unavailable', 'reset'] as const)('%s', (fault: S3Fault) => {
  test('is waited out by every operation of the driver', async () => {
    const logged = (await nginx.accessLog('s3')).length;
    faulty.happened.length = 0;
    for (const operation of DRIVER_OPERATIONS) faulty.fail(operation, fault);
    await useAll(String(fault));
    expect(faulty.outstanding).toEqual([]);
    expect(new Set(faulty.happened)).toEqual(new Set(DRIVER_OPERATIONS));
    expect(faulty.largestBytes.get('UploadPart')).toBeGreaterThanOrEqual(PART_BYTES);
    const answers = await answersOfS3(logged);
    expect(answers.filter(({ status }) => status === 403)).toEqual([]);
    expect(answers.filter(({ status }) => status === 503).length).toBeGreaterThanOrEqual(
      DRIVER_OPERATIONS.length,
    );
  });
});

describe.each(['SIGTERM', 'SIGKILL'] as const)('a gateway that ends by %s and is started again', (signal) => {
  const MOMENTS: readonly DriverOperation[] = [
    'UploadPart',
    'CompleteMultipartUpload',
    'UploadPartCopy',
    'PutObject',
  ];
  test.each(MOMENTS)('in the middle of %s, costs a push nothing but time', async (operation) => {
    const logged = (await nginx.accessLog('s3')).length;
    const image = await makeImage(join(directory, `${signal}-${operation}`), [20 * MIB, 9 * MIB]);
    let ended: Promise<void> | undefined;
    faulty.fail(operation, () => {
      ended = stack.gateway.child!.stop(signal).then(() => stack.gateway.start());
    });
    const name = `${signal.toLowerCase()}/${operation.toLowerCase()}`;
    expect(await push(image, name)).toMatchObject({ code: 0 });
    await ended;
    expect(faulty.outstanding).toEqual([]);
    expect(await pull(name, join(directory, `${signal}-${operation}-pulled`))).toMatchObject({ code: 0 });
    expect((await answersOfS3(logged)).filter(({ status }) => status === 403)).toEqual([]);
  });
});

test('a stop that takes its whole grace time, for a part that does not end, costs two pushes nothing but time', async () => {
  const images = [
    await makeImage(join(directory, 'held'), [20 * MIB]),
    await makeImage(join(directory, 'beside'), [12 * MIB, 12 * MIB]),
  ] as const;
  let ended: Promise<void> | undefined;
  const beside = new Promise<RunResult>((resolve) => {
    faulty.fail('UploadPart', (hold) => {
      hold();
      ended = stack.gateway.child!.stop('SIGTERM').then(() => stack.gateway.start());
      // Begins while the gateway takes no connection any more.
      resolve(push(images[1], 'graceful/beside'));
    });
  });
  expect(await push(images[0], 'graceful/held')).toMatchObject({ code: 0 });
  expect(await beside).toMatchObject({ code: 0 });
  await ended;
});

test('what the user of a failed push reads is the reason, in both languages, and nothing is tried in vain', async () => {
  await stack.gitee.fault('lfs-quota-full');
  try {
    const image = await makeImage(join(directory, 'quota'), [12 * MIB]);
    const pushed = await push(image, 'quota/app');
    expect(pushed.code).not.toBe(0);
    expect(pushed.stderr).toMatch(
      /denied: the storage space at Gitee is used up\. .*gitee-s3 status \/ Gitee 的存储空间已用完.*gitee-s3 status/,
    );
    expect(
      await stack.gateway.metric('gateway_registry_failures_total', { reason: 'paused' }),
    ).toBeGreaterThan(0);
  } finally {
    await stack.gitee.clearFaults();
  }
});
