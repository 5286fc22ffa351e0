import type { ChecksumAlgorithm, StoredChecksum } from '../../objects/api.js';
import { defaultChecksumType } from '../../objects/multipart-checksum.js';
import { CHECKSUM_NAMES, readAlgorithm, readChecksumType } from '../checksums.js';
import { S3Error } from '../errors.js';
import { metaOf, OBJECT_HEADERS } from '../object-headers.js';
import { xmlAnswer, type Operation } from '../operation.js';
import { document, element } from '../xml/write.js';

/** AWS "Checking object integrity", table "Full object and composite checksum types". */
function checkPair(algorithm: ChecksumAlgorithm | undefined, type: StoredChecksum['type'] | undefined): void {
  if (!type) return;
  if (!algorithm)
    throw new S3Error(
      'InvalidRequest',
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    );
  const isCrc = algorithm.startsWith('CRC');
  if (type === 'FULL_OBJECT' ? !isCrc : algorithm === 'CRC64NVME')
    throw new S3Error(
      'InvalidRequest',
      `The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
    );
}

export const createMultipartUpload: Operation = {
  name: 'CreateMultipartUpload',
  audited: 'unseen',
  target: 'object',
  right: 'write',
  headers: [...OBJECT_HEADERS, ...CHECKSUM_NAMES],
  run: async ({ objects, bucket, key, headers, context }) => {
    const checksumAlgorithm = readAlgorithm(headers.get('x-amz-checksum-algorithm'));
    const asked = readChecksumType(headers.get('x-amz-checksum-type'));
    checkPair(checksumAlgorithm, asked);
    const checksumType = asked ?? (checksumAlgorithm && defaultChecksumType(checksumAlgorithm));
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
