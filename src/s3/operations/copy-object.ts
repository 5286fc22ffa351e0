import { WRITE_CONDITIONS, writeConditions } from '../conditions.js';
import { checksumElements, readAlgorithm } from '../checksums.js';
import { COPY_SOURCE_HEADERS, readCopySource } from '../copy-source.js';
import { S3Error } from '../errors.js';
import { metaOf, OBJECT_HEADERS, storageClassOf } from '../object-headers.js';
import { xmlAnswer, type Operation } from '../operation.js';
import { tagsOfHeader } from '../tags.js';
import { document, element, isoTime } from '../xml/write.js';

/** @throws S3Error InvalidArgument for another word than COPY or REPLACE. */
function readDirective(text: string | undefined, header: string): 'COPY' | 'REPLACE' {
  if (text === undefined || text === 'COPY') return 'COPY';
  if (text === 'REPLACE') return 'REPLACE';
  throw new S3Error('InvalidArgument', 'Unknown directive.', {
    fields: { ArgumentName: header, ArgumentValue: text },
  });
}

/** CopyObject: the data is not moved, see the objects layer. The answer waits until the copy is durable. */
export const copyObject: Operation = {
  name: 'CopyObject',
  audited: 'object.copy',
  target: 'object',
  right: 'write',
  headers: [
    ...OBJECT_HEADERS,
    ...COPY_SOURCE_HEADERS,
    ...WRITE_CONDITIONS,
    'x-amz-checksum-algorithm',
    'x-amz-metadata-directive',
    'x-amz-tagging-directive',
  ],
  run: async ({ objects, bucket, key, headers, identity, context }) => {
    const source = readCopySource(headers, identity.credential);
    const metaDirective = readDirective(headers.get('x-amz-metadata-directive'), 'x-amz-metadata-directive');
    const tagDirective = readDirective(headers.get('x-amz-tagging-directive'), 'x-amz-tagging-directive');
    const storageClass = storageClassOf(headers);
    const checksumAlgorithm = readAlgorithm(headers.get('x-amz-checksum-algorithm'));
    const isSelf = source.sourceBucket === bucket && source.sourceKey === key;
    const changes =
      metaDirective === 'REPLACE' ||
      tagDirective === 'REPLACE' ||
      headers.has('x-amz-storage-class') ||
      headers.has('x-amz-server-side-encryption') ||
      checksumAlgorithm !== undefined;
    if (isSelf && !changes)
      throw new S3Error(
        'InvalidRequest',
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
      );
    const result = await objects.copyObject(
      bucket,
      key,
      {
        ...source,
        ...(metaDirective === 'REPLACE' ? { meta: metaOf(headers) } : {}),
        ...(storageClass === undefined ? {} : { storageClass }),
        ...(checksumAlgorithm ? { checksumAlgorithm } : {}),
        ...(tagDirective === 'REPLACE' ? { tags: tagsOfHeader(headers.get('x-amz-tagging')) ?? {} } : {}),
        conditions: writeConditions(headers),
      },
      context,
    );
    return xmlAnswer(
      document('CopyObjectResult', [
        element('LastModified', isoTime(result.lastModifiedMs)),
        element('ETag', `"${result.etag}"`),
        ...checksumElements(result.checksum),
      ]),
    );
  },
};
