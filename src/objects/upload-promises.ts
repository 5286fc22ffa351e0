/** What a client says of an upload beside its bytes, against what the upload was created for. */
import type { Upload, UploadedPart } from '../journal/upload-store.js';
import type { ChecksumAlgorithm, CompletePart, CompleteRequest } from './api.js';
import { ObjectError } from './errors.js';

/** AWS "Amazon S3 multipart upload limits": all parts but the last. */
export const PART_MIN_BYTES = 5 * 1024 * 1024;

export type ListedPart = Omit<UploadedPart, 'extents'>;

/**
 * AWS UploadPart: a part has the algorithm that its upload was created with. Without one, any is checked.
 * A part of a composite upload comes with its checksum (seen on AWS: versity/versitygw#1342, floci-io/floci#3093).
 * @throws ObjectError invalid-request
 */
export function checkPartAlgorithm(upload: Upload, algorithm: ChecksumAlgorithm | undefined): void {
  if (algorithm || upload.checksumType === 'COMPOSITE') checkAlgorithm(upload, algorithm);
}

function checkAlgorithm(upload: Upload, algorithm: ChecksumAlgorithm | undefined): void {
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
function checkListedPart(upload: Upload, part: CompletePart, index: number): void {
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
 * The part that stands at this index of Complete's list. AWS CompleteMultipartUpload: in order, each as it was sent.
 * @param row of its number, where there is one
 * @throws ObjectError invalid-part-order, invalid-part, invalid-request
 */
export function chosenPart<P extends ListedPart>(
  upload: Upload,
  wanted: readonly CompletePart[],
  index: number,
  row: P | undefined,
): P {
  const part = wanted[index]!;
  if (index > 0 && part.partNumber <= wanted[index - 1]!.partNumber) {
    throw new ObjectError('invalid-part-order', 'the list of parts was not in ascending order of number');
  }
  const fields = { partNumber: part.partNumber, etag: part.etag, uploadId: upload.uploadId };
  if (!row || row.etag !== part.etag) {
    throw new ObjectError(
      'invalid-part',
      'one or more of the parts could not be found or have another ETag',
      { fields },
    );
  }
  const { checksum } = part;
  if (checksum && (row.checksum?.algorithm !== checksum.algorithm || row.checksum.value !== checksum.value)) {
    throw new ObjectError('invalid-part', `the checksum of part ${part.partNumber} is another one`, {
      fields,
    });
  }
  checkListedPart(upload, part, index);
  return row;
}

/** @throws ObjectError part-too-small */
export function checkPartSizes(chosen: readonly ListedPart[], minimumBytes = PART_MIN_BYTES): void {
  for (const { etag, partNumber, sizeBytes } of chosen.slice(0, -1)) {
    if (sizeBytes >= minimumBytes) continue;
    throw new ObjectError('part-too-small', `part ${partNumber} is below 5 MiB and not the last one`, {
      fields: { partNumber, etag, sizeBytes, minimumBytes },
    });
  }
}

/**
 * AWS CompleteMultipartUpload: what the client says of the whole is right, or nothing is completed.
 * @throws ObjectError invalid-request; checksum-mismatch for another type than at Create: "it'll result in a BadDigest"
 */
export function checkPromises(upload: Upload, sizeBytes: number, request: CompleteRequest): void {
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
