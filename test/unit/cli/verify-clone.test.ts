import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { verifyClone } from '../../../src/cli/verify/verify-clone.js';
import { toOid } from '../../../src/format/ids.js';
import { formatPointer } from '../../../src/format/lfs-pointer.js';

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

let clone: string;
beforeEach(async () => {
  clone = await mkdtemp(join(tmpdir(), 'clone-'));
  git('init', '-q', '-b', 'main');
  put('.gateway/format.json', '{"version":1}');
});
afterEach(() => rm(clone, { recursive: true }));

function git(...args: string[]): void {
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.invalid', '-c', 'commit.gpgsign=false'];
  execFileSync('git', [...identity, ...args], { cwd: clone, stdio: ['ignore', 'ignore', 'inherit'] });
}

function put(path: string, content: Uint8Array | string): void {
  mkdirSync(dirname(join(clone, path)), { recursive: true });
  writeFileSync(join(clone, path), content);
}

/** Commits a pointer and puts the object where git-lfs keeps it. */
function putLfs(path: string, bytes: Buffer): string {
  const oid = toOid(sha256(bytes));
  put(path, formatPointer({ oid, sizeBytes: bytes.length, volume: 0 }));
  put(lfsPath(oid), bytes);
  return oid;
}

const lfsPath = (oid: string) => `.git/lfs/objects/${oid.slice(0, 2)}/${oid.slice(2, 4)}/${oid}`;
const blobPath = (hex: string) => `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;

/** An image as a registry bucket has it: config, one layer of two chunks, manifest, links. Returns the digests. */
function putImage(root = ''): { layer: string; config: string; manifest: string; chunks: string[] } {
  const pieces = [Buffer.from('first half of a layer, '), Buffer.from('second half')];
  const layer = sha256(Buffer.concat(pieces));
  const chunks = pieces.map((piece, i) => putLfs(`${root}${blobPath(layer)}%chunks/00000${i}`, piece));
  const configBytes = Buffer.from('{"architecture":"amd64"}');
  const config = putLfs(root + blobPath(sha256(configBytes)), configBytes);
  const manifestBytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: { digest: `sha256:${config}` },
      layers: [{ digest: `sha256:${layer}` }],
    }),
  );
  const manifest = putLfs(root + blobPath(sha256(manifestBytes)), manifestBytes);
  const repository = `${root}docker/registry/v2/repositories/acme/app`;
  put(`${repository}/_layers/sha256/${layer}/link`, `sha256:${layer}`);
  put(`${repository}/_layers/sha256/${config}/link`, `sha256:${config}`);
  put(`${repository}/_manifests/revisions/sha256/${manifest}/link`, `sha256:${manifest}`);
  put(`${repository}/_manifests/tags/latest/current/link`, `sha256:${manifest}`);
  return { layer, config, manifest, chunks };
}

async function problems(): Promise<string[]> {
  git('add', '-A');
  git('commit', '-qm', 'x', '--allow-empty');
  const report = await verifyClone(clone);
  return report.buckets.flatMap((bucket) => bucket.problems);
}

test('a whole image has no problems, and its parts are counted', async () => {
  putImage('images/');
  put('notes.txt', 'an object of its own');
  expect(await problems()).toEqual([]);
  const [bucket] = (await verifyClone(clone)).buckets;
  expect(bucket!.figures).toMatchObject({
    pointers: 4,
    lfs_objects: 4,
    registry_blobs: 3,
    registry_links: 4,
    registry_manifests: 1,
    dangling_layer_links: 0,
  });
});

test('a missing LFS object is named with the path that needs it', async () => {
  const { config } = putImage();
  rmSync(join(clone, lfsPath(config)));
  expect(await problems()).toEqual([
    `${blobPath(config)} its LFS object ${config} is not here; run git lfs pull`,
  ]);
});

test('an LFS object of the right size with wrong bytes is found', async () => {
  const { chunks } = putImage();
  put(lfsPath(chunks[1]!), Buffer.from('sEcond half'));
  const found = await problems();
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(`LFS object ${chunks[1]} has other bytes`);
});

test('a chunk that is not there leaves a gap that is found', async () => {
  const { layer } = putImage();
  rmSync(join(clone, `${blobPath(layer)}%chunks/000000`));
  const found = await problems();
  expect(found[0]).toContain('stands where chunk 0 is due');
  expect(found[1]).toContain(`blob ${layer} has the bytes of`);
});

test('a tag that leads nowhere is a problem, a layer link that leads nowhere is not', async () => {
  const { manifest, layer } = putImage();
  rmSync(join(clone, blobPath(manifest)));
  rmSync(join(clone, `${blobPath(layer)}%chunks`), { recursive: true });
  const found = await problems();
  expect(found).toHaveLength(2);
  expect(found.every((text) => text.includes(`leads to sha256:${manifest}`))).toBe(true);
});

test('a manifest whose layer is gone is a problem', async () => {
  const { manifest, layer } = putImage();
  rmSync(join(clone, `${blobPath(layer)}%chunks`), { recursive: true });
  expect(await problems()).toEqual([`manifest sha256:${manifest} needs sha256:${layer}, which is not here`]);
});

test('several buckets in one repository are checked each by itself', async () => {
  git('rm', '-rfq', '--cached', '--ignore-unmatch', '.');
  rmSync(join(clone, '.gateway'), { recursive: true });
  for (const prefix of ['one/', 'two/']) {
    put(`${prefix}.gateway/format.json`, '{"version":1}');
    put(`${prefix}a`, prefix);
  }
  putLfs('two/big%chunks/000000', Buffer.from('generic'));
  expect(await problems()).toEqual([]);
  expect(
    (await verifyClone(clone)).buckets.map((bucket) => [bucket.prefix, bucket.figures.pointers]),
  ).toEqual([
    ['one/', 0],
    ['two/', 1],
  ]);
});

test('a directory that is no clone, and a clone that holds no bucket, are refused with a sentence', async () => {
  await expect(verifyClone(join(clone, '.gateway', 'absent'))).rejects.toThrow('is not a git clone');
  rmSync(join(clone, '.gateway'), { recursive: true });
  put('a', 'b');
  git('add', '-A');
  git('commit', '-qm', 'x');
  await expect(verifyClone(clone)).rejects.toThrow('holds no bucket');
});
