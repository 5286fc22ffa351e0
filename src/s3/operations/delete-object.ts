import { readConditions } from '../conditions.js';
import { S3Error } from '../errors.js';
import { checkVersion, type Operation } from '../operation.js';

/** Conditions of directory buckets only: without them more would be deleted than was asked for. */
const NOT_DONE = ['x-amz-if-match-last-modified-time', 'x-amz-if-match-size'];

/**
 * DeleteObject: no error for what is not there, but with If-Match it is NoSuchKey (AWS "How to perform
 * conditional deletes").
 */
export const deleteObject: Operation = {
  name: 'DeleteObject',
  target: 'object',
  right: 'write',
  run: async ({ objects, bucket, key, query, headers, context }) => {
    checkVersion(query);
    for (const name of NOT_DONE)
      if (headers.has(name)) throw new S3Error('NotImplemented', `${name} is not implemented.`);
    await objects.deleteObject(bucket, key, readConditions(headers), context);
    return { status: 204 };
  },
};
