/** Two stock registries behind the shipped Nginx files, one storage, one REGISTRY_HTTP_SECRET. */
import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, until, type RunResult } from '../../support/child.js';
import { makeImage, type TestImage } from '../../support/image.js';
import { TestNginx } from '../../support/nginx.js';
import { ShippedRegistry } from '../../support/shipped-registry.js';
import { startStack, type Stack } from '../../support/stack.js';

let directory: string;
let stack: Stack;
let nginx: TestNginx;
let replicas: [ShippedRegistry, ShippedRegistry];
const env = { ...process.env, no_proxy: '127.0.0.1,localhost', NO_PROXY: '127.0.0.1,localhost' };

async function startReplica(name: string, httpSecret: string): Promise<ShippedRegistry> {
  return ShippedRegistry.start({
    directory: join(directory, name),
    s3Endpoint: stack.gateway.endpoint,
    accessKeyId: stack.gateway.accessKeyId,
    secretAccessKey: stack.gateway.secretAccessKey,
    httpSecret,
  });
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'replicas-'));
  stack = await startStack();
  replicas = [await startReplica('a', 'one secret'), await startReplica('b', 'one secret')];
  nginx = await TestNginx.start({
    directory: join(directory, 'nginx'),
    registries: replicas.map((replica) => replica.address),
    gatewayS3: new URL(stack.gateway.endpoint).host,
  });
  await mkdir(join(directory, 'trust'));
  await copyFile(nginx.certificateFile, join(directory, 'trust', 'ca.crt'));
});

afterAll(async () => {
  await nginx.stop();
  for (const replica of replicas) await replica.stop();
  await stack.close();
  await rm(directory, { recursive: true });
});

function push(image: TestImage, name: string): Promise<RunResult> {
  return run(
    'skopeo',
    [
      ...['copy', '--insecure-policy', '--dest-cert-dir', join(directory, 'trust')],
      ...[`oci:${image.directory}:latest`, `docker://${nginx.registry}/${name}`],
    ],
    { env },
  );
}

async function pull(name: string): Promise<RunResult> {
  const to = await mkdtemp(join(directory, 'pull-'));
  const result = await run(
    'skopeo',
    [
      ...['copy', '--insecure-policy', '--src-cert-dir', join(directory, 'trust')],
      ...[`docker://${nginx.registry}/${name}`, `dir:${to}`],
    ],
    { env },
  );
  await rm(to, { recursive: true, force: true });
  return result;
}

/** What a kill cut in the middle is tried again, as Docker does by itself (five times) and skopeo does not. */
async function insistently(once: () => Promise<RunResult>): Promise<RunResult> {
  let result = await once();
  for (let tries = 1; result.code !== 0 && tries < 3; tries++) result = await once();
  return result;
}

/** Bytes by POST at one replica, PATCH at another, PUT at a third; the status of each. */
async function uploadOver(
  post: ShippedRegistry,
  patch: ShippedRegistry,
  put: ShippedRegistry,
): Promise<number[]> {
  const bytes = randomBytes(1000);
  const at = (replica: ShippedRegistry, location: string) => {
    const { pathname, search } = new URL(location, `http://${replica.address}`);
    return `http://${replica.address}${pathname}${search}`;
  };
  const begun = await fetch(at(post, '/v2/split/blobs/uploads/'), { method: 'POST' });
  const sent = await fetch(at(patch, begun.headers.get('location')!), {
    method: 'PATCH',
    body: bytes,
    headers: { 'content-type': 'application/octet-stream' },
  });
  if (sent.status !== 202) return [begun.status, sent.status];
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const end = at(put, sent.headers.get('location')!);
  const done = await fetch(`${end}&digest=${digest}`, { method: 'PUT' });
  return [begun.status, sent.status, done.status];
}

test('an upload that one replica began goes on at the other, since they share the secret', async () => {
  const [a, b] = replicas;
  expect(await uploadOver(a, b, a)).toEqual([202, 202, 201]);
  const stranger = await startReplica('c', 'another secret');
  try {
    expect((await uploadOver(a, stranger, a))[1]).toBe(404);
  } finally {
    await stranger.stop();
  }
});

test.each([0, 1])('while replica %d is down, pushes and pulls go on without a retry', async (down) => {
  const image = await makeImage(join(directory, `down-${down}`), [4096, 3 << 20]);
  await replicas[down]!.kill();
  try {
    for (const name of [`down/${down}`, `down/${down}-again`]) {
      expect(await push(image, name)).toMatchObject({ code: 0 });
      expect(await pull(name)).toMatchObject({ code: 0 });
    }
  } finally {
    await replicas[down]!.start();
  }
});

test('replicas are killed and started under load: all pushes and pulls get through', async () => {
  const stable = await makeImage(join(directory, 'stable'), [6 << 20, 4096]);
  expect(await push(stable, 'stable')).toMatchObject({ code: 0 });
  let going = true;
  const failures: string[] = [];
  const done = { push: 0, pull: 0 };
  const note = (what: keyof typeof done, result: RunResult) => {
    done[what]++;
    if (result.code !== 0) failures.push(`${what}: ${result.stderr}`);
  };
  const load = Promise.all([
    (async () => {
      for (let i = 0; going; i++) {
        const image = await makeImage(join(directory, `load-${i}`), [2 << 20, 4096]);
        note('push', await insistently(() => push(image, `load/${i}`)));
        if (going) note('pull', await insistently(() => pull(`load/${i}`)));
      }
    })(),
    (async () => {
      while (going) note('pull', await insistently(() => pull('stable')));
    })(),
  ]);
  try {
    for (const victim of [replicas[0], replicas[1], replicas[0]]) {
      const before = { ...done };
      await victim.kill();
      await until(
        'a push and a pull ended meanwhile',
        () => done.push > before.push && done.pull > before.pull,
      );
      await victim.start();
    }
  } finally {
    going = false;
    await load;
  }
  expect(failures).toEqual([]);
  // Both served some of it.
  const served = new Set((await nginx.accessLog('registry')).map((line) => String(line['upstream'])));
  for (const replica of replicas) expect(served).toContain(replica.address);
});
