/**
 * ListObjectVersions. Nothing is versioned here: every object has one version, named null, as with S3 in a bucket that
 * never had versioning. Clean-up code of SDKs and test suites lists so before it deletes.
 */
import type { ObjectRecord } from '../../objects/api.js';
import { S3Error } from '../errors.js';
import { readCount, xmlAnswer, type Operation } from '../operation.js';
import { objectElements, optionalKey, prefixElements, readKeyEncoding } from '../xml/listing.js';
import { document, element, optional, type Xml } from '../xml/write.js';
import { KEYS_MAX, LIST_HEADERS } from './list-objects.js';

const VERSION_ID = 'null';

function versionElement(key: string, record: ObjectRecord): Xml {
  return element('Version', [
    element('Key', key),
    element('VersionId', VERSION_ID),
    element('IsLatest', true),
    objectElements(record, true),
  ]);
}

export const listObjectVersions: Operation = {
  name: 'ListObjectVersions',
  target: 'bucket',
  right: 'read',
  parameters: ['prefix', 'delimiter', 'encoding-type', 'key-marker', 'version-id-marker', 'max-keys'],
  headers: LIST_HEADERS,
  run: async ({ objects, bucket, query, context }) => {
    const encoding = readKeyEncoding(query);
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter') || undefined;
    const keyMarker = query.get('key-marker') ?? '';
    const versionMarker = query.get('version-id-marker') ?? '';
    if (versionMarker !== '' && keyMarker === '')
      throw new S3Error('InvalidArgument', 'A version-id marker cannot be specified without a key marker.', {
        fields: { ArgumentName: 'version-id-marker', ArgumentValue: versionMarker },
      });
    const limit = readCount(query, 'max-keys', KEYS_MAX, KEYS_MAX);
    // After the one version of the marker's key comes the next key, whichever version is named.
    const result = await objects.listObjects(
      bucket,
      {
        prefix,
        ...(delimiter === undefined ? {} : { delimiter }),
        ...(keyMarker === '' ? {} : { after: keyMarker }),
        limit,
      },
      context,
    );
    const isPrefix = result.last !== undefined && result.last === result.commonPrefixes.at(-1);
    return xmlAnswer(
      document('ListVersionsResult', [
        element('Name', bucket),
        element('Prefix', encoding.write(prefix)),
        element('KeyMarker', encoding.write(keyMarker)),
        element('VersionIdMarker', versionMarker),
        ...(result.truncated
          ? [
              ...optionalKey('NextKeyMarker', result.last, encoding),
              ...optional('NextVersionIdMarker', isPrefix ? undefined : VERSION_ID),
            ]
          : []),
        element('MaxKeys', limit),
        ...optionalKey('Delimiter', delimiter, encoding),
        ...optional('EncodingType', encoding.name),
        element('IsTruncated', result.truncated),
        ...result.objects.map(({ key, record }) => versionElement(encoding.write(key), record)),
        ...prefixElements(result, encoding),
      ]),
    );
  },
};
