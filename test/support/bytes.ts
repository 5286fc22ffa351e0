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
