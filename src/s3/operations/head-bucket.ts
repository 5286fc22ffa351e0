import type { Operation } from '../operation.js';

export const headBucket: Operation = {
  name: 'HeadBucket',
  target: 'bucket',
  right: 'read',
  run: async ({ objects, bucket, region }) => {
    await objects.headBucket(bucket);
    return { status: 200, headers: { 'x-amz-bucket-region': region } };
  },
};
