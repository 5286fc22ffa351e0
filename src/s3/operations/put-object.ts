import { checksumHeaders } from '../checksums.js';
import { writeConditions } from '../conditions.js';
import { metaOf } from '../object-headers.js';
import type { Operation } from '../operation.js';

export const putObject: Operation = {
  name: 'PutObject',
  target: 'object',
  right: 'write',
  run: async ({ objects, bucket, key, headers, context, body }) => {
    const result = await objects.putObject(
      bucket,
      key,
      body(),
      { meta: metaOf(headers), conditions: writeConditions(headers) },
      context,
    );
    return { status: 200, headers: { ETag: `"${result.etag}"`, ...checksumHeaders(result.checksum) } };
  },
};
