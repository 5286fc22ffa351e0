/**
 * Which request is which operation: one table, read from top to bottom, first match wins. What the operation does
 * not declare is then refused (declared.ts), so that no sub-resource is taken for another operation, known to this
 * table or not. Operations of S3 that are not implemented stand in it too, but only for their names in the answer
 * and in docs/s3-compatibility.md; a test compares the two.
 */
import { checkDeclared } from './declared.js';
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import type { Operation } from './operation.js';
import { abortMultipartUpload } from './operations/abort-multipart-upload.js';
import * as settings from './operations/sub-resources.js';
import { completeMultipartUpload } from './operations/complete-multipart-upload.js';
import { copyObject } from './operations/copy-object.js';
import { createBucket } from './operations/create-bucket.js';
import { createMultipartUpload } from './operations/create-multipart-upload.js';
import { deleteBucket } from './operations/delete-bucket.js';
import { deleteObject } from './operations/delete-object.js';
import { deleteObjects } from './operations/delete-objects.js';
import { getBucketLocation } from './operations/get-bucket-location.js';
import { getObjectAttributes } from './operations/get-object-attributes.js';
import { getObject } from './operations/get-object.js';
import { headBucket } from './operations/head-bucket.js';
import { headObject } from './operations/head-object.js';
import { listBuckets } from './operations/list-buckets.js';
import { listMultipartUploads } from './operations/list-multipart-uploads.js';
import { listObjectVersions } from './operations/list-object-versions.js';
import { listObjectsV2 } from './operations/list-objects-v2.js';
import { listObjects } from './operations/list-objects.js';
import { listParts } from './operations/list-parts.js';
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './operations/object-tagging.js';
import { postObject } from './operations/post-object.js';
import { putObject } from './operations/put-object.js';
import { uploadPartCopy } from './operations/upload-part-copy.js';
import { uploadPart } from './operations/upload-part.js';
import type { Query } from './request-target.js';

type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
type Target = Operation['target'];

export interface Route {
  readonly method: Method;
  readonly target: Target;
  /** Query parameter that must be there, `name` or `name=value`; '' for a request without sub-resource. */
  readonly when: string;
  /** Header that must be there. */
  readonly header?: string;
  readonly name: string;
  /** undefined: 501. */
  readonly operation: Operation | undefined;
}

const does = (method: Method, when: string, operation: Operation, header?: string): Route => ({
  method,
  target: operation.target,
  when,
  name: operation.name,
  operation,
  ...(header === undefined ? {} : { header }),
});

const lacks = (method: Method, target: Target, when: string, name: string): Route => ({
  method,
  target,
  when,
  name,
  operation: undefined,
});

/** Sub-resources whose settings cannot be changed, or not even be asked for. */
const WRITES_OF_SETTINGS: readonly (readonly [when: string, put: string, del?: string])[] = [
  ['accelerate', 'PutBucketAccelerateConfiguration'],
  ['acl', 'PutBucketAcl'],
  ['cors', 'PutBucketCors', 'DeleteBucketCors'],
  ['encryption', 'PutBucketEncryption', 'DeleteBucketEncryption'],
  ['lifecycle', 'PutBucketLifecycleConfiguration', 'DeleteBucketLifecycle'],
  ['logging', 'PutBucketLogging'],
  ['notification', 'PutBucketNotificationConfiguration'],
  ['object-lock', 'PutObjectLockConfiguration'],
  ['ownershipControls', 'PutBucketOwnershipControls', 'DeleteBucketOwnershipControls'],
  ['policy', 'PutBucketPolicy', 'DeleteBucketPolicy'],
  ['publicAccessBlock', 'PutPublicAccessBlock', 'DeletePublicAccessBlock'],
  ['replication', 'PutBucketReplication', 'DeleteBucketReplication'],
  ['requestPayment', 'PutBucketRequestPayment'],
  ['tagging', 'PutBucketTagging', 'DeleteBucketTagging'],
  ['versioning', 'PutBucketVersioning'],
  ['website', 'PutBucketWebsite', 'DeleteBucketWebsite'],
];

export const ROUTES: readonly Route[] = [
  does('GET', '', listBuckets),

  does('HEAD', '', headBucket),
  does('GET', 'list-type=2', listObjectsV2),
  does('GET', 'uploads', listMultipartUploads),
  does('GET', 'location', getBucketLocation),
  does('GET', 'versioning', settings.getBucketVersioning),
  does('GET', 'acl', settings.getBucketAcl),
  does('GET', 'policyStatus', settings.getBucketPolicyStatus),
  does('GET', 'policy', settings.getBucketPolicy),
  does('GET', 'cors', settings.getBucketCors),
  does('GET', 'lifecycle', settings.getBucketLifecycle),
  does('GET', 'tagging', settings.getBucketTagging),
  does('GET', 'object-lock', settings.getObjectLock),
  does('GET', 'encryption', settings.getBucketEncryption),
  does('GET', 'logging', settings.getBucketLogging),
  does('GET', 'website', settings.getBucketWebsite),
  does('GET', 'replication', settings.getBucketReplication),
  does('GET', 'notification', settings.getBucketNotification),
  does('GET', 'accelerate', settings.getBucketAccelerate),
  does('GET', 'requestPayment', settings.getBucketRequestPayment),
  does('GET', 'ownershipControls', settings.getBucketOwnership),
  does('GET', 'publicAccessBlock', settings.getPublicAccessBlock),
  does('GET', 'versions', listObjectVersions),
  lacks('GET', 'bucket', 'analytics', 'GetBucketAnalyticsConfiguration'),
  lacks('GET', 'bucket', 'intelligent-tiering', 'GetBucketIntelligentTieringConfiguration'),
  lacks('GET', 'bucket', 'inventory', 'GetBucketInventoryConfiguration'),
  lacks('GET', 'bucket', 'metrics', 'GetBucketMetricsConfiguration'),
  lacks('GET', 'bucket', 'metadataTable', 'GetBucketMetadataTableConfiguration'),
  lacks('GET', 'bucket', 'session', 'CreateSession'),
  does('GET', '', listObjects),
  does('POST', 'delete', deleteObjects),
  does('POST', '', postObject),
  ...WRITES_OF_SETTINGS.map(([when, put]) => lacks('PUT', 'bucket', when, put)),
  ...WRITES_OF_SETTINGS.flatMap(([when, , del]) =>
    del === undefined ? [] : [lacks('DELETE', 'bucket', when, del)],
  ),
  does('PUT', '', createBucket),
  does('DELETE', '', deleteBucket),

  does('GET', 'uploadId', listParts),
  does('GET', 'attributes', getObjectAttributes),
  does('GET', 'tagging', getObjectTagging),
  does('GET', 'acl', settings.getObjectAcl),
  lacks('GET', 'object', 'torrent', 'GetObjectTorrent'),
  lacks('GET', 'object', 'legal-hold', 'GetObjectLegalHold'),
  lacks('GET', 'object', 'retention', 'GetObjectRetention'),
  does('GET', '', getObject),
  does('HEAD', '', headObject),
  does('PUT', 'uploadId', uploadPartCopy, 'x-amz-copy-source'),
  does('PUT', 'uploadId', uploadPart),
  does('PUT', 'tagging', putObjectTagging),
  lacks('PUT', 'object', 'acl', 'PutObjectAcl'),
  lacks('PUT', 'object', 'legal-hold', 'PutObjectLegalHold'),
  lacks('PUT', 'object', 'retention', 'PutObjectRetention'),
  lacks('PUT', 'object', 'renameObject', 'RenameObject'),
  lacks('PUT', 'object', 'encryption', 'UpdateObjectEncryption'),
  does('PUT', '', copyObject, 'x-amz-copy-source'),
  does('PUT', '', putObject),
  does('POST', 'uploads', createMultipartUpload),
  does('POST', 'uploadId', completeMultipartUpload),
  lacks('POST', 'object', 'restore', 'RestoreObject'),
  lacks('POST', 'object', 'select', 'SelectObjectContent'),
  does('DELETE', 'uploadId', abortMultipartUpload),
  does('DELETE', 'tagging', deleteObjectTagging),
  does('DELETE', '', deleteObject),
];

/**
 * Every sub-resource of S3. A request that has one and matches no route with a name of its own is not
 * implemented, whatever else it has.
 */
const SUBRESOURCES: ReadonlySet<string> = new Set(
  ROUTES.map((route) => route.when.split('=')[0]!).filter((name) => name !== '' && name !== 'list-type'),
);

/** The row of a request; undefined where it is nothing that S3 has. */
export function findRoute(
  method: string,
  target: Target,
  query: Query,
  headers: RequestHeaders,
): Route | undefined {
  return ROUTES.find(
    (r) =>
      r.method === method &&
      r.target === target &&
      matchesQuery(r.when, query) &&
      (r.header === undefined || headers.has(r.header)),
  );
}

/** @throws S3Error NotImplemented, AccessControlListNotSupported or MethodNotAllowed */
export function findOperation(
  method: string,
  target: Target,
  query: Query,
  headers: RequestHeaders,
): Operation {
  const route = findRoute(method, target, query, headers);
  if (route?.operation) {
    const { operation, when } = route;
    checkDeclared({ operation, method, subresource: when.split('=')[0]!, query, headers });
    return operation;
  }
  if (route) throw new S3Error('NotImplemented', `${route.name} is not implemented.`);
  const asked = query.entries.map(([name]) => name).find((name) => SUBRESOURCES.has(name));
  if (asked !== undefined)
    throw new S3Error('NotImplemented', `${method} of the sub-resource ${asked} is not implemented.`);
  throw new S3Error('MethodNotAllowed', undefined, {
    fields: { Method: method, ResourceType: target.toUpperCase() },
    headers: { Allow: methodsOf(target) },
  });
}

/** RFC 9110 §15.5.6: a 405 says which methods there are. */
function methodsOf(target: Target): string {
  const done = ROUTES.filter((route) => route.target === target && route.operation);
  return [...new Set(done.map((route) => route.method))].join(', ');
}

function matchesQuery(when: string, query: Query): boolean {
  if (when === '') return !query.entries.some(([name]) => SUBRESOURCES.has(name));
  const [name = '', value] = when.split('=');
  return value === undefined ? query.has(name) : query.get(name) === value;
}
