import type { ObjectRecord } from '../../objects/api.js';
import { checksumElement } from '../checksums.js';
import { readConditions } from '../conditions.js';
import { S3Error } from '../errors.js';
import { checkVersion, xmlAnswer, type Operation } from '../operation.js';
import { document, element, type Xml } from '../xml/write.js';

const PARTS_MAX = 1000;
const ATTRIBUTES = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'] as const;
type Attribute = (typeof ATTRIBUTES)[number];

/** @throws S3Error InvalidRequest for none, InvalidArgument for an unknown one. */
function readAttributes(header: string | undefined): Set<Attribute> {
  const names = (header ?? '')
    .split(',')
    .map((n) => n.trim())
    .filter((n) => n !== '');
  const known = names.filter((n): n is Attribute => (ATTRIBUTES as readonly string[]).includes(n));
  if (names.length === 0)
    throw new S3Error(
      'InvalidRequest',
      'The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty',
    );
  if (known.length !== names.length)
    throw new S3Error('InvalidArgument', 'Invalid attribute name specified.', {
      fields: { ArgumentName: 'x-amz-object-attributes' },
    });
  return new Set(known);
}

function partsElement(record: ObjectRecord, after: number, limit: number): Xml[] {
  const sizes = record.partSizesBytes;
  if (!sizes) return [];
  const page = sizes.map((sizeBytes, i) => ({ partNumber: i + 1, sizeBytes })).slice(after, after + limit);
  const truncated = after + page.length < sizes.length;
  return [
    element('ObjectParts', [
      element('PartsCount', sizes.length),
      element('PartNumberMarker', after),
      element('NextPartNumberMarker', page.at(-1)?.partNumber ?? after),
      element('MaxParts', limit),
      element('IsTruncated', truncated),
      ...page.map((p) =>
        element('Part', [
          element('PartNumber', p.partNumber),
          element('Size', p.sizeBytes),
          ...partChecksum(record, p.partNumber),
        ]),
      ),
    ]),
  ];
}

function partChecksum({ checksum, partChecksums }: ObjectRecord, partNumber: number): Xml[] {
  const value = partChecksums?.[partNumber - 1];
  return checksum && value !== undefined ? [element(checksumElement(checksum.algorithm), value)] : [];
}

/** A whole number from a header, as part paging sends it. @throws S3Error InvalidArgument */
function readHeaderCount(text: string | undefined, name: string, fallback: number): number {
  if (text === undefined) return fallback;
  if (!/^\d{1,9}$/.test(text))
    throw new S3Error('InvalidArgument', `${name} must be a number`, { fields: { ArgumentName: name } });
  return Number(text);
}

export const getObjectAttributes: Operation = {
  name: 'GetObjectAttributes',
  target: 'object',
  right: 'read',
  parameters: ['versionId'],
  headers: ['x-amz-object-attributes', 'x-amz-max-parts', 'x-amz-part-number-marker'],
  run: async ({ objects, bucket, key, query, headers, context }) => {
    checkVersion(query);
    const wanted = readAttributes(headers.get('x-amz-object-attributes'));
    const limit = Math.min(
      PARTS_MAX,
      readHeaderCount(headers.get('x-amz-max-parts'), 'x-amz-max-parts', PARTS_MAX),
    );
    const after = readHeaderCount(headers.get('x-amz-part-number-marker'), 'x-amz-part-number-marker', 0);
    const { record } = await objects.headObject(
      bucket,
      key,
      { conditions: readConditions(headers) },
      context,
    );
    const only = (name: Attribute, xml: readonly Xml[]) => (wanted.has(name) ? xml : []);
    const { checksum } = record;
    return xmlAnswer(
      document('GetObjectAttributesResponse', [
        // Here, and only here, S3 writes the ETag without quotes.
        ...only('ETag', [element('ETag', record.etag)]),
        ...only(
          'Checksum',
          checksum
            ? [
                element('Checksum', [
                  // Here, and only here, S3 writes a composite value without its number of parts.
                  element(checksumElement(checksum.algorithm), checksum.value.replace(/-\d+$/, '')),
                  element('ChecksumType', checksum.type),
                ]),
              ]
            : [],
        ),
        ...only('ObjectParts', partsElement(record, after, limit)),
        ...only('StorageClass', [element('StorageClass', record.meta.storageClass ?? 'STANDARD')]),
        ...only('ObjectSize', [element('ObjectSize', record.sizeBytes)]),
      ]),
      { 'Last-Modified': new Date(record.lastModifiedMs).toUTCString() },
    );
  },
};
