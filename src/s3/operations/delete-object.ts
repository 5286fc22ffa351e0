import { readConditions } from '../conditions.js';
import { checkVersion, type Operation } from '../operation.js';

export const deleteObject: Operation = {
  name: 'DeleteObject',
  target: 'object',
  right: 'write',
  run: async ({ objects, bucket, key, query, headers, context }) => {
    checkVersion(query);
    await objects.deleteObject(bucket, key, readConditions(headers), context);
    return { status: 204 };
  },
};
