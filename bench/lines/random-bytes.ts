import { createCipheriv, createHash } from 'node:crypto';

/** Bytes that no compression helps with, the same for the same seed: made twice instead of kept. */
export interface BlobSpec {
  readonly seed: string;
  readonly bytes: number;
}

/** Go's io.Copy, by which docker sends a layer, has pieces of this size. */
const PIECE_BYTES = 32 * 1024;
const ZEROS = Buffer.alloc(PIECE_BYTES);

export function* pieces(blob: BlobSpec): Generator<Buffer> {
  const key = createHash('sha256').update(blob.seed).digest();
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16));
  for (let left = blob.bytes; left > 0; left -= PIECE_BYTES) {
    yield cipher.update(left >= PIECE_BYTES ? ZEROS : ZEROS.subarray(0, left));
  }
}

const digests = new Map<string, string>();

/** Kept, so that a clock can start when all are known, as docker knows them from its store. */
export function digestOf(blob: BlobSpec): string {
  const key = `${blob.seed} ${blob.bytes}`;
  const known = digests.get(key) ?? computeDigest(blob);
  digests.set(key, known);
  return known;
}

function computeDigest(blob: BlobSpec): string {
  const hash = createHash('sha256');
  for (const piece of pieces(blob)) hash.update(piece);
  return `sha256:${hash.digest('hex')}`;
}
