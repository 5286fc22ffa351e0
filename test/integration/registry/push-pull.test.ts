import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun, run } from '../../support/child.js';
import { makeImage, pull, push, type TestImage } from '../../support/image.js';
import { startRegistry } from '../../support/registry.js';
import { startStack, type Stack } from '../../support/stack.js';

const MiB = 1024 * 1024;

describe('the stock registry on the gateway', () => {
  let stack: Stack;
  let registry: Awaited<ReturnType<Stack['startRegistry']>>;
  let image: TestImage;
  let pulls = 0;

  const pulled = (address: string, name: string) =>
    pull(address, name, path.join(stack.directory, `pulled-${(pulls += 1)}`));
  const api = (pathname: string, init?: RequestInit) =>
    fetch(`http://${registry.address}/v2/${pathname}`, init);

  beforeAll(async () => {
    // Commits are counted: none is made because a push took long.
    stack = await startStack({ config: { commit: { interval: '10m' } } });
    registry = await stack.startRegistry();
    // 20 MiB: three parts of the driver; 300 KB: one.
    image = await makeImage(path.join(stack.directory, 'image'), [300_000, 20 * MiB]);
  });

  afterAll(() => stack.close());

  test('a push of two layers makes at most two commits on Gitee, the same push again none', async () => {
    const before = await stack.commits('acme/images');
    expect(await push(image, registry.address, 'team/app:v1')).toMatchObject({ code: 0 });
    const after = await stack.commits('acme/images');
    expect(after - before).toBeGreaterThanOrEqual(1);
    expect(after - before).toBeLessThanOrEqual(2);
    expect(await push(image, registry.address, 'team/app:v1')).toMatchObject({ code: 0 });
    expect(await stack.commits('acme/images')).toBe(after);
  });

  test('a pull has the pushed digests, warm and after the cache was emptied', async () => {
    expect(await pulled(registry.address, 'team/app:v1')).toBe(image.manifestDigest);
    await stack.gateway.stop();
    await rm(path.join(stack.gateway.stateDirectory, 'chunks'), { recursive: true });
    await stack.gateway.start();
    expect(await pulled(registry.address, 'team/app:v1')).toBe(image.manifestDigest);
  });

  test('a pull through presigned links of the gateway has the same digests', async () => {
    const redirecting = await stack.startRegistry({ redirect: true });
    const answer = await fetch(`http://${redirecting.address}/v2/team/app/blobs/${image.blobDigests[1]!}`, {
      redirect: 'manual',
    });
    expect(answer.status).toBe(307);
    expect(answer.headers.get('location')).toMatch(/X-Amz-Signature=/);
    expect(await pulled(redirecting.address, 'team/app:v1')).toBe(image.manifestDigest);
  });

  test('mounting a layer into another repository moves no data', async () => {
    const digest = image.blobDigests[2]!;
    const pushed = async () => stack.gateway.metric('gateway_lfs_uploaded_bytes_total');
    const before = await pushed();
    const answer = await api(`team/other/blobs/uploads/?mount=${digest}&from=team/app`, { method: 'POST' });
    expect(answer.status).toBe(201);
    expect((await api(`team/other/blobs/${digest}`, { method: 'HEAD' })).status).toBe(200);
    expect(await pushed()).toBe(before);
  });

  // docs/images.md, "Attach": the list of an image's attachments is an index that clients read, change and write back.
  test('of two that attach at once one attachment is no longer listed, one after another all are', async () => {
    const type = 'application/vnd.oci.image.index.v1+json';
    const tag = image.manifestDigest.replace(':', '-');
    const place = `team/signed/manifests/${tag}`;
    const artifact = { mediaType: 'application/vnd.oci.image.manifest.v1+json', size: 1 };
    interface Index {
      manifests: { digest: string }[];
    }
    const read = async () => {
      const answer = await api(place, { headers: { accept: type } });
      const index = answer.status === 404 ? { manifests: [] } : ((await answer.json()) as Index);
      return { index, digest: answer.headers.get('docker-content-digest') ?? '' };
    };
    const write = async ({ index, digest }: { index: Index; digest: string }, attachment: string) => {
      const manifests = [...index.manifests, { ...artifact, digest: attachment }];
      const headers = { 'content-type': type, ...(digest === '' ? {} : { 'if-match': `"${digest}"` }) };
      const body = JSON.stringify({ schemaVersion: 2, mediaType: type, manifests });
      return (await api(place, { method: 'PUT', headers, body })).status;
    };
    expect(await push(image, registry.address, 'team/signed:v1')).toMatchObject({ code: 0 });
    // What an index names must be there.
    const others = await Promise.all(
      [1, 2, 3].map((n) => makeImage(path.join(stack.directory, `attached-${n}`), [n])),
    );
    for (const [n, other] of others.entries())
      expect(await push(other, registry.address, `team/signed:attached-${n}`)).toMatchObject({ code: 0 });
    const [first, second, third] = others.map((other) => other.manifestDigest);
    expect(await write(await read(), first!)).toBe(201);
    const [mine, theirs] = [await read(), await read()];
    expect([await write(mine, second!), await write(theirs, third!)]).toEqual([201, 201]);
    const listed = async () => (await read()).index.manifests.map((m) => m.digest);
    expect(await listed()).toEqual([first, third]);
    expect(await write(await read(), second!)).toBe(201);
    expect(await listed()).toEqual([first, third, second]);
  });

  test('a chunked upload that is resumed has the right bytes', async () => {
    const pieces = [Buffer.alloc(1 * MiB, 1), Buffer.alloc(7 * MiB, 2), Buffer.alloc(3 * MiB, 3)];
    const hash = createHash('sha256');
    let location = (await api('team/chunked/blobs/uploads/', { method: 'POST' })).headers.get('location')!;
    let offset = 0;
    for (const piece of pieces) {
      hash.update(piece);
      const status = await fetch(location);
      expect(status.headers.get('range')).toBe(offset === 0 ? '0-0' : `0-${offset - 1}`);
      const answer = await fetch(status.headers.get('location') ?? location, {
        method: 'PATCH',
        body: piece,
        headers: {
          'content-type': 'application/octet-stream',
          'content-range': `${offset}-${offset + piece.length - 1}`,
        },
      });
      expect(answer.status).toBe(202);
      location = answer.headers.get('location')!;
      offset += piece.length;
    }
    const digest = `sha256:${hash.digest('hex')}`;
    const done = await fetch(`${location}&digest=${digest}`, { method: 'PUT' });
    expect(done.status).toBe(201);
    const body = Buffer.from(await (await api(`team/chunked/blobs/${digest}`)).arrayBuffer());
    expect(body.equals(Buffer.concat(pieces))).toBe(true);
    const range = await api(`team/chunked/blobs/${digest}`, { headers: { range: 'bytes=1048570-1048581' } });
    expect(Buffer.from(await range.arrayBuffer())).toEqual(Buffer.concat(pieces).subarray(1048570, 1048582));
  });

  test('an upload that is open over a restart of the gateway goes on', async () => {
    const piece = Buffer.alloc(6 * MiB, 7);
    const started = await api('team/restart/blobs/uploads/', { method: 'POST' });
    const patched = await fetch(started.headers.get('location')!, { method: 'PATCH', body: piece });
    expect(patched.status).toBe(202);
    await stack.gateway.restart();
    const digest = `sha256:${createHash('sha256').update(piece).digest('hex')}`;
    const done = await fetch(`${patched.headers.get('location')!}&digest=${digest}`, { method: 'PUT' });
    expect(done.status).toBe(201);
  });

  test('an abandoned and a cancelled upload leave nothing on Gitee', async () => {
    const before = await stack.commits('acme/images');
    const started = await api('team/gone/blobs/uploads/', { method: 'POST' });
    const patched = await fetch(started.headers.get('location')!, {
      method: 'PATCH',
      body: Buffer.alloc(1000),
    });
    const cancelled = await fetch(patched.headers.get('location')!, { method: 'DELETE' });
    expect(cancelled.status).toBe(204);
    await stack.gateway.restart();
    const listing = await mustRun('git', [
      '-C',
      path.join(stack.gitee.dataDir, 'repositories/acme/images.git'),
      'ls-tree',
      '-r',
      '--name-only',
      'refs/heads/master',
    ]);
    expect(listing.stdout).not.toMatch(/_uploads/);
    expect(await stack.commits('acme/images')).toBeLessThanOrEqual(before + 1);
  });

  test('an empty layer is stored and read', async () => {
    const digest = `sha256:${createHash('sha256').digest('hex')}`;
    const started = await api('team/empty/blobs/uploads/', { method: 'POST' });
    const done = await fetch(`${started.headers.get('location')!}&digest=${digest}`, { method: 'PUT' });
    expect(done.status).toBe(201);
    expect((await api(`team/empty/blobs/${digest}`)).status).toBe(200);
  });

  test('tags and the catalog list what was pushed', async () => {
    expect(await push(image, registry.address, 'team/app:v2')).toMatchObject({ code: 0 });
    expect(await (await api('team/app/tags/list')).json()).toEqual({ name: 'team/app', tags: ['v1', 'v2'] });
    const catalog = (await (await api('_catalog')).json()) as { repositories: string[] };
    expect(catalog.repositories).toEqual(expect.arrayContaining(['team/app', 'team/chunked', 'team/other']));
  });

  test('without state and cache every image pulls again with the same digests', async () => {
    await stack.gateway.stop();
    await rm(stack.gateway.stateDirectory, { recursive: true });
    await stack.gateway.start();
    expect(await pulled(registry.address, 'team/app:v1')).toBe(image.manifestDigest);
    expect(await pulled(registry.address, 'team/app:v2')).toBe(image.manifestDigest);
    expect(await stack.gateway.cli('fsck', '--deep')).toMatchObject({ code: 0 });
  });

  test('a clone with git-lfs, restored by its own script, is served by the filesystem driver without us', async () => {
    const clone = path.join(stack.directory, 'clone');
    const url = new URL(`${stack.gitee.url}/acme/images.git`);
    url.username = 'oauth2';
    url.password = stack.gitee.token;
    const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', HOME: stack.directory };
    await mustRun('git', ['lfs', 'install', '--skip-repo'], { env });
    await mustRun('git', ['clone', '-q', '-b', 'master', url.href, clone], { env });
    await mustRun('git', ['lfs', 'pull'], { env, cwd: clone });
    expect((await mustRun('git', ['status', '--porcelain'], { env, cwd: clone })).stdout).toBe('');
    expect(await run('git', ['lfs', 'fsck'], { env, cwd: clone })).toMatchObject({ code: 0 });
    const restored = path.join(stack.directory, 'restored');
    await mkdir(restored);
    await mustRun('sh', ['.gateway/restore.sh', restored], { env, cwd: clone });
    expect(await readdir(restored)).toEqual(['docker']);
    const plain = await startRegistry({
      directory: path.join(stack.directory, 'registry-fs'),
      filesystemRoot: restored,
    });
    try {
      expect(await pulled(plain.address, 'team/app:v1')).toBe(image.manifestDigest);
      expect(await pulled(plain.address, 'team/app:v2')).toBe(image.manifestDigest);
    } finally {
      await plain.stop();
    }
    expect(await stack.gateway.plainCli('verify-clone', clone)).toMatchObject({ code: 0 });
  });

  test('deleted images are collected by the registry, and can be pushed again', async () => {
    const gone = await makeImage(path.join(stack.directory, 'gone'), [100_000, 200_000]);
    expect(await push(gone, registry.address, 'team/gone:v1')).toMatchObject({ code: 0 });
    const deleted = await api(`team/gone/manifests/${gone.manifestDigest}`, { method: 'DELETE' });
    expect(deleted.status).toBe(202);
    const { AWS_CA_BUNDLE: _, ...env } = process.env;
    const collected = await run('docker-registry', ['garbage-collect', registry.configFile], { env });
    expect(collected).toMatchObject({ code: 0 });
    expect(collected.stdout + collected.stderr).toMatch(/eligible for deletion/);
    // A new process: the registry's own descriptor cache still names what was collected.
    registry = await stack.startRegistry();
    expect((await api(`team/gone/blobs/${gone.blobDigests[1]!}`)).status).toBe(404);
    expect(await push(gone, registry.address, 'team/gone:v2')).toMatchObject({ code: 0 });
    expect(await pulled(registry.address, 'team/gone:v2')).toBe(gone.manifestDigest);
  });
});
