/** Headers that belong to an object: from a request into ObjectMeta, and back into an answer. */
import { META_TEXT_NAMES, META_TEXTS, type MetaText } from '../format/object-meta.js';
import type { HeadResult, ObjectMeta, ObjectRecord } from '../objects/api.js';
import { checksumHeaders } from './checksums.js';
import { S3Error } from './errors.js';
import { headerOfText, type RequestHeaders } from './headers.js';
import type { Query } from './request-target.js';
import { tagsOfHeader } from './tags.js';

/** AWS: "user-defined metadata is limited to 2 KB". */
const USER_METADATA_BYTES_MAX = 2048;
const USER_PREFIX = 'x-amz-meta-';

const STORAGE_CLASSES = new Set([
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'OUTPOSTS',
  'GLACIER_IR',
  'SNOW',
  'EXPRESS_ONEZONE',
]);

/** Headers of a write that belong to its object, or that say of it what is so already (inert-headers.ts). */
export const OBJECT_HEADERS: readonly string[] = [
  USER_PREFIX,
  'x-amz-acl',
  'x-amz-server-side-encryption',
  'x-amz-storage-class',
  'x-amz-tagging',
];

/** @throws S3Error InvalidStorageClass */
export function storageClassOf(headers: RequestHeaders): string | undefined {
  const storageClass = headers.get('x-amz-storage-class');
  if (storageClass === undefined || storageClass === 'STANDARD') return undefined;
  if (!STORAGE_CLASSES.has(storageClass))
    throw new S3Error('InvalidStorageClass', undefined, { fields: { StorageClassRequested: storageClass } });
  return storageClass;
}

/**
 * What a write says of its object.
 * @throws S3Error MetadataTooLarge, InvalidStorageClass, InvalidTag
 */
export function metaOf(headers: RequestHeaders): ObjectMeta {
  const read: Partial<Record<MetaText, string | undefined>> = {
    contentEncoding: withoutAwsChunked(headers.get('content-encoding')),
    storageClass: storageClassOf(headers),
  };
  const texts: Partial<Record<MetaText, string>> = {};
  for (const name of META_TEXT_NAMES) {
    const value = name in read ? read[name] : headers.get(META_TEXTS[name].header.toLowerCase());
    if (value !== undefined && value !== '') texts[name] = value;
  }
  const userMetadata = userMetadataOf(headers);
  const tags = tagsOfHeader(headers.get('x-amz-tagging'));
  return {
    ...texts,
    ...(userMetadata ? { userMetadata } : {}),
    ...(tags ? { tags } : {}),
  };
}

/** aws-chunked is how the request travels, not what the object is; without it the header is kept as it was sent. */
function withoutAwsChunked(header: string | undefined): string | undefined {
  const codings = header?.split(',') ?? [];
  const kept = codings.filter((coding) => coding.trim().toLowerCase() !== 'aws-chunked');
  return kept.length === codings.length ? header : kept.join(',').trim();
}

function userMetadataOf(headers: RequestHeaders): Record<string, string> | undefined {
  const pairs = headers
    .names()
    .filter((name) => name.startsWith(USER_PREFIX) && name.length > USER_PREFIX.length)
    .map((name) => [name.slice(USER_PREFIX.length), headers.get(name)!] as const);
  if (pairs.length === 0) return undefined;
  const sizeBytes = pairs.reduce((sum, [n, v]) => sum + Buffer.byteLength(n) + Buffer.byteLength(v), 0);
  if (sizeBytes > USER_METADATA_BYTES_MAX)
    throw new S3Error('MetadataTooLarge', undefined, {
      fields: { Size: String(sizeBytes), MaxSizeAllowed: String(USER_METADATA_BYTES_MAX) },
    });
  return Object.fromEntries(pairs);
}

/** Which a read may override, by a parameter. */
export const CONTENT_HEADERS = META_TEXT_NAMES.filter((name) => name !== 'storageClass').map((name) => {
  const { header } = META_TEXTS[name];
  return { name, header, override: `response-${header.toLowerCase()}` };
});

/** Headers of GetObject and HeadObject; `query` may override some, where it has a value for them. */
export function objectHeaders(
  result: HeadResult,
  options: { query: Query; wantsChecksum: boolean },
): Record<string, string> {
  const { record, startBytes, endBytes } = result;
  const headers: Record<string, string> = {
    ETag: `"${record.etag}"`,
    'Last-Modified': new Date(record.lastModifiedMs).toUTCString(),
    'Accept-Ranges': 'bytes',
    ...metaHeaders(record, options.query),
  };
  if (result.isPartial) headers['Content-Range'] = `bytes ${startBytes}-${endBytes - 1}/${record.sizeBytes}`;
  if (result.partsCount !== undefined) headers['x-amz-mp-parts-count'] = String(result.partsCount);
  if (options.wantsChecksum) Object.assign(headers, checksumOf(result, options.query));
  // Last: Node writes a Content-Disposition that comes after it anew, and loses what is not ISO-8859-1.
  headers['Content-Length'] = String(endBytes - startBytes);
  return headers;
}

/** A checksum of the whole object says nothing of a range of it; a part may have its own (localstack#12842, of AWS). */
function checksumOf({ record, startBytes, endBytes }: HeadResult, query: Query): Record<string, string> {
  const { checksum, partChecksums } = record;
  const ofPart = partChecksums?.[Number(query.get('partNumber') ?? 0) - 1];
  if (checksum && ofPart !== undefined) return checksumHeaders({ ...checksum, value: ofPart });
  return endBytes - startBytes === record.sizeBytes ? checksumHeaders(checksum) : {};
}

/** AWS takes what HTTP can carry (RFC 9110 §5.5), and says so otherwise. @throws S3Error InvalidArgument */
function overriding(parameter: string, value: string): string {
  if (/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value)) return value;
  throw new S3Error('InvalidArgument', 'Header value cannot be represented using ISO-8859-1.', {
    fields: { ArgumentName: parameter, ArgumentValue: value },
  });
}

function metaHeaders(record: ObjectRecord, query: Query): Record<string, string> {
  const headers: Record<string, string> = {};
  const put = (name: string, text: string | undefined) => {
    const value = text === undefined ? undefined : headerOfText(text);
    if (value !== undefined) headers[name] = value;
  };
  put('Content-Type', 'binary/octet-stream');
  for (const { header, name, override } of CONTENT_HEADERS) {
    const asked = query.get(override);
    if (asked) headers[header] = overriding(override, asked);
    else put(header, record.meta[name]);
  }
  let unsendable = 0;
  for (const [name, value] of Object.entries(record.meta.userMetadata ?? {})) {
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name) || headerOfText(value) === undefined) unsendable += 1;
    else put(`${USER_PREFIX}${name}`, value);
  }
  // AWS: x-amz-missing-meta counts what a header cannot hold (edited by hand in the repository).
  if (unsendable > 0) headers['x-amz-missing-meta'] = String(unsendable);
  const tagCount = Object.keys(record.meta.tags ?? {}).length;
  if (tagCount > 0) headers['x-amz-tagging-count'] = String(tagCount);
  // Never for STANDARD (TestStorageClass of the registry's driver).
  put('x-amz-storage-class', record.meta.storageClass);
  return headers;
}
