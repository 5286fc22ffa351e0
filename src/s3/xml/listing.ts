/** Parts that the list documents share. */
import { S3Error } from '../errors.js';
import type { Query } from '../request-target.js';
import { encodeRfc3986 } from '../sigv4/canonical-request.js';
import { element, isoTime, optional, type Xml } from './write.js';
import type { ObjectKey } from '../../format/ids.js';
import type { ObjectRecord, ListResult } from '../../objects/api.js';

/** All objects belong to one owner; clients want to see some id. */
export const OWNER_ID = 'gateway';
export const OWNER: readonly Xml[] = [element('ID', OWNER_ID), element('DisplayName', OWNER_ID)];

/** How keys are written: with encoding-type=url they are percent-encoded, slashes kept. */
export interface KeyEncoding {
  readonly name: 'url' | undefined;
  write(text: string): string;
}

/** @throws S3Error InvalidArgument for another encoding than url. */
export function readKeyEncoding(query: Query): KeyEncoding {
  const name = query.get('encoding-type');
  if (name === undefined || name === '') return { name: undefined, write: (text) => text };
  if (name !== 'url')
    throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request', {
      fields: { ArgumentName: 'encoding-type', ArgumentValue: name },
    });
  return { name, write: (text) => encodeRfc3986(text).replaceAll('%2F', '/') };
}

/** Contents and CommonPrefixes in the order that the objects layer gave (byte order of keys). */
export function listItems(result: ListResult, encoding: KeyEncoding, withOwner: boolean): Xml[] {
  return [
    ...result.objects.map((item) => contents(item, encoding, withOwner)),
    ...prefixElements(result, encoding),
  ];
}

export function prefixElements(result: ListResult, encoding: KeyEncoding): Xml[] {
  return result.commonPrefixes.map((prefix) =>
    element('CommonPrefixes', [element('Prefix', encoding.write(prefix))]),
  );
}

function contents(
  item: { key: ObjectKey; record: ObjectRecord },
  encoding: KeyEncoding,
  withOwner: boolean,
): Xml {
  const { key, record } = item;
  return element('Contents', [element('Key', encoding.write(key)), ...objectElements(record, withOwner)]);
}

/** What every list tells of an object. */
export function objectElements(record: ObjectRecord, withOwner: boolean): Xml[] {
  return [
    element('LastModified', isoTime(record.lastModifiedMs)),
    element('ETag', `"${record.etag}"`),
    ...(record.checksum
      ? [
          element('ChecksumAlgorithm', record.checksum.algorithm),
          element('ChecksumType', record.checksum.type),
        ]
      : []),
    element('Size', record.sizeBytes),
    ...(withOwner ? [element('Owner', OWNER)] : []),
    element('StorageClass', record.meta.storageClass ?? 'STANDARD'),
  ];
}

/** An element with an encoded key, or nothing. */
export function optionalKey(name: string, value: string | undefined, encoding: KeyEncoding): Xml[] {
  return optional(name, value === undefined ? undefined : encoding.write(value));
}
