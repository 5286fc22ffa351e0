/**
 * ListObjectsV2. registry 2.7.1 reads KeyCount without looking whether it is there, and the SDK's pager follows
 * NextContinuationToken whatever IsTruncated says: the one is always given, the other never on the last page.
 */
import { S3Error } from '../errors.js';
import { xmlAnswer, readCount, type Operation } from '../operation.js';
import { listItems, optionalKey, readKeyEncoding } from '../xml/listing.js';
import { document, element, optional } from '../xml/write.js';
import { KEYS_MAX, LIST_HEADERS } from './list-objects.js';

/** A token is the last key of the page, so it holds across restarts and between gateways. */
export function encodeContinuationToken(lastKey: string): string {
  return Buffer.from(lastKey, 'utf8').toString('base64url');
}

/** @throws S3Error InvalidArgument */
export function decodeContinuationToken(token: string): string {
  const bytes = Buffer.from(token, 'base64url');
  const key = bytes.toString('utf8');
  if (token === '' || encodeContinuationToken(key) !== token)
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect', {
      fields: { ArgumentName: 'continuation-token', ArgumentValue: token },
    });
  return key;
}

export const listObjectsV2: Operation = {
  name: 'ListObjectsV2',
  target: 'bucket',
  right: 'read',
  parameters: [
    'prefix',
    'delimiter',
    'encoding-type',
    'max-keys',
    'continuation-token',
    'start-after',
    'fetch-owner',
  ],
  headers: LIST_HEADERS,
  run: async ({ objects, bucket, query, context }) => {
    const encoding = readKeyEncoding(query);
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter') || undefined;
    const token = query.get('continuation-token');
    const startAfter = query.get('start-after') || undefined;
    const limit = readCount(query, 'max-keys', KEYS_MAX, KEYS_MAX);
    const after = token === undefined ? startAfter : decodeContinuationToken(token);
    const result = await objects.listObjects(
      bucket,
      {
        prefix,
        ...(delimiter === undefined ? {} : { delimiter }),
        ...(after === undefined ? {} : { after }),
        limit,
      },
      context,
    );
    const next =
      result.truncated && result.last !== undefined ? encodeContinuationToken(result.last) : undefined;
    return xmlAnswer(
      document('ListBucketResult', [
        element('Name', bucket),
        element('Prefix', encoding.write(prefix)),
        ...optional('ContinuationToken', token),
        ...optional('NextContinuationToken', next),
        ...optionalKey('StartAfter', startAfter, encoding),
        element('KeyCount', result.objects.length + result.commonPrefixes.length),
        element('MaxKeys', limit),
        ...optionalKey('Delimiter', delimiter, encoding),
        ...optional('EncodingType', encoding.name),
        element('IsTruncated', result.truncated),
        ...listItems(result, encoding, query.get('fetch-owner') === 'true'),
      ]),
    );
  },
};
