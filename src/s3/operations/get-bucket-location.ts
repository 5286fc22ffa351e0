import { xmlAnswer, type Operation } from '../operation.js';
import { document } from '../xml/write.js';

/** AWS: "Buckets in Region us-east-1 have a LocationConstraint of null." */
export const getBucketLocation: Operation = {
  name: 'GetBucketLocation',
  target: 'bucket',
  right: 'read',
  run: async ({ objects, bucket, region }) => {
    await objects.headBucket(bucket);
    return xmlAnswer(document('LocationConstraint', region === 'us-east-1' ? '' : region));
  },
};
