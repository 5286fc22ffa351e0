/**
 * Builds the canonical request of SigV4 for S3: the path is taken as sent (no normalization, no second
 * encoding), query parameters are sorted by their encoded names.
 */
import type { RequestHeaders } from '../headers.js';
import { decodeComponent, type Query } from '../request-target.js';

export interface CanonicalInput {
  readonly method: string;
  readonly canonicalUri: string;
  readonly query: Query;
  readonly headers: RequestHeaders;
  readonly signedHeaders: readonly string[];
  /** Values that stand in the place of what was received (proxied-headers.ts). */
  readonly overrides?: ReadonlyMap<string, string>;
  readonly payloadHash: string;
}

/** RFC 3986: everything but the unreserved characters is percent-encoded, in upper-case hex. */
export function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Bytes one character each (latin1), as signers hash them. */
export function canonicalRequest(input: CanonicalInput): string {
  const headers = input.signedHeaders.map(
    (name) => `${name}:${canonicalValue(input.overrides?.get(name) ?? input.headers.raw(name) ?? '')}\n`,
  );
  return [
    input.method,
    input.canonicalUri,
    canonicalQuery(input.query),
    headers.join(''),
    input.signedHeaders.join(';'),
    input.payloadHash,
  ].join('\n');
}

/** AWS: "trim … and convert sequential spaces to a single space". */
function canonicalValue(raw: string): string {
  return raw.trim().replace(/[ \t]+/g, ' ');
}

function canonicalQuery(query: Query): string {
  return query.entries
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encodeRfc3986(name), encodeRfc3986(value)] as const)
    .sort(([an, av], [bn, bv]) => compare(an, bn) || compare(av, bv))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** What a signer may have signed for the path, and what a bare `+` of the path is then. */
export interface PathReading {
  readonly canonicalUri: string;
  readonly isPlusLiteral: boolean;
}

/**
 * Spellings of the path that a signer may have signed: as sent, and as AWS would encode the same key. Proxies
 * and HTTP libraries re-encode characters such as `+` or `(` after signing; both spellings name one key, so
 * accepting either gives an attacker nothing.
 *
 * A bare `+` is a blank to S3, which puts %20 into its canonical request (anomalizer/ngx_aws_auth#87 shows one): that is
 * tried first. A signature over %2B, or over the plus itself, is refused there; here it says that a plus is meant, since
 * what was signed names the key. So one signature never fits two keys.
 */
export function canonicalUris(rawPath: string): PathReading[] {
  const literal = [...new Set([rawPath, encodedPath(rawPath)])].map((canonicalUri) => ({
    canonicalUri,
    isPlusLiteral: true,
  }));
  if (!rawPath.includes('+')) return literal;
  return [{ canonicalUri: encodedPath(rawPath.replaceAll('+', ' ')), isPlusLiteral: false }, ...literal];
}

function encodedPath(path: string): string {
  return path
    .split('/')
    .map((part) => encodeRfc3986(decodeComponent(part)))
    .join('/');
}
