import { READ_HEADERS, READ_PARAMETERS, readObject } from '../object-read.js';
import type { Operation } from '../operation.js';

export const headObject: Operation = {
  name: 'HeadObject',
  target: 'object',
  right: 'read',
  parameters: READ_PARAMETERS,
  headers: READ_HEADERS,
  run: async (request) => {
    const { objects, bucket, key, context } = request;
    const { status, headers } = await readObject(request, (options) =>
      objects.headObject(bucket, key, options, context),
    );
    return { status, headers };
  },
};
