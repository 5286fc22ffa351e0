import { readConditions } from '../conditions.js';
import { objectHeaders } from '../object-headers.js';
import { checkVersion, type Operation } from '../operation.js';
import { readRange } from './get-object.js';

export const headObject: Operation = {
  name: 'HeadObject',
  target: 'object',
  right: 'read',
  run: async (request) => {
    const { objects, bucket, key, query, headers, context } = request;
    checkVersion(query);
    const range = readRange(request);
    const result = await objects.headObject(
      bucket,
      key,
      { conditions: readConditions(headers), ...(range ? { range } : {}) },
      context,
    );
    return {
      status: range ? 206 : 200,
      headers: objectHeaders(result, {
        query,
        isRange: range !== undefined,
        wantsChecksum: headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED',
      }),
    };
  },
};
