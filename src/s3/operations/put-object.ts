import { BODY_HEADERS, CHECKSUM_NAMES, checksumHeaders, readChecksumType } from '../checksums.js';
import { WRITE_CONDITIONS, writeConditions } from '../conditions.js';
import { metaOf, OBJECT_HEADERS } from '../object-headers.js';
import type { Operation } from '../operation.js';

export const putObject: Operation = {
  name: 'PutObject',
  audited: 'object.put',
  target: 'object',
  right: 'write',
  headers: [...BODY_HEADERS, ...OBJECT_HEADERS, ...WRITE_CONDITIONS, ...CHECKSUM_NAMES],
  run: async ({ objects, bucket, key, headers, context, body }) => {
    readChecksumType(headers.get('x-amz-checksum-type'));
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
