/**
 * Pulls that begin while Gitee is known to be down, through the shipped Nginx and the real registry: the registry
 * asks the gateway once and tells its client, instead of trying for ten seconds what is known to be in vain.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { freePort, run, until } from '../../support/child.js';
import { TestGateway } from '../../support/gateway.js';
import { makeImage, type TestImage } from '../../support/image.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { TestNginx } from '../../support/nginx.js';
import { ShippedRegistry } from '../../support/shipped-registry.js';
import { SilentLine } from '../../support/silent-line.js';

const LAYER_BYTES = 300_000;
const env = { ...process.env, no_proxy: '127.0.0.1,localhost', NO_PROXY: '127.0.0.1,localhost' };

let directory: string;
/** In front of Gitee and of its LFS storage. */
let lines: [SilentLine, SilentLine];
let gitee: RunningLocalGitee;
let gateway: TestGateway;
let nginx: TestNginx;
let registry: ShippedRegistry;
let image: TestImage;
let s3: S3Client;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nginx-away-'));
  const webPort = await freePort();
  const ports = [await freePort(), await freePort()] as const;
  lines = [await SilentLine.start(ports[0]), await SilentLine.start(ports[1])];
  gitee = await startLocalGitee({ behind: { ports, urls: [lines[0].url, lines[1].url] } });
  gateway = await TestGateway.start({
    directory: join(directory, 'gateway'),
    gitee: { url: lines[0].url, token: gitee.token },
    config: {
      web: { host: '127.0.0.1', port: webPort },
      // Switches the web address on, where Nginx asks why the registry failed.
      webhook: { secret: randomBytes(12).toString('hex') },
    },
  });
  nginx = await TestNginx.prepare({ directory: join(directory, 'nginx') });
  registry = await ShippedRegistry.start({
    directory: join(directory, 'registry'),
    s3Endpoint: `http://127.0.0.1:${nginx.ports.s3}`,
    accessKeyId: gateway.accessKeyId,
    secretAccessKey: gateway.secretAccessKey,
    httpSecret: 'a secret of the test',
  });
  await nginx.setUpstreams({
    registries: [registry.address],
    gatewayS3: new URL(gateway.endpoint).host,
    gatewayWeb: `127.0.0.1:${webPort}`,
  });
  await nginx.start();
  const trust = join(directory, 'trust');
  await mkdir(trust);
  await copyFile(nginx.certificateFile, join(trust, 'ca.crt'));
  image = await makeImage(join(directory, 'image'), Array<number>(4).fill(LAYER_BYTES));
  const pushed = await run(
    'skopeo',
    [
      ...['copy', '--insecure-policy', '--dest-cert-dir', trust],
      ...[`oci:${image.directory}:latest`, `docker://${nginx.registry}/away/app:v1`],
    ],
    { env },
  );
  expect(pushed).toMatchObject({ code: 0 });
  // Nothing is cached from here on.
  await gateway.stop();
  await rm(join(gateway.stateDirectory, 'chunks'), { recursive: true });
  await gateway.start();
  s3 = gateway.s3Client();
});

afterAll(async () => {
  s3.destroy();
  await nginx.stop();
  await registry.stop();
  await gateway.stop();
  for (const line of lines) await line.stop();
  await gitee.stop();
  await rm(directory, { recursive: true });
});

/** What a client gets: status, bytes that came, and whether it was all. */
async function get(path: string): Promise<{ status: number; bytes: number; isWhole: boolean }> {
  const sent = httpsRequest({ host: '127.0.0.1', port: nginx.ports.tls, path, rejectUnauthorized: false });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let bytes = 0;
  response.on('data', (piece: Buffer) => (bytes += piece.length));
  response.on('error', () => {});
  await new Promise((resolve) => response.once('close', resolve));
  return { status: response.statusCode!, bytes, isWhole: response.complete };
}

const blobKey = (digest: string) => {
  const hex = digest.slice('sha256:'.length);
  return `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
};

/** How often the registry has asked for the bytes of a blob, by the answers it got. */
async function answersFor(digest: string): Promise<unknown[]> {
  const wanted = `/registry/${blobKey(digest)}`;
  return (await nginx.accessLog('s3'))
    .filter(({ method, path }) => method === 'GET' && path === wanted)
    .map(({ status }) => status);
}

/** One GET of a client that is not the registry. */
async function statusFor(digest: string): Promise<{ status: number; retryAfter: string | undefined }> {
  try {
    const { Body, $metadata } = await s3.send(
      new GetObjectCommand({ Bucket: 'registry', Key: blobKey(digest) }),
    );
    await Body!.transformToByteArray();
    return { status: $metadata.httpStatusCode!, retryAfter: undefined };
  } catch (error) {
    const { $response: answer } = error as {
      $response: { statusCode: number; headers: Record<string, string> };
    };
    return { status: answer.statusCode, retryAfter: answer.headers['retry-after'] };
  }
}

test('the registry asks once for each layer, tells its client, and serves it when Gitee is back', async () => {
  const layers = image.blobDigests.slice(0, 3);
  const path = (digest: string) => `/v2/away/app/blobs/${digest}`;
  for (const line of lines) line.fallSilent();
  try {
    await until('it is known, so that a read is refused at once', async () => {
      const startMs = Date.now();
      expect((await statusFor(image.blobDigests[3]!)).status).toBe(503);
      return Date.now() - startMs < 1000;
    });
    for (const digest of layers) {
      // Never a whole answer, of which a client could take the lack of bytes for the layer, nor "not there".
      const { status, bytes, isWhole } = await get(path(digest));
      expect(isWhole && status < 400).toBe(false);
      expect(status).not.toBe(404);
      expect(bytes).toBeLessThan(LAYER_BYTES);
      expect(await answersFor(digest)).toEqual([424]);
    }
    // Other clients of the same bucket repeat as they are used to.
    expect(await statusFor(layers[1]!)).toEqual({ status: 503, retryAfter: '1' });
  } finally {
    for (const line of lines) line.speak();
  }
  await until('Gitee is known to answer', async () => (await statusFor(layers[0]!)).status === 200);
  for (const digest of layers) {
    expect(await get(path(digest))).toMatchObject({ status: 200, isWhole: true });
    expect(await answersFor(digest)).toEqual([424, 206]);
  }
});
