/** Rules of the option group `auth`: only with a key that the registry takes can anybody log in. */
import { readFileSync } from 'node:fs';
import { parseEncryptionKey } from '../../auth/accounts/encryption-key.js';
import { SigningKey, SigningKeyError } from '../../auth/token/signing-key.js';
import type { Config } from './config.js';

const DAY_MS = 86_400_000;
const EXPIRY_WARNING_MS = 30 * DAY_MS;
const VERDICT_TTL_MS = { min: 60_000, max: 300_000 };

type Wrong = (name: string, message: string) => void;

export function checkAuth(config: Config, wrong: Wrong, warnings: string[]): void {
  const { auth } = config;
  if (!auth.enabled) return;
  checkSigningKey(auth.keyFile, auth.certificateFile, wrong, warnings);
  if (auth.encryptionKey === undefined)
    wrong('auth.encryption_key', 'must be set, itself or as auth.encryption_key_file: openssl rand -hex 32');
  else if (!parseEncryptionKey(auth.encryptionKey.reveal()))
    wrong('auth.encryption_key', 'must be 32 bytes as 64 hexadecimal digits or base64: openssl rand -hex 32');
  if (auth.verdictTtlMs < VERDICT_TTL_MS.min || auth.verdictTtlMs > VERDICT_TTL_MS.max)
    wrong('auth.verdict_ttl', 'must be from 60s to 300s');
  if (auth.verdictStaleMs < auth.verdictTtlMs)
    wrong('auth.verdict_stale', 'must not be under auth.verdict_ttl');
  if (auth.tokenTtlPushMs < auth.tokenTtlPullMs)
    wrong('auth.token_ttl_push', 'must not be under auth.token_ttl_pull');
  if (!config.buckets.some((bucket) => bucket.preset === 'registry'))
    wrong(
      'auth.enabled',
      'needs a bucket with preset registry: its repository decides about images that are not in auth.images',
    );
  for (const [i, { pattern }] of auth.images.entries()) {
    if (auth.images.slice(0, i).some((other) => other.pattern === pattern))
      wrong(`auth.images[${i}].pattern`, 'stands twice in the list');
  }
  if (auth.publicUrl?.startsWith('http:') && !/^http:\/\/(localhost|127\.|\[::1\])/.test(auth.publicUrl))
    warnings.push('auth.public_url is http: passwords cross the network in clear text; use https');
}

function checkSigningKey(
  keyFile: string | undefined,
  certificateFile: string | undefined,
  wrong: Wrong,
  warnings: string[],
): void {
  const keyPem = read('auth.key_file', keyFile, wrong);
  const certificatePem = read('auth.certificate_file', certificateFile, wrong);
  if (keyPem === undefined || certificatePem === undefined) return;
  try {
    const { expiresMs } = SigningKey.read(keyPem, certificatePem, Date.now());
    const leftMs = expiresMs - Date.now();
    if (leftMs < EXPIRY_WARNING_MS)
      warnings.push(
        `auth.certificate_file expires in ${Math.floor(leftMs / DAY_MS)} days: nobody can log in after that`,
      );
  } catch (error) {
    if (!(error instanceof SigningKeyError)) throw error;
    wrong(`auth.${error.option}`, error.message);
  }
}

function read(name: string, file: string | undefined, wrong: Wrong): string | undefined {
  if (file === undefined) {
    wrong(name, 'must be set where auth.enabled is true');
    return undefined;
  }
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // Reported with all other mistakes; the code says enough (ENOENT, EACCES, EISDIR).
    wrong(name, `cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'} ${file}`);
    return undefined;
  }
}
