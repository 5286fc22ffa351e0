import { S3Error } from '../errors.js';
import type { Operation } from '../operation.js';

/** DeleteBucket: the bucket must be empty; unfinished multipart uploads go with it, as with S3. */
export const deleteBucket: Operation = {
  name: 'DeleteBucket',
  audited: 'bucket.delete',
  target: 'bucket',
  right: 'write',
  run: async ({ objects, bucket, identity, context }) => {
    if (identity.credential.mayCreateBuckets !== true) {
      await objects.headBucket(bucket);
      throw new S3Error(
        'AccessDenied',
        'This access key may not delete buckets: see create_buckets of access_keys in the configuration.',
      );
    }
    await objects.deleteBucket(bucket, context);
    return { status: 204 };
  },
};
