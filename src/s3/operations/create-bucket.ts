/** CreateBucket. A bucket of the configuration is its own answer, so that clients which always create first go on. */
import { isBucketName } from '../../objects/bucket-names.js';
import { ObjectError } from '../../objects/errors.js';
import { BODY_HEADERS } from '../checksums.js';
import { S3Error } from '../errors.js';
import type { Operation, OperationAnswer } from '../operation.js';
import { readDocument } from '../request-body.js';
import type { Right } from '../sigv4/credentials.js';
import { parseDocument } from '../xml/read.js';

const DOCUMENT_BYTES_MAX = 64 * 1024;
const REGION = /^[a-z]{2}(?:-[a-z]+)+-\d$/;
/** AWS: the location constraint EU is eu-west-1. */
const REGION_OF_EU = 'eu-west-1';

export const createBucket: Operation = {
  name: 'CreateBucket',
  audited: 'bucket.create',
  target: 'bucket',
  // Who may create is no right on a bucket that is not there yet: looked at below.
  right: 'none',
  headers: [
    ...BODY_HEADERS,
    'x-amz-acl',
    'x-amz-bucket-namespace',
    'x-amz-bucket-object-lock-enabled',
    'x-amz-object-ownership',
  ],
  run: async ({ objects, bucket, region, headers, identity, context, body }) => {
    const { credential, accessKeyId } = identity;
    const right = credential.rights(bucket);
    const mayCreate = credential.mayCreateBuckets === true;
    if (!mayCreate && right !== 'write') throw notAllowed();
    // AWS: the document may be left out, and so may its length.
    const hasBody = headers.has('content-length') || headers.has('transfer-encoding');
    checkLocation(hasBody ? await readDocument(body(), DOCUMENT_BYTES_MAX) : new Uint8Array(0), region);
    if (!isBucketName(bucket))
      throw new S3Error('InvalidBucketName', undefined, { fields: { BucketName: bucket } });
    try {
      if (mayCreate) await objects.createBucket(bucket, accessKeyId, context);
      else await objects.headBucket(bucket);
    } catch (error) {
      if (!(error instanceof ObjectError)) throw error;
      if (error.code === 'bucket-already-exists') return existing(bucket, right, region);
      throw error.code === 'no-such-bucket' ? notAllowed() : error;
    }
    return mayCreate ? created(bucket) : existing(bucket, right, region);
  },
};

const notAllowed = (): S3Error =>
  new S3Error(
    'AccessDenied',
    'This access key may not create buckets: see create_buckets of access_keys in the configuration.',
  );

const created = (bucket: string): OperationAnswer => ({ status: 200, headers: { Location: `/${bucket}` } });

/** AWS: "in us-east-1 … Amazon S3 returns 200 OK" to whoever owns the bucket; anywhere else it is a conflict. */
function existing(bucket: string, right: Right, region: string): OperationAnswer {
  const fields = { BucketName: bucket };
  if (right === 'none') throw new S3Error('BucketAlreadyExists', undefined, { fields });
  if (region === 'us-east-1') return created(bucket);
  throw new S3Error('BucketAlreadyOwnedByYou', undefined, { fields });
}

/**
 * There is one region here. Without a constraint it is meant in us-east-1 only (AWS CreateBucket); its own name is
 * taken everywhere.
 * @throws S3Error MalformedXML, NotImplemented, InvalidLocationConstraint, IllegalLocationConstraintException
 */
function checkLocation(bytes: Uint8Array, region: string): void {
  const root =
    Buffer.from(bytes).toString('latin1').trim() === ''
      ? undefined
      : parseDocument(bytes, 'CreateBucketConfiguration');
  for (const name of ['Bucket', 'Location', 'Tags'])
    if (root?.child(name))
      throw new S3Error('NotImplemented', `${name} of CreateBucketConfiguration is not implemented.`);
  const given = root?.childText('LocationConstraint')?.trim() ?? '';
  const meant = given === 'EU' ? REGION_OF_EU : given === '' ? 'us-east-1' : given;
  if (meant === region) return;
  if (given !== '' && !REGION.test(meant))
    throw new S3Error('InvalidLocationConstraint', undefined, { fields: { LocationConstraint: given } });
  throw new S3Error(
    'IllegalLocationConstraintException',
    `The ${given === '' ? 'unspecified' : given} location constraint is incompatible for the region specific endpoint this request was sent to.`,
  );
}
