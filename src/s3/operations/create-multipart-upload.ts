import { readAlgorithm } from '../checksums.js';
import { S3Error } from '../errors.js';
import { metaOf } from '../object-headers.js';
import { xmlAnswer, type Operation } from '../operation.js';
import { document, element } from '../xml/write.js';

/** @throws S3Error InvalidRequest */
export function readChecksumType(text: string | undefined): 'FULL_OBJECT' | 'COMPOSITE' | undefined {
  if (text === undefined || text === 'FULL_OBJECT' || text === 'COMPOSITE') return text;
  throw new S3Error('InvalidRequest', 'Value for x-amz-checksum-type header is invalid.');
}

export const createMultipartUpload: Operation = {
  name: 'CreateMultipartUpload',
  target: 'object',
  right: 'write',
  run: async ({ objects, bucket, key, headers, context }) => {
    const checksumAlgorithm = readAlgorithm(headers.get('x-amz-checksum-algorithm'));
    const checksumType = readChecksumType(headers.get('x-amz-checksum-type'));
    if (checksumType && !checksumAlgorithm)
      throw new S3Error(
        'InvalidRequest',
        'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
      );
    const { uploadId } = await objects.createMultipartUpload(
      bucket,
      key,
      {
        meta: metaOf(headers),
        ...(checksumAlgorithm ? { checksumAlgorithm } : {}),
        ...(checksumType ? { checksumType } : {}),
      },
      context,
    );
    return xmlAnswer(
      document('InitiateMultipartUploadResult', [
        element('Bucket', bucket),
        element('Key', key),
        element('UploadId', uploadId),
      ]),
      {
        ...(checksumAlgorithm ? { 'x-amz-checksum-algorithm': checksumAlgorithm } : {}),
        ...(checksumType ? { 'x-amz-checksum-type': checksumType } : {}),
      },
    );
  },
};
