/** Reads the two places where a SigV4 signature may stand: the Authorization header and the query string. */
import { S3Error, type S3ErrorCode } from '../errors.js';
import type { RequestHeaders } from '../headers.js';
import type { Query } from '../request-target.js';
import type { CredentialScope } from './signing.js';

export interface Authorization {
  readonly kind: 'header' | 'presigned';
  readonly accessKeyId: string;
  readonly scope: CredentialScope;
  /** Lower case, in the order of the canonical request. */
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** YYYYMMDDTHHMMSSZ */
  readonly timestamp: string;
  readonly signedAtMs: number;
  /** Only of a presigned link. */
  readonly expiresSeconds?: number;
}

const EXPIRES_MAX_SECONDS = 604_800;
const ALGORITHM = 'AWS4-HMAC-SHA256';
const SIGNATURE = /^[0-9a-f]{64}$/;
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;

/** The sentence for clients that speak an older or newer signature. */
export const USE_V4 =
  'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.';

/** @throws S3Error with the code that AWS gives for each fault. */
export function readAuthorization(headers: RequestHeaders, query: Query): Authorization {
  const header = headers.get('authorization');
  const isPresigned = query.has('X-Amz-Algorithm') || query.has('X-Amz-Signature');
  if (header !== undefined && isPresigned)
    throw new S3Error(
      'InvalidArgument',
      'Only one auth mechanism allowed; use the query string or the header.',
    );
  if (query.has('AWSAccessKeyId')) throw new S3Error('InvalidRequest', USE_V4);
  if (headers.get('x-amz-security-token') || query.get('X-Amz-Security-Token'))
    throw new S3Error(
      'InvalidToken',
      'The provided token is malformed or otherwise not valid. There are no session tokens here: use a long-term access key.',
    );
  if (header !== undefined) return fromHeader(header, headers);
  if (isPresigned) return fromQuery(query);
  throw new S3Error('AccessDenied', 'Access Denied: the request is not signed.');
}

function fromHeader(header: string, headers: RequestHeaders): Authorization {
  const malformed = (message: string) => new S3Error('AuthorizationHeaderMalformed', message);
  const blank = header.indexOf(' ');
  const algorithm = blank < 0 ? header : header.slice(0, blank);
  if (algorithm !== ALGORITHM) {
    if (/^AWS4?(-|$)/.test(algorithm)) throw new S3Error('InvalidRequest', USE_V4);
    throw new S3Error('InvalidArgument', 'Unsupported Authorization Type');
  }
  const fields = new Map<string, string>();
  for (const item of header.slice(blank + 1).split(',')) {
    const equals = item.indexOf('=');
    if (equals > 0) fields.set(item.slice(0, equals).trim(), item.slice(equals + 1).trim());
  }
  const field = (name: string): string => {
    const value = fields.get(name);
    if (!value) throw malformed(`The authorization header is malformed; the field ${name} is missing.`);
    return value;
  };
  const { accessKeyId, scope } = readCredential(field('Credential'), malformed);
  const signedHeaders = readSignedHeaders(field('SignedHeaders'), malformed);
  const signature = readSignature(field('Signature'), malformed);
  const { timestamp, signedAtMs } = readHeaderDate(headers);
  if (!timestamp.startsWith(scope.date))
    throw malformed(
      `The authorization header is malformed; Invalid credential date "${scope.date}". This date is not the same as X-Amz-Date: "${timestamp.slice(0, 8)}".`,
    );
  return { kind: 'header', accessKeyId, scope, signedHeaders, signature, timestamp, signedAtMs };
}

function readHeaderDate(headers: RequestHeaders): { timestamp: string; signedAtMs: number } {
  const amz = headers.get('x-amz-date');
  const signedAtMs = amz === undefined ? Date.parse(headers.get('date') ?? '') : parseTimestamp(amz);
  if (signedAtMs === undefined || Number.isNaN(signedAtMs))
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  return { timestamp: amz ?? formatTimestamp(signedAtMs), signedAtMs };
}

function fromQuery(query: Query): Authorization {
  const malformed = (message: string) => new S3Error('AuthorizationQueryParametersError', message);
  const parameter = (name: string): string => {
    const value = query.get(name);
    if (!value) throw malformed(`Query-string authentication version 4 requires the parameter ${name}.`);
    return value;
  };
  if (parameter('X-Amz-Algorithm') !== ALGORITHM)
    throw malformed('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  const { accessKeyId, scope } = readCredential(parameter('X-Amz-Credential'), malformed);
  const timestamp = parameter('X-Amz-Date');
  const signedAtMs = parseTimestamp(timestamp);
  if (signedAtMs === undefined)
    throw malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  if (!timestamp.startsWith(scope.date))
    throw malformed(`Invalid credential date "${scope.date}". This date is not the same as X-Amz-Date.`);
  const expires = parameter('X-Amz-Expires');
  if (!/^-?\d{1,12}$/.test(expires)) throw malformed('X-Amz-Expires should be a number');
  const expiresSeconds = Number(expires);
  if (expiresSeconds < 1) throw malformed('X-Amz-Expires must be at least 1 second');
  if (expiresSeconds > EXPIRES_MAX_SECONDS)
    throw malformed(
      `X-Amz-Expires must be less than a week (in seconds); that is, it must be at most ${EXPIRES_MAX_SECONDS}`,
    );
  return {
    kind: 'presigned',
    accessKeyId,
    scope,
    signedHeaders: readSignedHeaders(parameter('X-Amz-SignedHeaders'), malformed),
    signature: readSignature(parameter('X-Amz-Signature'), malformed),
    timestamp,
    signedAtMs,
    expiresSeconds,
  };
}

type Malformed = (message: string) => S3Error & { readonly code: S3ErrorCode };

/** The access key may hold slashes, the scope never does. @throws what `malformed` makes of the sentence */
export function readCredential(
  text: string,
  malformed: Malformed,
): { accessKeyId: string; scope: CredentialScope } {
  const parts = text.split('/');
  const [date, region, service, terminator] = parts.slice(-4);
  const accessKeyId = parts.slice(0, -4).join('/');
  if (accessKeyId === '' || !date || !region || !service || terminator !== 'aws4_request')
    throw malformed(
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  if (!/^\d{8}$/.test(date))
    throw malformed(
      `incorrect date format "${date}". This date in the credential must be in the format "yyyyMMdd".`,
    );
  return { accessKeyId, scope: { date, region, service } };
}

function readSignedHeaders(text: string, malformed: Malformed): string[] {
  const names = text.split(';');
  if (!names.every((name) => HEADER_NAME.test(name)))
    throw malformed('SignedHeaders must be lower-case header names, separated by semicolons.');
  return names;
}

function readSignature(text: string, malformed: Malformed): string {
  if (!SIGNATURE.test(text)) throw malformed('The Signature must be 64 lower-case hex digits.');
  return text;
}

/** Milliseconds of YYYYMMDDTHHMMSSZ; undefined where it is none. */
export function parseTimestamp(text: string): number | undefined {
  const m = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!m) return undefined;
  const ms = Date.parse(`${m[1]}-${m[2]}-${m[3]}T${m[4]}:${m[5]}:${m[6]}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** YYYYMMDDTHHMMSSZ of a time. */
function formatTimestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
}
