import { writeConditions } from '../conditions.js';
import { readCopySource } from '../copy-source.js';
import { S3Error } from '../errors.js';
import { metaOf, refuseUnsupported, storageClassOf } from '../object-headers.js';
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
  target: 'object',
  right: 'write',
  run: async ({ objects, bucket, key, headers, identity, context }) => {
    refuseUnsupported(headers);
    const source = readCopySource(headers, identity.credential);
    const metaDirective = readDirective(headers.get('x-amz-metadata-directive'), 'x-amz-metadata-directive');
    const tagDirective = readDirective(headers.get('x-amz-tagging-directive'), 'x-amz-tagging-directive');
    const storageClass = storageClassOf(headers);
    const isSelf = source.sourceBucket === bucket && source.sourceKey === key;
    if (isSelf && metaDirective === 'COPY' && tagDirective === 'COPY' && storageClass === undefined)
      throw new S3Error(
        'InvalidRequest',
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
      );
    let meta = metaDirective === 'REPLACE' ? metaOf(headers) : undefined;
    if (!meta && storageClass !== undefined) {
      // The storage class is the request's own, all else comes with the source.
      const { record } = await objects.headObject(
        source.sourceBucket,
        source.sourceKey,
        { conditions: {} },
        context,
      );
      meta = { ...record.meta, storageClass };
    }
    const result = await objects.copyObject(
      bucket,
      key,
      {
        ...source,
        ...(meta ? { meta } : {}),
        ...(tagDirective === 'REPLACE' ? { tags: tagsOfHeader(headers.get('x-amz-tagging')) ?? {} } : {}),
        conditions: writeConditions(headers),
      },
      context,
    );
    return xmlAnswer(
      document('CopyObjectResult', [
        element('LastModified', isoTime(result.lastModifiedMs)),
        element('ETag', `"${result.etag}"`),
      ]),
    );
  },
};
