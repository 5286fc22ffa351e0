/**
 * The key that signs tokens, with its certificate. Facts of the stock registry 2.x (libtrust): it takes ES256/384/512
 * and RS256/384/512 only, and an Ed25519 certificate in its bundle makes it panic at start, so nothing else is
 * accepted here either.
 */
import { createHash, createPrivateKey, sign, X509Certificate, type KeyObject } from 'node:crypto';

const RSA_BITS_MIN = 2048;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The key or the certificate cannot be used. The message is a sentence's end: "…must be …". */
export class SigningKeyError extends Error {
  override readonly name = 'SigningKeyError';

  constructor(
    readonly option: 'key_file' | 'certificate_file',
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

export class SigningKey {
  private constructor(
    private readonly key: KeyObject,
    readonly algorithm: 'ES256' | 'RS256',
    /** libtrust's id of the public key. */
    readonly keyId: string,
    /** Standard base64 of DER, leaf first (RFC 7515 §4.1.6). */
    readonly chain: readonly string[],
    /** When the certificate ends; the registry refuses every token after it. */
    readonly expiresMs: number,
  ) {}

  /** @throws SigningKeyError that names the file at fault */
  static read(keyPem: string, certificatePem: string, nowMs: number): SigningKey {
    const key = privateKey(keyPem);
    const algorithm = algorithmOf(key, 'key_file');
    const certificates = chainOf(certificatePem);
    const [leaf] = certificates as [X509Certificate];
    algorithmOf(leaf.publicKey, 'certificate_file');
    if (!leaf.checkPrivateKey(key))
      throw new SigningKeyError('certificate_file', 'is the certificate of another key than auth.key_file');
    for (const certificate of certificates) checkTime(certificate, nowMs);
    return new SigningKey(
      key,
      algorithm,
      libtrustKeyId(leaf.publicKey),
      certificates.map((certificate) => certificate.raw.toString('base64')),
      Math.min(...certificates.map((certificate) => Date.parse(certificate.validTo))),
    );
  }

  /** A JWS in compact form over the claims (RFC 7515). */
  sign(claims: Readonly<Record<string, unknown>>): string {
    const header = { typ: 'JWT', alg: this.algorithm, kid: this.keyId, x5c: this.chain };
    const text = `${encoded(header)}.${encoded(claims)}`;
    // RFC 7518 §3.4: R and S side by side, not the DER that openssl makes.
    const signature = sign('sha256', Buffer.from(text), { key: this.key, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  }
}

/** `base32(SHA-256(SubjectPublicKeyInfo)[0..29])` in groups of four. */
export function libtrustKeyId(publicKey: KeyObject): string {
  const digest = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 30);
  let bits = '';
  for (const byte of digest) bits += byte.toString(2).padStart(8, '0');
  const characters = (bits.match(/.{5}/g) ?? []).map((group) => BASE32[parseInt(group, 2)]).join('');
  return (characters.match(/.{4}/g) ?? []).join(':');
}

function privateKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new SigningKeyError('key_file', 'must be a PEM file with a private key without a password', {
      cause: error,
    });
  }
}

function algorithmOf(key: KeyObject, option: 'key_file' | 'certificate_file'): 'ES256' | 'RS256' {
  const type = key.asymmetricKeyType ?? 'unknown';
  const details = key.asymmetricKeyDetails ?? {};
  if (type === 'ec' && details.namedCurve === 'prime256v1') return 'ES256';
  if (type === 'rsa' && (details.modulusLength ?? 0) >= RSA_BITS_MIN) return 'RS256';
  const found =
    type === 'ec'
      ? `the curve ${details.namedCurve}`
      : type === 'rsa'
        ? `RSA of ${details.modulusLength} bits`
        : type;
  const panic = type === 'ed25519' ? ', which makes registry 2.x end at start' : '';
  throw new SigningKeyError(
    option,
    `must have a key on the curve P-256, or RSA of ${RSA_BITS_MIN} bits and more, not ${found}${panic}`,
  );
}

function chainOf(pem: string): X509Certificate[] {
  const blocks = pem.match(PEM_CERTIFICATE) ?? [];
  try {
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw new SigningKeyError('certificate_file', 'holds a certificate that cannot be read', {
      cause: error,
    });
  }
  throw new SigningKeyError('certificate_file', 'must be a PEM file with a certificate');
}

function checkTime(certificate: X509Certificate, nowMs: number): void {
  const ends = Date.parse(certificate.validTo);
  if (nowMs >= ends)
    throw new SigningKeyError(
      'certificate_file',
      `has expired on ${new Date(ends).toISOString()}: make a new one (the registry needs it too)`,
    );
  const begins = Date.parse(certificate.validFrom);
  if (nowMs < begins)
    throw new SigningKeyError(
      'certificate_file',
      `holds from ${new Date(begins).toISOString()} on: is the clock of this machine right?`,
    );
}

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
