/**
 * The read-only answers to questions about a bucket's settings: what S3 says of a bucket that has none. Tools
 * ask them before they do anything (Terraform, mc, rclone), and stop at a 501.
 */
import { corsDocument } from '../cors.js';
import { S3Error, type S3ErrorCode } from '../errors.js';
import { checkVersion, xmlAnswer, type Operation } from '../operation.js';
import { OWNER } from '../xml/listing.js';
import { document, element, type Xml } from '../xml/write.js';

const fixed = (name: string, root: string, content: readonly Xml[] = []): Operation => ({
  name,
  target: 'bucket',
  right: 'read',
  run: async ({ objects, bucket }) => {
    await objects.headBucket(bucket);
    return xmlAnswer(document(root, content));
  },
});

const absent = (name: string, code: S3ErrorCode): Operation => ({
  name,
  target: 'bucket',
  right: 'read',
  run: async ({ objects, bucket }) => {
    await objects.headBucket(bucket);
    throw new S3Error(code, undefined, { fields: { BucketName: bucket } });
  },
});

const grant = (type: string, grantee: string, permission: string): Xml =>
  `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}">${grantee}</Grantee><Permission>${permission}</Permission></Grant>` as Xml;

const OWNER_GRANT = grant('CanonicalUser', OWNER.join(''), 'FULL_CONTROL');
/** What S3 lists for the canned ACL public-read. */
const PUBLIC_GRANT = grant('Group', '<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>', 'READ');

/** The owner may do everything; everybody may read what is public; nobody else is listed. */
function accessControl(isPublic: boolean): string {
  return document('AccessControlPolicy', [
    element('Owner', OWNER),
    element('AccessControlList', isPublic ? [OWNER_GRANT, PUBLIC_GRANT] : [OWNER_GRANT]),
  ]);
}

export const getBucketAcl: Operation = {
  name: 'GetBucketAcl',
  target: 'bucket',
  right: 'read',
  run: async ({ objects, settings, bucket }) => {
    await objects.headBucket(bucket);
    return xmlAnswer(accessControl(settings.isPublicRead(bucket)));
  },
};

export const getBucketCors: Operation = {
  name: 'GetBucketCors',
  target: 'bucket',
  right: 'read',
  run: async ({ objects, settings, bucket }) => {
    await objects.headBucket(bucket);
    const rules = settings.corsRules(bucket);
    if (rules.length === 0)
      throw new S3Error('NoSuchCORSConfiguration', undefined, { fields: { BucketName: bucket } });
    return xmlAnswer(corsDocument(rules));
  },
};

/** A public bucket is as one with a public policy, although the policy itself stands in the configuration. */
export const getBucketPolicyStatus: Operation = {
  name: 'GetBucketPolicyStatus',
  target: 'bucket',
  right: 'read',
  run: async ({ objects, settings, bucket }) => {
    await objects.headBucket(bucket);
    if (!settings.isPublicRead(bucket))
      throw new S3Error('NoSuchBucketPolicy', undefined, { fields: { BucketName: bucket } });
    return xmlAnswer(document('PolicyStatus', [element('IsPublic', true)]));
  },
};

export const getBucketVersioning = fixed('GetBucketVersioning', 'VersioningConfiguration');
export const getBucketLogging = fixed('GetBucketLogging', 'BucketLoggingStatus');
export const getBucketNotification = fixed('GetBucketNotificationConfiguration', 'NotificationConfiguration');
export const getBucketAccelerate = fixed('GetBucketAccelerateConfiguration', 'AccelerateConfiguration');
export const getBucketRequestPayment = fixed('GetBucketRequestPayment', 'RequestPaymentConfiguration', [
  element('Payer', 'BucketOwner'),
]);
export const getBucketPolicy = absent('GetBucketPolicy', 'NoSuchBucketPolicy');
export const getBucketLifecycle = absent('GetBucketLifecycleConfiguration', 'NoSuchLifecycleConfiguration');
export const getBucketTagging = absent('GetBucketTagging', 'NoSuchTagSet');
export const getObjectLock = absent('GetObjectLockConfiguration', 'ObjectLockConfigurationNotFoundError');
export const getBucketEncryption = absent(
  'GetBucketEncryption',
  'ServerSideEncryptionConfigurationNotFoundError',
);
export const getBucketWebsite = absent('GetBucketWebsite', 'NoSuchWebsiteConfiguration');
export const getBucketReplication = absent('GetBucketReplication', 'ReplicationConfigurationNotFoundError');
export const getBucketOwnership = absent('GetBucketOwnershipControls', 'OwnershipControlsNotFoundError');
export const getPublicAccessBlock = absent('GetPublicAccessBlock', 'NoSuchPublicAccessBlockConfiguration');

export const getObjectAcl: Operation = {
  name: 'GetObjectAcl',
  target: 'object',
  right: 'read',
  parameters: ['versionId'],
  run: async ({ objects, settings, bucket, key, query, context }) => {
    checkVersion(query);
    await objects.headObject(bucket, key, { conditions: {} }, context);
    return xmlAnswer(accessControl(settings.isPublicRead(bucket)));
  },
};
