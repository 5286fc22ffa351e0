/**
 * ListObjects (version 1). registry 2.7.1 reads IsTruncated without looking whether it is there, and takes
 * NextMarker for the next page: both are always given (docs/facts/registry-driver.md §1).
 */
import { xmlAnswer, readCount, type Operation } from '../operation.js';
import { listItems, optionalKey, readKeyEncoding } from '../xml/listing.js';
import { document, element, optional } from '../xml/write.js';

export const KEYS_MAX = 1000;
export const LIST_HEADERS: readonly string[] = ['x-amz-optional-object-attributes'];

export const listObjects: Operation = {
  name: 'ListObjects',
  target: 'bucket',
  right: 'read',
  parameters: ['prefix', 'delimiter', 'encoding-type', 'marker', 'max-keys'],
  headers: LIST_HEADERS,
  run: async ({ objects, bucket, query, context }) => {
    const encoding = readKeyEncoding(query);
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter') || undefined;
    const marker = query.get('marker') ?? '';
    const limit = readCount(query, 'max-keys', KEYS_MAX, KEYS_MAX);
    const result = await objects.listObjects(
      bucket,
      {
        prefix,
        ...(delimiter === undefined ? {} : { delimiter }),
        ...(marker === '' ? {} : { after: marker }),
        limit,
      },
      context,
    );
    return xmlAnswer(
      document('ListBucketResult', [
        element('Name', bucket),
        element('Prefix', encoding.write(prefix)),
        element('Marker', encoding.write(marker)),
        ...(result.truncated ? optionalKey('NextMarker', result.last, encoding) : []),
        element('MaxKeys', limit),
        ...optionalKey('Delimiter', delimiter, encoding),
        ...optional('EncodingType', encoding.name),
        element('IsTruncated', result.truncated),
        ...listItems(result, encoding, true),
      ]),
    );
  },
};
