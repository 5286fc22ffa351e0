import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** An image that every client takes: layers are tar files, one file of random bytes in each. */
export interface ClientImage {
  readonly manifest: Buffer;
  readonly manifestDigest: string;
  readonly configDigest: string;
  /** By digest: the configuration and the layers. */
  readonly blobs: ReadonlyMap<string, Buffer>;
}

const DOCKER = 'application/vnd.docker';
export const MANIFEST_TYPE = `${DOCKER}.distribution.manifest.v2+json`;
const BLOCK = 512;

/** In memory; for what a fake registry hands out, and for small pushes. */
export function makeClientImage(layerSizesBytes: readonly number[]): ClientImage {
  const blobs = new Map<string, Buffer>();
  const put = (bytes: Buffer, mediaType: string): Descriptor => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const diffIds: string[] = [];
  const layers = layerSizesBytes.map((size, index) => {
    const tar = layerTar(index, size);
    diffIds.push(digestOf(tar));
    return put(gzipSync(tar, { level: 0 }), `${DOCKER}.image.rootfs.diff.tar.gzip`);
  });
  const config = put(Buffer.from(configOf(diffIds)), `${DOCKER}.container.image.v1+json`);
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers }),
  );
  return { manifest, manifestDigest: digestOf(manifest), configDigest: config.digest, blobs };
}

/** What `docker save` writes and docker, podman, buildah, skopeo and ctr read; on disk, a layer at a time. */
export async function writeArchive(
  file: string,
  layerSizesBytes: readonly number[],
  name: string,
): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, '');
  const append = async (entry: string, bytes: Buffer) =>
    writeFile(file, tarEntry(entry, bytes), { flag: 'a' });
  const diffIds: string[] = [];
  const layers: string[] = [];
  for (const [index, size] of layerSizesBytes.entries()) {
    const tar = layerTar(index, size);
    const digest = digestOf(tar);
    diffIds.push(digest);
    layers.push(`${digest.slice(7)}/layer.tar`);
    await append(layers.at(-1)!, tar);
  }
  const config = Buffer.from(configOf(diffIds));
  const configName = `${digestOf(config).slice(7)}.json`;
  await append(configName, config);
  const manifest = [{ Config: configName, RepoTags: [name], Layers: layers }];
  await append('manifest.json', Buffer.from(JSON.stringify(manifest)));
  await writeFile(file, Buffer.alloc(2 * BLOCK), { flag: 'a' });
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function configOf(diffIds: readonly string[]): string {
  const created = '2026-01-01T00:00:00Z';
  return JSON.stringify({
    ...{ architecture: 'amd64', os: 'linux', created, config: { Cmd: ['/file-0'] } },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: diffIds.map(() => ({ created, created_by: 'test' })),
  });
}

function layerTar(index: number, size: number): Buffer {
  return Buffer.concat([tarEntry(`file-${index}`, randomBytes(size)), Buffer.alloc(2 * BLOCK)]);
}

/** One file of a ustar archive, its content padded to whole blocks. */
function tarEntry(name: string, content: Buffer): Buffer {
  const head = Buffer.alloc(BLOCK);
  head.write(name, 0, 100, 'utf8');
  head.write('0000644\0', 100);
  head.write('0000000\0', 108);
  head.write('0000000\0', 116);
  head.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  head.write('00000000000\0', 136);
  // The checksum counts its own field as spaces.
  head.write('        ', 148);
  head.write('0', 156);
  head.write('ustar\x0000', 257);
  let sum = 0;
  for (const byte of head) sum += byte;
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([head, content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}
