/** What a client says of an upload beside its bytes, against what the upload was created for. */
import type { ChecksumAlgorithm, CompleteRequest } from './api.js';
import { ObjectError } from './errors.js';
import type { UploadRow } from './upload-table.js';

/**
 * AWS UploadPart: a part has the algorithm that its upload was created with. Without one, any is checked.
 * @throws ObjectError invalid-request
 */
export function checkAlgorithm(upload: UploadRow, algorithm: ChecksumAlgorithm | undefined): void {
  if (!algorithm || !upload.checksumAlgorithm || algorithm === upload.checksumAlgorithm) return;
  throw new ObjectError(
    'invalid-request',
    `Checksum Type mismatch occurred, expected checksum Type: ${upload.checksumAlgorithm.toLowerCase()}, actual checksum Type: ${algorithm.toLowerCase()}`,
  );
}

/**
 * AWS CompleteMultipartUpload: what the client says of the whole is right, or nothing is completed.
 * @throws ObjectError invalid-request; checksum-mismatch for another type than at Create: "it'll result in a BadDigest"
 */
export function checkPromises(upload: UploadRow, sizeBytes: number, request: CompleteRequest): void {
  const { objectSizeBytes, checksum, checksumType } = request;
  if (objectSizeBytes !== undefined && objectSizeBytes !== sizeBytes) {
    throw new ObjectError(
      'invalid-request',
      `The provided 'x-amz-mp-object-size' header value ${objectSizeBytes} does not match what was computed: ${sizeBytes}`,
    );
  }
  if (checksum && !upload.checksumAlgorithm) {
    throw new ObjectError(
      'invalid-request',
      'The upload was created without a checksum algorithm, so that a checksum of the whole cannot be checked.',
    );
  }
  checkAlgorithm(upload, checksum?.algorithm);
  if (checksumType && upload.checksumType && checksumType !== upload.checksumType) {
    throw new ObjectError(
      'checksum-mismatch',
      `The upload was created using the ${upload.checksumType} checksum mode. The complete request must use the same checksum mode.`,
    );
  }
}
