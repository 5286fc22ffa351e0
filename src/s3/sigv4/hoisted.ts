/**
 * Headers that a presigned link carries in its query. SDKs move every x-amz-* header there when they sign
 * ("hoisting"), and S3 takes such a parameter for the header: metadata, tags, storage class, copy source.
 */
import { CHECKSUM_ALGORITHMS, checksumHeader } from '../checksums.js';
import type { RequestHeaders } from '../headers.js';
import type { Query } from '../request-target.js';

/**
 * What stays in the query: the signature's own parameters, and checksums. S3 does not check a hoisted checksum
 * either: who signs the link does not have the bytes, and SDKs put the checksum of an empty body there.
 */
const STAYS: ReadonlySet<string> = new Set([
  ...['algorithm', 'credential', 'date', 'expires', 'signedheaders', 'signature'].map(
    (name) => `x-amz-${name}`,
  ),
  ...['x-amz-security-token', 'x-amz-content-sha256', 'x-amz-sdk-checksum-algorithm'],
  ...CHECKSUM_ALGORITHMS.map(checksumHeader),
]);

/** The headers of a request whose signature was found right; one that was sent wins over a parameter. */
export function headersMeant(headers: RequestHeaders, query: Query): RequestHeaders {
  if (!query.has('X-Amz-Signature')) return headers;
  const hoisted = query.entries
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => name.startsWith('x-amz-') && !STAYS.has(name) && !headers.has(name));
  return hoisted.length === 0 ? headers : headers.with(hoisted);
}
