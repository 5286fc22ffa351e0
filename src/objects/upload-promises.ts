/** What a client says of an upload beside its bytes, against what the upload was created for. */
import type { ChecksumAlgorithm, CompletePart, CompleteRequest } from './api.js';
import { ObjectError } from './errors.js';
import type { UploadRow } from './upload-table.js';

/**
 * AWS UploadPart: a part has the algorithm that its upload was created with. Without one, any is checked.
 * A part of a composite upload comes with its checksum (seen on AWS: versity/versitygw#1342, floci-io/floci#3093).
 * @throws ObjectError invalid-request
 */
export function checkPartAlgorithm(upload: UploadRow, algorithm: ChecksumAlgorithm | undefined): void {
  if (algorithm || upload.checksumType === 'COMPOSITE') checkAlgorithm(upload, algorithm);
}

function checkAlgorithm(upload: UploadRow, algorithm: ChecksumAlgorithm | undefined): void {
  if (!upload.checksumAlgorithm || algorithm === upload.checksumAlgorithm) return;
  throw new ObjectError(
    'invalid-request',
    `Checksum Type mismatch occurred, expected checksum Type: ${upload.checksumAlgorithm.toLowerCase()}, actual checksum Type: ${algorithm?.toLowerCase() ?? 'null'}`,
  );
}

/**
 * AWS CompletedPart: the parts of a composite upload are listed with their checksums (AWS's message is in
 * apache/opendal#4580) and with consecutive numbers from 1.
 * @param index of the part in the list.
 * @throws ObjectError invalid-request, invalid-part-order
 */
export function checkListedPart(upload: UploadRow, part: CompletePart, index: number): void {
  if (upload.checksumType !== 'COMPOSITE' || !upload.checksumAlgorithm) return;
  if (!part.checksum) {
    throw new ObjectError(
      'invalid-request',
      `The upload was created using a ${upload.checksumAlgorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${part.partNumber} in the request.`,
    );
  }
  if (part.partNumber !== index + 1) {
    throw new ObjectError(
      'invalid-part-order',
      'the parts of an upload with a composite checksum must be numbered from 1 without gaps',
    );
  }
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
  if (checksum) checkAlgorithm(upload, checksum.algorithm);
  if (checksumType && upload.checksumType && checksumType !== upload.checksumType) {
    throw new ObjectError(
      'checksum-mismatch',
      `The upload was created using the ${upload.checksumType} checksum mode. The complete request must use the same checksum mode.`,
    );
  }
}
