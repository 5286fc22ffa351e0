/**
 * Requests without a signature. Of a bucket that is configured public they may do what a bucket policy for
 * everybody with s3:GetObject, s3:ListBucket and s3:GetBucketLocation would allow, and nothing else; see
 * "Anonymous requests" in docs/s3-compatibility.md.
 */
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import type { Operation } from './operation.js';
import type { Query } from './request-target.js';
import type { Identity } from './sigv4/verify.js';

/** Who is nobody: no key, no rights, a body that nothing was promised of. */
export const ANONYMOUS: Identity = {
  accessKeyId: '',
  credential: { secret: '', rights: () => 'none' },
  payload: { kind: 'unsigned', signedHash: 'UNSIGNED-PAYLOAD' },
  signature: '',
  signing: {
    key: new Uint8Array(0),
    timestamp: '',
    scope: { date: '', region: '', service: '' },
  },
};

/** Of the three actions above; GetObjectTagging, GetObjectAttributes, ACLs and uploads have actions of their own. */
const PUBLIC_OPERATIONS: ReadonlySet<string> = new Set([
  'GetObject',
  'HeadObject',
  'ListObjects',
  'ListObjectsV2',
  'HeadBucket',
  'GetBucketLocation',
]);

/** Any of them is an attempt to sign, in Signature Version 4 or 2, however it is spelled. */
const SIGNING_PARAMETER =
  /^(x-amz-(algorithm|credential|date|expires|signature|signedheaders|security-token|content-sha256)|awsaccesskeyid|signature|expires)$/i;

/** True where nothing of the request tries to say who sent it. What tries, and fails, is refused. */
export function isUnsigned(headers: RequestHeaders, query: Query): boolean {
  return (
    !headers.has('authorization') &&
    !headers.has('x-amz-security-token') &&
    !query.entries.some(([name]) => SIGNING_PARAMETER.test(name))
  );
}

/**
 * The operation, where everybody may do it in a public bucket.
 * @throws S3Error AccessDenied; InvalidRequest where it would change the headers of the answer: AWS GetObject,
 *   "you must sign the request" for response-*, so that nobody can make a public object look like another.
 */
export function publicOperation(operation: Operation | undefined, query: Query): Operation {
  if (!operation || !PUBLIC_OPERATIONS.has(operation.name)) throw new S3Error('AccessDenied');
  if (operation.target === 'object' && query.entries.some(([name]) => name.startsWith('response-')))
    throw new S3Error(
      'InvalidRequest',
      'Request specific response headers cannot be used for anonymous GET requests.',
    );
  return operation;
}
