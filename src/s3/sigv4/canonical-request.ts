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

/**
 * Spellings of the path that a signer may have signed: as sent, and as AWS would encode the same key. Proxies
 * and HTTP libraries re-encode characters such as `+` or `(` after signing; both spellings name one key, so
 * accepting either gives an attacker nothing.
 */
export function canonicalUris(rawPath: string): string[] {
  const encoded = rawPath
    .split('/')
    .map((part) => encodeRfc3986(decodeComponent(part)))
    .join('/');
  return encoded === rawPath ? [rawPath] : [rawPath, encoded];
}
