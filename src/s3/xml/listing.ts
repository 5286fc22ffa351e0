/** Parts that the list documents share. */
import { S3Error } from '../errors.js';
import type { Query } from '../request-target.js';
import { encodeRfc3986 } from '../sigv4/canonical-request.js';
import { element, escapeText, isoTime, isoTimes, optional, type Xml } from './write.js';
import type { ObjectRecord, ListResult } from '../../objects/api.js';

/** All objects belong to one owner; clients want to see some id. */
export const OWNER_ID = 'gateway';
export const OWNER: readonly Xml[] = [element('ID', OWNER_ID), element('DisplayName', OWNER_ID)];
const OWNER_ELEMENT = element('Owner', OWNER);

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
  const pieces: string[] = [];
  const timeText = isoTimes();
  for (const { key, record } of result.objects) {
    pieces.push('<Contents><Key>', escapeText(encoding.write(key)), '</Key>');
    pushObjectElements(pieces, record, withOwner, timeText);
    pieces.push('</Contents>');
  }
  return [pieces.join('') as Xml, ...prefixElements(result, encoding)];
}

export function prefixElements(result: ListResult, encoding: KeyEncoding): Xml[] {
  return result.commonPrefixes.map((prefix) =>
    element('CommonPrefixes', [element('Prefix', encoding.write(prefix))]),
  );
}

/** What every list tells of an object. */
export function objectElements(record: ObjectRecord, withOwner: boolean): Xml {
  const pieces: string[] = [];
  pushObjectElements(pieces, record, withOwner, isoTime);
  return pieces.join('') as Xml;
}

/** As pieces of one text that is put together at its end: a page has a thousand of these, with six elements each. */
function pushObjectElements(
  pieces: string[],
  record: ObjectRecord,
  withOwner: boolean,
  timeText: (ms: number) => string,
): void {
  const { checksum, etag, lastModifiedMs, meta, sizeBytes } = record;
  pieces.push('<LastModified>', timeText(lastModifiedMs), '</LastModified>');
  pieces.push('<ETag>&quot;', escapeText(etag), '&quot;</ETag>');
  if (checksum) {
    pieces.push('<ChecksumAlgorithm>', checksum.algorithm, '</ChecksumAlgorithm>');
    pieces.push('<ChecksumType>', checksum.type, '</ChecksumType>');
  }
  pieces.push('<Size>', String(sizeBytes), '</Size>');
  if (withOwner) pieces.push(OWNER_ELEMENT);
  pieces.push('<StorageClass>', escapeText(meta.storageClass ?? 'STANDARD'), '</StorageClass>');
}

/** An element with an encoded key, or nothing. */
export function optionalKey(name: string, value: string | undefined, encoding: KeyEncoding): Xml[] {
  return optional(name, value === undefined ? undefined : encoding.write(value));
}
