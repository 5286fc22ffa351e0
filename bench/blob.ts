import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';

const BLOCK_BYTES = 1024 * 1024;

/** Incompressible bytes of any length, cheap to make: an AES-CTR key stream. */
function* blocks(totalBytes: number): Generator<Buffer> {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16));
  const zeros = Buffer.alloc(BLOCK_BYTES);
  for (let left = totalBytes; left > 0; left -= BLOCK_BYTES) {
    yield cipher.update(left >= BLOCK_BYTES ? zeros : zeros.subarray(0, left));
  }
}

/** Pushes one blob of random bytes as docker does (POST, one PATCH, PUT) and returns its digest. */
export async function pushBlob(registry: string, name: string, totalBytes: number): Promise<string> {
  const started = await fetch(`http://${registry}/v2/${name}/blobs/uploads/`, { method: 'POST' });
  const hash = createHash('sha256');
  const body = Readable.from(
    (function* () {
      for (const block of blocks(totalBytes)) {
        hash.update(block);
        yield block;
      }
    })(),
    { objectMode: false, highWaterMark: BLOCK_BYTES },
  );
  const patched = await fetch(started.headers.get('location')!, {
    method: 'PATCH',
    body: Readable.toWeb(body) as never,
    headers: { 'content-type': 'application/octet-stream' },
    duplex: 'half',
  } as never);
  if (patched.status !== 202) throw new Error(`PATCH answered ${patched.status}: ${await patched.text()}`);
  const digest = `sha256:${hash.digest('hex')}`;
  const done = await fetch(`${patched.headers.get('location')!}&digest=${digest}`, { method: 'PUT' });
  if (done.status !== 201) throw new Error(`PUT answered ${done.status}: ${await done.text()}`);
  return digest;
}
