import { checksumElement } from '../checksums.js';
import { COPY_SOURCE_HEADERS, readCopySource } from '../copy-source.js';
import { readPartNumber, xmlAnswer, type Operation } from '../operation.js';
import { parseCopyRange } from '../range.js';
import { document, element, isoTime } from '../xml/write.js';

/**
 * UploadPartCopy. The source may be the very key that the upload is for: registry 2.x appends so
 * (docs/facts/registry-driver.md §3).
 */
export const uploadPartCopy: Operation = {
  name: 'UploadPartCopy',
  audited: 'unseen',
  target: 'object',
  right: 'write',
  parameters: ['partNumber'],
  headers: [...COPY_SOURCE_HEADERS, 'x-amz-copy-source-range', 'x-amz-server-side-encryption'],
  run: async ({ objects, bucket, key, query, headers, identity, context }) => {
    const partNumber = readPartNumber(query);
    const source = readCopySource(headers, identity.credential);
    const range = parseCopyRange(headers.get('x-amz-copy-source-range'));
    const result = await objects.uploadPartCopy(
      bucket,
      key,
      query.get('uploadId') ?? '',
      partNumber,
      { ...source, ...(range ? { range } : {}) },
      context,
    );
    return xmlAnswer(
      document('CopyPartResult', [
        element('LastModified', isoTime(result.lastModifiedMs)),
        element('ETag', `"${result.etag}"`),
        ...(result.checksum
          ? [element(checksumElement(result.checksum.algorithm), result.checksum.value)]
          : []),
      ]),
    );
  },
};
