import type { UploadInfo } from '../../objects/api.js';
import { readCount, xmlAnswer, type Operation } from '../operation.js';
import { OWNER, optionalKey, readKeyEncoding, type KeyEncoding } from '../xml/listing.js';
import { document, element, isoTime, optional, type Xml } from '../xml/write.js';

const UPLOADS_MAX = 1000;

function uploadElement(upload: UploadInfo, encoding: KeyEncoding): Xml {
  return element('Upload', [
    element('Key', encoding.write(upload.key)),
    element('UploadId', upload.uploadId),
    element('Initiator', OWNER),
    element('Owner', OWNER),
    element('StorageClass', upload.storageClass ?? 'STANDARD'),
    element('Initiated', isoTime(upload.initiatedMs)),
    ...optional('ChecksumAlgorithm', upload.checksumAlgorithm),
    ...optional('ChecksumType', upload.checksumType),
  ]);
}

/** registry 3.x pages with upload-id-marker alone (docs/facts/registry-driver.md §5): the objects layer takes that. */
export const listMultipartUploads: Operation = {
  name: 'ListMultipartUploads',
  target: 'bucket',
  right: 'read',
  parameters: ['prefix', 'delimiter', 'encoding-type', 'key-marker', 'upload-id-marker', 'max-uploads'],
  run: async ({ objects, bucket, query, context }) => {
    const encoding = readKeyEncoding(query);
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter') || undefined;
    const keyMarker = query.get('key-marker') || undefined;
    const uploadIdMarker = query.get('upload-id-marker') || undefined;
    const limit = readCount(query, 'max-uploads', UPLOADS_MAX, UPLOADS_MAX);
    const result = await objects.listMultipartUploads(
      bucket,
      {
        prefix,
        ...(delimiter === undefined ? {} : { delimiter }),
        ...(keyMarker === undefined ? {} : { keyMarker }),
        ...(uploadIdMarker === undefined ? {} : { uploadIdMarker }),
        limit,
      },
      context,
    );
    return xmlAnswer(
      document('ListMultipartUploadsResult', [
        element('Bucket', bucket),
        element('KeyMarker', encoding.write(keyMarker ?? '')),
        element('UploadIdMarker', uploadIdMarker ?? ''),
        ...(result.truncated
          ? [
              ...optionalKey('NextKeyMarker', result.nextKeyMarker, encoding),
              ...optional('NextUploadIdMarker', result.nextUploadIdMarker),
            ]
          : []),
        element('Prefix', encoding.write(prefix)),
        ...optionalKey('Delimiter', delimiter, encoding),
        ...optional('EncodingType', encoding.name),
        element('MaxUploads', limit),
        element('IsTruncated', result.truncated),
        ...result.uploads.map((upload) => uploadElement(upload, encoding)),
        ...result.commonPrefixes.map((p) =>
          element('CommonPrefixes', [element('Prefix', encoding.write(p))]),
        ),
      ]),
    );
  },
};
