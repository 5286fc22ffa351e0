import { createHash } from 'node:crypto';

/** The id git gives to a file with these bytes (SHA-1 repositories: gitformat-pack, "blob"). */
export function gitBlobId(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}
