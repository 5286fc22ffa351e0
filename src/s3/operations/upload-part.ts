import { checksumHeaders } from '../checksums.js';
import { refuseUnsupported } from '../object-headers.js';
import { readPartNumber, type Operation } from '../operation.js';

export const uploadPart: Operation = {
  name: 'UploadPart',
  target: 'object',
  right: 'write',
  run: async ({ objects, bucket, key, query, headers, context, body }) => {
    refuseUnsupported(headers);
    const partNumber = readPartNumber(query);
    const result = await objects.uploadPart(
      bucket,
      key,
      query.get('uploadId') ?? '',
      partNumber,
      body(),
      context,
    );
    return { status: 200, headers: { ETag: `"${result.etag}"`, ...checksumHeaders(result.checksum) } };
  },
};
