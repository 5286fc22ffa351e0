import { BODY_HEADERS, checksumHeader } from '../checksums.js';
import { readPartNumber, type Operation } from '../operation.js';

export const uploadPart: Operation = {
  name: 'UploadPart',
  audited: 'unseen',
  target: 'object',
  right: 'write',
  parameters: ['partNumber'],
  headers: [...BODY_HEADERS, 'x-amz-checksum-algorithm', 'x-amz-server-side-encryption'],
  run: async ({ objects, bucket, key, query, context, body }) => {
    const partNumber = readPartNumber(query);
    const result = await objects.uploadPart(
      bucket,
      key,
      query.get('uploadId') ?? '',
      partNumber,
      body(),
      context,
    );
    const { etag, checksum } = result;
    // Without x-amz-checksum-type: that is of an object, and a part is none yet.
    const sum = checksum ? { [checksumHeader(checksum.algorithm)]: checksum.value } : {};
    return { status: 200, headers: { ETag: `"${etag}"`, ...sum } };
  },
};
