import { checksumElement } from '../checksums.js';
import { readCount, xmlAnswer, type Operation } from '../operation.js';
import { OWNER } from '../xml/listing.js';
import { document, element, isoTime, optional } from '../xml/write.js';

/** A page that was asked for holds at most this, as with S3. */
const ASKED_PARTS_MAX = 1000;
/**
 * registry before 2.8.2 reads one page only, and asks for no size: with S3's 1,000 no blob over 10 GB could be
 * committed (docs/facts/registry-driver.md §5). All parts that an upload may have fit.
 */
const UNASKED_PARTS_MAX = 10_000;

export const listParts: Operation = {
  name: 'ListParts',
  target: 'object',
  right: 'read',
  parameters: ['max-parts', 'part-number-marker'],
  run: async ({ objects, bucket, key, query, context }) => {
    const uploadId = query.get('uploadId') ?? '';
    const limit = readCount(query, 'max-parts', UNASKED_PARTS_MAX, ASKED_PARTS_MAX);
    const afterPartNumber = readCount(query, 'part-number-marker', 0, 2_147_483_647);
    const { upload, parts, truncated } = await objects.listParts(
      bucket,
      key,
      uploadId,
      { afterPartNumber, limit },
      context,
    );
    return xmlAnswer(
      document('ListPartsResult', [
        element('Bucket', bucket),
        element('Key', key),
        element('UploadId', uploadId),
        element('Initiator', OWNER),
        element('Owner', OWNER),
        element('StorageClass', upload.storageClass ?? 'STANDARD'),
        ...optional('ChecksumAlgorithm', upload.checksumAlgorithm),
        ...optional('ChecksumType', upload.checksumType),
        element('PartNumberMarker', afterPartNumber),
        ...(truncated ? optional('NextPartNumberMarker', parts.at(-1)?.partNumber) : []),
        element('MaxParts', limit),
        element('IsTruncated', truncated),
        ...parts.map((part) =>
          element('Part', [
            element('PartNumber', part.partNumber),
            element('LastModified', isoTime(part.lastModifiedMs)),
            element('ETag', `"${part.etag}"`),
            element('Size', part.sizeBytes),
            ...(part.checksum
              ? [element(checksumElement(part.checksum.algorithm), part.checksum.value)]
              : []),
          ]),
        ),
      ]),
    );
  },
};
