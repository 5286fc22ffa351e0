/**
 * The arithmetic of Signature Version 4. AWS: "Authenticating Requests: Using the Authorization Header",
 * "… Using Query Parameters", "… Signature Calculations for … Chunked Upload".
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

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

const EMPTY_SHA256 = createHash('sha256').digest('hex');

const hmac = (key: Uint8Array | string, data: string) =>
  createHmac('sha256', key).update(data, 'latin1').digest();

function scopeText(scope: CredentialScope): string {
  return `${scope.date}/${scope.region}/${scope.service}/aws4_request`;
}

/** The key of one day, region and service. */
export function deriveSigningKey(secret: string, scope: CredentialScope): Uint8Array {
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, scope.date), scope.region), scope.service), 'aws4_request');
}

/** What is signed of a request. `canonicalRequest` holds bytes, one character each. */
export function requestStringToSign(
  context: Pick<SigningContext, 'timestamp' | 'scope'>,
  canonicalRequest: string,
): string {
  return stringToSign(context, 'AWS4-HMAC-SHA256', [
    createHash('sha256').update(canonicalRequest, 'latin1').digest('hex'),
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
