/** x-amz-copy-source: which object a copy reads. */
import type { ObjectKey } from '../format/ids.js';
import type { Conditions } from '../objects/api.js';
import { readConditions } from './conditions.js';
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import { checkOwner } from './inert-headers.js';
import { checkKey } from './request-target.js';
import { allows, type Credential } from './sigv4/credentials.js';

export const COPY_SOURCE_HEADERS: readonly string[] = [
  'x-amz-copy-source',
  'x-amz-copy-source-if-match',
  'x-amz-copy-source-if-none-match',
  'x-amz-copy-source-if-modified-since',
  'x-amz-copy-source-if-unmodified-since',
  'x-amz-source-expected-bucket-owner',
];

export interface CopySource {
  readonly sourceBucket: string;
  readonly sourceKey: ObjectKey;
  readonly sourceConditions: Conditions;
}

/**
 * `bucket/key` or `/bucket/key`, the whole of it percent-encoded or all but its slashes (AWS CopyObject: "The value
 * must be URL-encoded"), or not at all (registry 2.x sends it raw, docs/facts/registry-driver.md §2): where it does not
 * decode it is taken as it stands. `+` is a blank as in queries, unless the rest says that nothing was encoded: AWS's
 * own example for Java encodes with java.net.URLEncoder.
 * @throws S3Error InvalidArgument, NoSuchVersion
 */
export function parseCopySource(header: string): { bucket: string; key: ObjectKey } {
  const version = /\?versionId=([^?&]*)$/.exec(header);
  if (version && version[1] !== 'null') throw new S3Error('NoSuchVersion');
  const raw = version ? header.slice(0, version.index) : header;
  // Taken apart after it is decoded: the slashes may be encoded, too.
  const text = decodeOrRaw(raw).replace(/^\//, '');
  const slash = text.indexOf('/');
  if (slash < 1 || slash === text.length - 1)
    throw new S3Error(
      'InvalidArgument',
      'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
      {
        fields: { ArgumentName: 'x-amz-copy-source', ArgumentValue: header },
      },
    );
  return { bucket: text.slice(0, slash), key: checkKey(text.slice(slash + 1)) };
}

/** What no URL holds: then it was not encoded, and a plus is a plus. */
const NOT_OF_URLS = /[^\x21-\x7e]/;

function decodeOrRaw(text: string): string {
  try {
    return decodeURIComponent(NOT_OF_URLS.test(text) ? text : text.replaceAll('+', ' '));
  } catch {
    // Not percent-encoded: a raw key with a literal `%`.
    return text;
  }
}

/** @throws S3Error AccessDenied where the access key may not read the source. */
export function readCopySource(headers: RequestHeaders, credential: Credential): CopySource {
  const { bucket, key } = parseCopySource(headers.get('x-amz-copy-source') ?? '');
  checkOwner(headers.get('x-amz-source-expected-bucket-owner'));
  if (!allows(credential.rights(bucket), 'read')) throw new S3Error('AccessDenied');
  return {
    sourceBucket: bucket,
    sourceKey: key,
    sourceConditions: readConditions(headers, 'x-amz-copy-source-'),
  };
}
