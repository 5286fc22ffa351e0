/**
 * CORS as S3 does it: pure rules, no HTTP. AWS: "How does Amazon S3 evaluate the CORS configuration on a
 * bucket?": the first rule counts whose origin, method and headers all match.
 */
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import { document, element, optional, type Xml } from './xml/write.js';

/** Methods that S3 lets a rule have. */
export const CORS_METHODS = ['GET', 'PUT', 'POST', 'DELETE', 'HEAD'] as const;

export interface CorsRule {
  /** Each with at most one `*`. */
  readonly origins: readonly string[];
  readonly methods: readonly string[];
  /** Headers that a script may send; each with at most one `*`, in any case. */
  readonly headers: readonly string[];
  /** Headers that a script may read. */
  readonly exposeHeaders: readonly string[];
  /** How long a browser may keep the answer to a preflight. */
  readonly maxAgeSeconds?: number;
}

/** What a browser says of the request that it makes, or wants to make. */
export interface CrossOriginRequest {
  readonly origin: string;
  readonly method: string;
  /** Lower case, in the order that they were asked for. */
  readonly headers: readonly string[];
}

export interface CorsMatch {
  readonly rule: CorsRule;
  /** `*` where only that lets the origin in. */
  readonly allowOrigin: string;
  readonly requestHeaders: readonly string[];
}

/** The rule that lets a request in, if any does. */
export function matchCors(rules: readonly CorsRule[], request: CrossOriginRequest): CorsMatch | undefined {
  for (const rule of rules) {
    const origin = rule.origins.find((pattern) => matchesPattern(pattern, request.origin));
    if (origin === undefined || !rule.methods.includes(request.method)) continue;
    const isAllowed = (header: string) =>
      rule.headers.some((pattern) => matchesPattern(pattern.toLowerCase(), header));
    if (!request.headers.every(isAllowed)) continue;
    return {
      rule,
      allowOrigin: origin === '*' ? '*' : request.origin,
      requestHeaders: request.headers,
    };
  }
  return undefined;
}

/** One `*` stands for any run of characters, also for none. */
function matchesPattern(pattern: string, text: string): boolean {
  const star = pattern.indexOf('*');
  if (star < 0) return pattern === text;
  const [head, tail] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return text.length >= head.length + tail.length && text.startsWith(head) && text.endsWith(tail);
}

/** Headers of an answer to a request that a rule lets in; the same for a preflight, as S3 sends them. */
function corsHeaders(match: CorsMatch): Record<string, string> {
  const { rule, allowOrigin, requestHeaders } = match;
  return {
    'Access-Control-Allow-Origin': allowOrigin,
    'Access-Control-Allow-Methods': rule.methods.join(', '),
    ...(requestHeaders.length > 0 ? { 'Access-Control-Allow-Headers': requestHeaders.join(', ') } : {}),
    ...(rule.exposeHeaders.length > 0
      ? { 'Access-Control-Expose-Headers': rule.exposeHeaders.join(', ') }
      : {}),
    ...(rule.maxAgeSeconds === undefined ? {} : { 'Access-Control-Max-Age': String(rule.maxAgeSeconds) }),
    // Fetch §3.3.5: credentials and `*` exclude each other.
    ...(allowOrigin === '*' ? {} : { 'Access-Control-Allow-Credentials': 'true' }),
    Vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
  };
}

/**
 * The answer to a preflight (OPTIONS), which is never signed.
 * @throws S3Error BadRequest, AccessForbidden
 */
export function preflightHeaders(
  rules: readonly CorsRule[],
  headers: RequestHeaders,
  resourceType: 'BUCKET' | 'OBJECT',
): Record<string, string> {
  const origin = headers.get('origin');
  if (!origin) throw new S3Error('BadRequest', 'Insufficient information. Origin request header needed.');
  const method = headers.get('access-control-request-method');
  const fields = { Method: method ?? 'OPTIONS', ResourceType: resourceType };
  if (rules.length === 0) throw new S3Error('AccessForbidden', undefined, { fields });
  if (!method) throw new S3Error('BadRequest', 'Invalid Access-Control-Request-Method: null');
  const match = matchCors(rules, { origin, method, headers: requestedHeaders(headers) });
  if (!match) throw new S3Error('AccessForbidden', NOT_ALLOWED, { fields });
  return corsHeaders(match);
}

/** S3's sentence, its spelling included. */
const NOT_ALLOWED =
  "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";

/** Headers of the answer to any other request, errors included; none where no rule fits: the browser decides. */
export function answerHeaders(
  rules: readonly CorsRule[],
  method: string,
  headers: RequestHeaders,
): Record<string, string> {
  const origin = headers.get('origin');
  if (!origin || rules.length === 0) return {};
  const match = matchCors(rules, {
    origin,
    method: headers.get('access-control-request-method') ?? method,
    headers: requestedHeaders(headers),
  });
  return match ? corsHeaders(match) : {};
}

function requestedHeaders(headers: RequestHeaders): string[] {
  return (headers.get('access-control-request-headers') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
}

/** What is wrong with an origin or header of a rule; undefined: nothing. */
export function patternMistake(pattern: string): string | undefined {
  if (pattern === '') return 'must not be empty';
  if (pattern.split('*').length > 2) return 'may have one * only';
  // They are sent back in headers of the answer.
  if (/[^\x21-\x7e]/.test(pattern)) return 'must be printable ASCII without blanks';
  return undefined;
}

/** The document of GetBucketCors. */
export function corsDocument(rules: readonly CorsRule[]): string {
  const each = (name: string, values: readonly string[]): Xml[] => values.map((v) => element(name, v));
  return document(
    'CORSConfiguration',
    rules.map((rule) =>
      element('CORSRule', [
        ...each('AllowedHeader', rule.headers),
        ...each('AllowedMethod', rule.methods),
        ...each('AllowedOrigin', rule.origins),
        ...each('ExposeHeader', rule.exposeHeaders),
        ...optional('MaxAgeSeconds', rule.maxAgeSeconds),
      ]),
    ),
  );
}
