import { createHash, randomBytes } from 'node:crypto';

/** 192 bits: nobody guesses it, and it fits on a line. */
const SECRET_BYTES = 24;

/**
 * What a secret of ours begins with, so that one that turns up in a wrong place can be told for what it is, and so
 * that a docker password is never sent to Gitee as if it were a token.
 */
export const SECRET_PREFIXES = { dockerPassword: 'gdp_', robot: 'grs_', session: 'gst_' } as const;

export function newSecret(kind: keyof typeof SECRET_PREFIXES): string {
  return SECRET_PREFIXES[kind] + randomBytes(SECRET_BYTES).toString('base64url');
}

/** A short name for something that is kept, to be shown and typed. */
export function newId(): string {
  return randomBytes(6).toString('hex');
}

/** What stands for a secret of ours in the store: with 192 random bits a plain hash cannot be turned back. */
export function secretDigest(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
