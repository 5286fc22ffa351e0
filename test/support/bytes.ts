import { createCipheriv, createHash } from 'node:crypto';

/**
 * Bytes that no compression, and no hole in a file, makes shorter; the same for the same seed, and a prefix of those
 * of a greater length. The keystream of a cipher: megabytes take a millisecond, where a loop over bytes takes more time
 * than what is tested.
 */
export function seededBytes(seed: string | number, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(`${seed}`).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

/** The bytes in runs, each of which is overwritten when the next one is asked for: it was only lent. */
export async function* lentRuns(bytes: Uint8Array, runBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += runBytes) {
    const run = Buffer.from(bytes.subarray(at, at + runBytes));
    yield run;
    run.fill(0xee);
  }
}
