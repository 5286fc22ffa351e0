/**
 * Nothing of a request is passed over that would change what is stored, deleted or answered. An operation declares
 * the parameters and headers that it acts on; whatever else stands in a request is refused by name (501), known to
 * S3 today or not. So a sub-resource or header that is new in S3 is never taken for another operation, or for none.
 */
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import type { Operation } from './operation.js';
import type { Query } from './request-target.js';

/** Every operation may have them: who sends, when, how it is signed, and what S3 itself does nothing by. */
const EVERYWHERE: ReadonlySet<string> = new Set([
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-security-token',
  'x-amz-expected-bucket-owner',
  // Nobody pays for requests here.
  'x-amz-request-payer',
  // Of browsers' SDKs, of CloudFront, and of the Java SDK, which does without what it asks for.
  'x-amz-user-agent',
  'x-amz-cf-id',
  'x-amz-te',
]);

/** Conditions that a write must not pass over. A read may: then it answers with more. */
const CONDITIONS: readonly string[] = [
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
];

/** Which operation an AWS SDK means. */
const OPERATION_ID = 'x-id';
/** Of the signature itself, in presigned links. */
const HOISTED = /^x-amz-/i;

export interface AskedOperation {
  readonly operation: Operation;
  readonly method: string;
  /** Name of the parameter that chose the operation; '' for none. */
  readonly subresource: string;
  readonly query: Query;
  /** With those that a presigned link has in its query. */
  readonly headers: RequestHeaders;
}

/** @throws S3Error NotImplemented, AccessControlListNotSupported */
export function checkDeclared(asked: AskedOperation): void {
  checkParameters(asked);
  checkHeaders(asked.operation, asked.headers, asked.method);
}

function checkParameters({ operation, method, subresource, query }: AskedOperation): void {
  const isPresigned = query.has('X-Amz-Signature');
  for (const [name, value] of query.entries) {
    if (name === subresource || operation.parameters?.includes(name)) continue;
    if (name === OPERATION_ID) {
      // A link to read an object may be asked for its headers alone.
      if (value === operation.name || value === '' || method === 'HEAD') continue;
      throw notImplemented(
        `The operation ${value} is not implemented, and this is none of ${operation.name}.`,
      );
    }
    // They were taken for headers, and are checked as such.
    if (isPresigned && HOISTED.test(name)) continue;
    if (isHarmless(name, value, method)) continue;
    throw notImplemented(`The sub-resource or parameter ${name} is not implemented for ${operation.name}.`);
  }
}

/**
 * Sub-resources of S3 are bare names. A name with a value on a read is what pages add to get by caches (`?v=3`, and
 * `?1733000000`); S3 ignores that, and so does this.
 */
function isHarmless(name: string, value: string, method: string): boolean {
  if ((method !== 'GET' && method !== 'HEAD') || HOISTED.test(name)) return false;
  return value !== '' || !/[a-z]/i.test(name);
}

/** @throws S3Error NotImplemented, AccessControlListNotSupported for the first header that is not declared. */
export function checkHeaders(operation: Operation, headers: RequestHeaders, method: string): void {
  const isRead = method === 'GET' || method === 'HEAD';
  const declared = operation.headers ?? [];
  for (const name of headers.names()) {
    const isAskedOf = name.startsWith('x-amz-')
      ? !EVERYWHERE.has(name)
      : !isRead && CONDITIONS.includes(name);
    if (!isAskedOf || isDeclared(declared, name)) continue;
    if (name.startsWith('x-amz-grant-')) throw new S3Error('AccessControlListNotSupported');
    throw new S3Error('NotImplemented', `The header ${name} is not implemented for ${operation.name}.`, {
      // As S3 writes them.
      fields: { Header: name.startsWith('if-') ? name.replace(/\b[a-z]/g, (c) => c.toUpperCase()) : name },
    });
  }
}

/** A declared name that ends with a hyphen stands for all that begin so. */
function isDeclared(declared: readonly string[], name: string): boolean {
  return declared.some((d) => (d.endsWith('-') ? name.startsWith(d) && name.length > d.length : d === name));
}

const notImplemented = (message: string): S3Error => new S3Error('NotImplemented', message);
