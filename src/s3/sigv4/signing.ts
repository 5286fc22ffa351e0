/**
 * The arithmetic of Signature Version 4. AWS: "Authenticating Requests: Using the Authorization Header",
 * "… Using Query Parameters", "… Signature Calculations for … Chunked Upload".
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto';

/** date/region/service/aws4_request of the Credential field. */
export interface CredentialScope {
  /** YYYYMMDD */
  readonly date: string;
  readonly region: string;
  readonly service: string;
}

/** Everything that a chunk signature needs of the request that carries it. */
export interface SigningContext {
  readonly key: Uint8Array;
  /** YYYYMMDDTHHMMSSZ */
  readonly timestamp: string;
  readonly scope: CredentialScope;
}

const EMPTY_SHA256 = hash('sha256', '', 'hex');

const hmac = (key: Uint8Array | string, data: string) =>
  createHmac('sha256', key).update(data, 'latin1').digest();

function scopeText(scope: CredentialScope): string {
  return `${scope.date}/${scope.region}/${scope.service}/aws4_request`;
}

/** The key of one day, region and service. */
export function deriveSigningKey(secret: string, scope: CredentialScope): Uint8Array {
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, scope.date), scope.region), scope.service), 'aws4_request');
}

/**
 * The signing key of each access key as it was last signed with: it stays for a day, and to derive it takes four of the
 * five HMACs that a request costs. Grows with the access keys only, since just those are told that sign rightly.
 */
export class SigningKeys {
  readonly #last = new Map<
    string,
    { readonly secret: string; readonly scope: string; readonly key: Uint8Array }
  >();

  /** A secret that was changed meanwhile has another key. */
  get(accessKeyId: string, secret: string, scope: CredentialScope): Uint8Array {
    const last = this.#last.get(accessKeyId);
    if (last && last.secret === secret && last.scope === scopeText(scope)) return last.key;
    return deriveSigningKey(secret, scope);
  }

  /** A request was signed rightly with this key. */
  keep(accessKeyId: string, secret: string, scope: CredentialScope, key: Uint8Array): void {
    if (this.#last.get(accessKeyId)?.key === key) return;
    this.#last.set(accessKeyId, { secret, scope: scopeText(scope), key });
  }
}

/** What is signed of a request. `canonicalRequest` holds bytes, one character each. */
export function requestStringToSign(
  context: Pick<SigningContext, 'timestamp' | 'scope'>,
  canonicalRequest: string,
): string {
  return stringToSign(context, 'AWS4-HMAC-SHA256', [
    hash('sha256', Buffer.from(canonicalRequest, 'latin1'), 'hex'),
  ]);
}

/** Signature of a request, hex. */
export function requestSignature(context: SigningContext, canonicalRequest: string): string {
  return hmac(context.key, requestStringToSign(context, canonicalRequest)).toString('hex');
}

/** Signature of the policy of a form, hex: over its base64 as it was sent. */
export function policySignature(key: Uint8Array, policyBase64: string): string {
  return createHmac('sha256', key).update(policyBase64, 'utf8').digest('hex');
}

/** Signature of one chunk of an aws-chunked body, hex. */
export function chunkSignature(context: SigningContext, previous: string, chunkSha256Hex: string): string {
  return sign(context, 'AWS4-HMAC-SHA256-PAYLOAD', [previous, EMPTY_SHA256, chunkSha256Hex]);
}

/** Signature of the trailer of an aws-chunked body, hex. */
export function trailerSignature(
  context: SigningContext,
  previous: string,
  trailerSha256Hex: string,
): string {
  return sign(context, 'AWS4-HMAC-SHA256-TRAILER', [previous, trailerSha256Hex]);
}

function sign(context: SigningContext, algorithm: string, lines: readonly string[]): string {
  return hmac(context.key, stringToSign(context, algorithm, lines)).toString('hex');
}

function stringToSign(
  { timestamp, scope }: Pick<SigningContext, 'timestamp' | 'scope'>,
  algorithm: string,
  lines: readonly string[],
): string {
  return [algorithm, timestamp, scopeText(scope), ...lines].join('\n');
}

/** Compares signatures in constant time; an attacker learns nothing of how many digits were right. */
export function sameSignature(a: string, b: string): boolean {
  const left = Buffer.from(a, 'latin1');
  const right = Buffer.from(b, 'latin1');
  return left.length === right.length && timingSafeEqual(left, right);
}
