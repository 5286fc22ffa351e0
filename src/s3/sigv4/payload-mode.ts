/** What x-amz-content-sha256 says of the body. */
import { S3Error } from '../errors.js';
import type { RequestHeaders } from '../headers.js';
import type { Query } from '../request-target.js';

export type PayloadMode =
  | { readonly kind: 'sha256'; readonly signedHash: string; readonly sha256Hex: string }
  | { readonly kind: 'unsigned'; readonly signedHash: string }
  | {
      readonly kind: 'chunked';
      readonly signedHash: string;
      readonly isSigned: boolean;
      readonly hasTrailer: boolean;
    };

const UNSIGNED = 'UNSIGNED-PAYLOAD';

/** @throws S3Error InvalidRequest, InvalidArgument, NotImplemented */
export function readPayloadMode(
  kind: 'header' | 'presigned',
  headers: RequestHeaders,
  query: Query,
): PayloadMode {
  const stated = headers.get('x-amz-content-sha256') ?? query.get('X-Amz-Content-Sha256');
  if (stated === undefined) {
    if (kind === 'presigned') return { kind: 'unsigned', signedHash: UNSIGNED };
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  }
  switch (stated) {
    case UNSIGNED:
      return { kind: 'unsigned', signedHash: stated };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { kind: 'chunked', signedHash: stated, isSigned: true, hasTrailer: false };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { kind: 'chunked', signedHash: stated, isSigned: true, hasTrailer: true };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { kind: 'chunked', signedHash: stated, isSigned: false, hasTrailer: true };
    default:
  }
  if (/^[0-9a-f]{64}$/.test(stated)) return { kind: 'sha256', signedHash: stated, sha256Hex: stated };
  if (stated.startsWith('STREAMING-'))
    throw new S3Error('NotImplemented', `x-amz-content-sha256: ${stated} is not implemented.`);
  throw new S3Error(
    'InvalidArgument',
    'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER or a valid sha256 value.',
    { fields: { ArgumentName: 'x-amz-content-sha256', ArgumentValue: stated } },
  );
}
