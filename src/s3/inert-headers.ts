/**
 * Headers by which nothing is done here, since there is one owner, one kind of encryption and no ACL. They are taken
 * with a value that says what is so already; any other is refused: whoever sends `x-amz-acl: private` to a bucket
 * that everybody may read must not believe that it was heeded.
 */
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import { OWNER_ID } from './xml/listing.js';

/** What they say where they say what is so; `*` in docs/s3-compatibility.md. */
const SO_ALREADY: Readonly<Record<string, readonly string[]>> = {
  'x-amz-server-side-encryption': ['AES256'],
  'x-amz-object-ownership': ['BucketOwnerEnforced'],
  'x-amz-bucket-namespace': ['global'],
  // No object is archived, so none has a restore status.
  'x-amz-optional-object-attributes': ['RestoreStatus'],
};

/** Canned ACLs of S3, each with whether it is so already of a private and of a public bucket. */
const CANNED_ACLS: Readonly<Record<string, { readonly private: boolean; readonly public: boolean }>> = {
  // AWS "Controlling ownership of objects": where ACLs are off, this one is still accepted.
  'bucket-owner-full-control': { private: true, public: true },
  private: { private: true, public: false },
  // The owner of the bucket owns its objects.
  'bucket-owner-read': { private: true, public: false },
  'public-read': { private: false, public: true },
  'public-read-write': { private: false, public: false },
  'authenticated-read': { private: false, public: false },
  'aws-exec-read': { private: false, public: false },
  'log-delivery-write': { private: false, public: false },
};

/**
 * @param isPublic everybody may read the bucket
 * @throws S3Error NotImplemented, AccessControlListNotSupported, InvalidArgument, and AccessDenied where the bucket
 *   is to be somebody else's
 */
export function checkInert(headers: RequestHeaders, isPublic: boolean): void {
  checkOwner(headers.get('x-amz-expected-bucket-owner'));
  for (const [name, values] of Object.entries(SO_ALREADY)) {
    const value = headers.get(name);
    if (value !== undefined && !values.includes(value))
      throw new S3Error('NotImplemented', `${name} may only be ${values.join(' or ')}.`, {
        fields: { Header: name },
      });
  }
  if (headers.get('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true')
    throw new S3Error('NotImplemented', 'Object lock is not implemented (x-amz-bucket-object-lock-enabled).');
  checkAcl(headers.get('x-amz-acl'), isPublic);
}

function checkAcl(acl: string | undefined, isPublic: boolean): void {
  if (acl === undefined || acl === '') return;
  const canned = Object.hasOwn(CANNED_ACLS, acl) ? CANNED_ACLS[acl] : undefined;
  if (!canned)
    throw new S3Error('InvalidArgument', undefined, {
      fields: { ArgumentName: 'x-amz-acl', ArgumentValue: acl },
    });
  if (canned[isPublic ? 'public' : 'private']) return;
  throw new S3Error(
    'AccessControlListNotSupported',
    `The bucket does not allow ACLs: ${isPublic ? 'everybody may read it' : 'only access keys may read it'}, which ${acl} cannot change.`,
  );
}

/**
 * x-amz-expected-bucket-owner and x-amz-source-expected-bucket-owner. AWS: "If the account ID that you provide does
 * not match the actual owner of the bucket, the request fails with the HTTP status code 403 Forbidden".
 * @throws S3Error AccessDenied
 */
export function checkOwner(expected: string | undefined): void {
  if (expected === undefined || expected === OWNER_ID) return;
  throw new S3Error(
    'AccessDenied',
    `The owner of every bucket here is ${OWNER_ID}, and not the expected one.`,
  );
}
