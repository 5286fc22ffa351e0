/**
 * Says who sent a request. Nothing of the request is acted on before this returns: signature, date, scope,
 * and that every x-amz-* header is covered.
 */
import type { Clock } from '../../async/clock.js';
import { S3Error } from '../errors.js';
import { textOfHeader, type RequestHeaders } from '../headers.js';
import type { Query } from '../request-target.js';
import { readAuthorization, type Authorization } from './authorization.js';
import { canonicalRequest, canonicalUris, type PathReading } from './canonical-request.js';
import type { Credential, CredentialStore } from './credentials.js';
import { readPayloadMode, type PayloadMode } from './payload-mode.js';
import { headerReadings } from './proxied-headers.js';
import {
  requestSignature,
  requestStringToSign,
  sameSignature,
  type SigningContext,
  type SigningKeys,
} from './signing.js';

/** AWS: requests more than 15 minutes off are refused. */
const SKEW_MAX_MS = 15 * 60 * 1000;

export interface SignedRequest {
  readonly method: string;
  readonly rawPath: string;
  readonly query: Query;
  readonly headers: RequestHeaders;
}

export interface Identity {
  readonly accessKeyId: string;
  readonly credential: Credential;
  readonly payload: PayloadMode;
  /** Of the request itself: the seed of chunk signatures. */
  readonly signature: string;
  readonly signing: SigningContext;
}

export interface VerifiedRequest extends Identity {
  /** True where the signature is over a plus if the path has a bare `+`; otherwise it stands for a blank. */
  readonly isPlusLiteral: boolean;
}

export interface VerifyRules {
  readonly credentials: CredentialStore;
  readonly region: string;
  readonly clock: Clock;
}

/** @throws S3Error AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch, RequestTimeTooSkewed … */
export function verifyRequest(
  request: SignedRequest,
  rules: VerifyRules & { readonly signingKeys: SigningKeys },
): VerifiedRequest {
  const authorization = readAuthorization(request.headers, request.query);
  checkScope(authorization, rules.region, request.headers.get('host'));
  checkTime(authorization, rules.clock.nowMs());
  checkCoverage(authorization, request.headers);
  const credential = rules.credentials.find(authorization.accessKeyId);
  if (!credential)
    throw new S3Error('InvalidAccessKeyId', undefined, {
      fields: { AWSAccessKeyId: authorization.accessKeyId },
    });
  const payload = readPayloadMode(authorization.kind, request.headers, request.query);
  const { accessKeyId, scope, timestamp } = authorization;
  const key = rules.signingKeys.get(accessKeyId, credential.secret, scope);
  const signing: SigningContext = { key, timestamp, scope };
  const isRight = (canonical: string) =>
    sameSignature(authorization.signature, requestSignature(signing, canonical));
  let received: string | undefined;
  let signed: PathReading | undefined;
  for (const { canonical, path } of canonicalReadings(request, authorization, payload.signedHash)) {
    received ??= canonical;
    if (isRight(canonical)) {
      signed = path;
      break;
    }
  }
  if (!signed) throw signatureDoesNotMatch(authorization, received!);
  rules.signingKeys.keep(accessKeyId, credential.secret, scope, key);
  return {
    isPlusLiteral: signed.isPlusLiteral,
    accessKeyId: authorization.accessKeyId,
    credential,
    payload,
    signature: authorization.signature,
    signing,
  };
}

/** What the client may have signed, as it was received first; a bounded number of them. */
function* canonicalReadings(
  { method, rawPath, query, headers }: SignedRequest,
  { signedHeaders }: Authorization,
  payloadHash: string,
): Generator<{ canonical: string; path: PathReading }, void, undefined> {
  const paths = canonicalUris(rawPath);
  for (const overrides of headerReadings(signedHeaders, headers))
    for (const path of paths) {
      const { canonicalUri } = path;
      const input = { method, canonicalUri, query, headers, signedHeaders, overrides, payloadHash };
      yield { canonical: canonicalRequest(input), path };
    }
}

/**
 * AWS tells what was signed in its reckoning, so that the fault can be found; nothing in it is secret. Bytes in
 * hex too, since blanks and line ends do not show.
 */
function signatureDoesNotMatch(authorization: Authorization, canonical: string): S3Error {
  const stringToSign = requestStringToSign(authorization, canonical);
  return new S3Error('SignatureDoesNotMatch', undefined, {
    fields: {
      AWSAccessKeyId: authorization.accessKeyId,
      StringToSign: stringToSign,
      SignatureProvided: authorization.signature,
      StringToSignBytes: spacedHex(stringToSign),
      CanonicalRequest: textOfHeader(canonical),
      CanonicalRequestBytes: spacedHex(canonical),
    },
  });
}

function spacedHex(latin1: string): string {
  return Buffer.from(latin1, 'latin1')
    .toString('hex')
    .replace(/..(?=.)/g, '$& ');
}

/**
 * Some signers take the region out of the name of the host and cannot be told another (git-annex, the Haskell library
 * `aws`): for a host that is none of Amazon's they sign for the host's whole name. It says which gateway is meant as
 * well as the region does.
 */
function isHostName(region: string, host: string | undefined): boolean {
  return host !== undefined && host.replace(/:\d+$/, '').toLowerCase() === region.toLowerCase();
}

function checkScope(authorization: Authorization, region: string, host: string | undefined): void {
  const { scope, kind } = authorization;
  const code = kind === 'header' ? 'AuthorizationHeaderMalformed' : 'AuthorizationQueryParametersError';
  const lead =
    kind === 'header'
      ? 'The authorization header is malformed'
      : 'Error parsing the X-Amz-Credential parameter';
  if (scope.region !== region && !isHostName(scope.region, host))
    throw new S3Error(code, `${lead}; the region '${scope.region}' is wrong; expecting '${region}'`, {
      fields: { Region: region },
    });
  if (scope.service !== 's3')
    throw new S3Error(code, `${lead}; incorrect service "${scope.service}". This endpoint belongs to "s3".`);
}

function checkTime(authorization: Authorization, nowMs: number): void {
  const { signedAtMs, expiresSeconds } = authorization;
  if (expiresSeconds === undefined) {
    if (Math.abs(nowMs - signedAtMs) > SKEW_MAX_MS)
      throw new S3Error('RequestTimeTooSkewed', undefined, {
        fields: {
          RequestTime: authorization.timestamp,
          ServerTime: isoSeconds(nowMs),
          MaxAllowedSkewMilliseconds: String(SKEW_MAX_MS),
        },
      });
    return;
  }
  if (signedAtMs - nowMs > SKEW_MAX_MS) throw new S3Error('AccessDenied', 'Request is not valid yet');
  const endMs = signedAtMs + expiresSeconds * 1000;
  if (nowMs > endMs)
    throw new S3Error('AccessDenied', 'Request has expired', {
      fields: {
        'X-Amz-Expires': String(expiresSeconds),
        Expires: isoSeconds(endMs),
        ServerTime: isoSeconds(nowMs),
      },
    });
}

/** ISO 8601 without a fraction, as S3 tells times in errors. */
const isoSeconds = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+/, '');

/** CloudFront marks every request with it; nothing is done by it. */
const ADDED_BY_PROXIES: ReadonlySet<string> = new Set(['x-amz-cf-id']);

/** A header that changes what is done but is not signed could be added on the way. */
function checkCoverage(authorization: Authorization, headers: RequestHeaders): void {
  const signed = new Set(authorization.signedHeaders);
  const unsigned = headers
    .names()
    .filter((name) => name.startsWith('x-amz-') && !signed.has(name) && !ADDED_BY_PROXIES.has(name));
  if (!signed.has('host')) unsigned.unshift('host');
  if (unsigned.length > 0)
    throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', {
      fields: { HeadersNotSigned: unsigned.join(', ') },
    });
}
