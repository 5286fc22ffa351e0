import type { Operation } from '../operation.js';

export const headBucket: Operation = {
  name: 'HeadBucket',
  target: 'bucket',
  right: 'read',
  // Its one header, x-amz-bucket-region, is the router's: it comes with refusals too.
  run: async ({ objects, bucket }) => {
    await objects.headBucket(bucket);
    return { status: 200 };
  },
};
