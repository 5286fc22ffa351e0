import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { mustRun, run, type RunResult } from './child.js';
import { PROGRAM_LIMIT_MS } from './time-limits.js';

export interface TestImage {
  readonly directory: string;
  readonly manifestDigest: string;
  readonly blobDigests: readonly string[];
}

/** A layer of random bytes, for images that share it. */
export function makeLayer(sizeBytes: number): Uint8Array {
  // Stored in gzip form: skopeo would compress what has no gzip header, and the digest would be another.
  return gzipSync(randomBytes(sizeBytes), { level: 0 });
}

/** Writes an OCI image layout. @param ofLayers each as it is, or the size of one of random bytes */
export async function makeImage(
  directory: string,
  ofLayers: readonly (number | Uint8Array)[],
): Promise<TestImage> {
  const blobs = path.join(directory, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const put = async (bytes: Uint8Array, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(path.join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const layers = [];
  for (const one of ofLayers) {
    const layer = typeof one === 'number' ? makeLayer(one) : one;
    layers.push(await put(layer, 'application/vnd.oci.image.layer.v1.tar+gzip'));
  }
  const config = await put(
    Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Labels: { nonce: randomBytes(8).toString('hex') } },
        rootfs: { type: 'layers', diff_ids: layers.map((l) => l.digest) },
      }),
    ),
    'application/vnd.oci.image.config.v1+json',
  );
  const manifest = await put(
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config,
        layers,
      }),
    ),
    'application/vnd.oci.image.manifest.v1+json',
  );
  await writeFile(path.join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(
    path.join(directory, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } }],
    }),
  );
  return {
    directory,
    manifestDigest: manifest.digest,
    blobDigests: [config.digest, ...layers.map((l) => l.digest)],
  };
}

/** `skopeo copy` of an image to a plain-http registry; the caller looks at the exit code. */
export function push(
  image: TestImage,
  registry: string,
  name: string,
  timeoutMs = PROGRAM_LIMIT_MS,
): Promise<RunResult> {
  return run(
    'skopeo',
    [
      'copy',
      '--insecure-policy',
      '--dest-tls-verify=false',
      `oci:${image.directory}:latest`,
      `docker://${registry}/${name}`,
    ],
    { timeoutMs },
  );
}

/** Pulls an image whole into a directory and returns its manifest digest; blobs are checked by skopeo. */
export async function pull(registry: string, name: string, directory: string): Promise<string> {
  await mustRun('skopeo', [
    'copy',
    '--insecure-policy',
    '--src-tls-verify=false',
    `docker://${registry}/${name}`,
    `dir:${directory}`,
  ]);
  const { readFile } = await import('node:fs/promises');
  const manifest = await readFile(path.join(directory, 'manifest.json'));
  return `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
}
