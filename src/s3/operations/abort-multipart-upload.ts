import type { Operation } from '../operation.js';

export const abortMultipartUpload: Operation = {
  name: 'AbortMultipartUpload',
  audited: 'unseen',
  target: 'object',
  right: 'write',
  run: async ({ objects, bucket, key, query, context }) => {
    await objects.abortMultipartUpload(bucket, key, query.get('uploadId') ?? '', context);
    return { status: 204 };
  },
};
