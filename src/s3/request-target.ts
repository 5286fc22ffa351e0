/**
 * Reads bucket, key and query from the request target exactly as it was sent. Nothing here decodes twice:
 * a key may hold `%2F`, `//`, `..` or `%2B`, and the signature is over the bytes of the target.
 */
import { toObjectKey } from '../format/key-escape.js';
import type { ObjectKey } from '../format/ids.js';
import { S3Error } from './errors.js';

/** Parameters of the query string, decoded, in the order they were sent. */
export class Query {
  constructor(readonly entries: readonly (readonly [name: string, value: string])[]) {}

  /** The first value; '' for a bare name. */
  get(name: string): string | undefined {
    return this.entries.find(([n]) => n === name)?.[1];
  }

  has(name: string): boolean {
    return this.entries.some(([n]) => n === name);
  }
}

export interface RequestTarget {
  /** Path as sent, without the query; the canonical URI of SigV4. */
  readonly rawPath: string;
  readonly query: Query;
  /** '' for the service itself. */
  readonly bucket: string;
  /** '' for the bucket itself; decoded (a bare `+` as a blank, see withLiteralPlus), not yet checked. */
  readonly keyText: string;
  /** The key as it was sent. */
  readonly rawKey: string;
  /** True where the host named the bucket: its path then stands without it. */
  readonly isVirtualHost: boolean;
}

const KEY_BYTES_MAX = 1024;

/** Decodes one percent-encoded component as UTF-8. @throws S3Error InvalidURI */
export function decodeComponent(text: string): string {
  try {
    // Bytes that came raw were read as latin1 by Node; they are UTF-8.
    return decodeURIComponent(NON_ASCII.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text);
  } catch {
    // decodeURIComponent only throws on malformed escapes: the client's fault, told as S3 does.
    throw new S3Error('InvalidURI');
  }
}

const NON_ASCII = /[^\u0000-\u007f]/;

/** In queries `+` is a blank, as in forms; S3 reads it so. */
export function parseQuery(raw: string): Query {
  if (raw === '') return new Query([]);
  return new Query(
    raw
      .split('&')
      .filter((pair) => pair !== '')
      .map((pair) => {
        const equals = pair.indexOf('=');
        const name = equals < 0 ? pair : pair.slice(0, equals);
        const value = equals < 0 ? '' : pair.slice(equals + 1);
        return [
          decodeComponent(name.replaceAll('+', ' ')),
          decodeComponent(value.replaceAll('+', ' ')),
        ] as const;
      }),
  );
}

/**
 * Splits a request target. With `domain`, `Host: bucket.domain` names the bucket (virtual-host style); any
 * other host is path style.
 * @throws S3Error InvalidURI
 */
export function parseRequestTarget(
  url: string,
  host: string | undefined,
  domain: string | undefined,
): RequestTarget {
  const origin = url.startsWith('/') ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, '');
  const question = origin.indexOf('?');
  const rawPath = (question < 0 ? origin : origin.slice(0, question)) || '/';
  if (!rawPath.startsWith('/')) throw new S3Error('InvalidURI');
  const query = parseQuery(question < 0 ? '' : origin.slice(question + 1));
  const hosted = domain === undefined ? undefined : bucketOfHost(host, domain);
  if (hosted !== undefined)
    return {
      rawPath,
      query,
      bucket: hosted,
      rawKey: rawPath.slice(1),
      keyText: decodeKey(rawPath.slice(1)),
      isVirtualHost: true,
    };
  const slash = rawPath.indexOf('/', 1);
  const bucket = decodeComponent(slash < 0 ? rawPath.slice(1) : rawPath.slice(1, slash));
  const rawKey = slash < 0 ? '' : rawPath.slice(slash + 1);
  return { rawPath, query, bucket, rawKey, keyText: decodeKey(rawKey), isVirtualHost: false };
}

/**
 * S3 takes a bare `+` of a path for a blank, as in queries; a plus of a key is sent as %2B. No documentation of AWS says
 * so, many who met it do: aws/aws-sdk-ruby#654, AdRoll/goamz#259, imgix/js-core#88, Automattic/knox#267.
 */
function decodeKey(rawKey: string): string {
  return decodeComponent(rawKey.replaceAll('+', ' '));
}

/** The target where the signature says that a bare `+` of the key is a plus (canonicalUris). */
export function withLiteralPlus(target: RequestTarget): RequestTarget {
  return target.rawKey.includes('+') ? { ...target, keyText: decodeComponent(target.rawKey) } : target;
}

function bucketOfHost(host: string | undefined, domain: string): string | undefined {
  const name = (host ?? '').replace(/:\d+$/, '').toLowerCase();
  const suffix = `.${domain.toLowerCase()}`;
  return name.endsWith(suffix) && name.length > suffix.length ? name.slice(0, -suffix.length) : undefined;
}

/** Checks a key as a client named it. @throws S3Error KeyTooLongError, InvalidArgument */
export function checkKey(text: string): ObjectKey {
  const sizeBytes = Buffer.byteLength(text, 'utf8');
  if (sizeBytes > KEY_BYTES_MAX)
    throw new S3Error('KeyTooLongError', undefined, {
      fields: { Size: String(sizeBytes), MaxSizeAllowed: String(KEY_BYTES_MAX) },
    });
  try {
    return toObjectKey(text);
  } catch (error) {
    throw new S3Error('InvalidArgument', 'The key must be well-formed UTF-8 of 1 to 1,024 bytes.', {
      cause: error,
    });
  }
}
