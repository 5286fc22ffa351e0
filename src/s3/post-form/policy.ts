/**
 * The policy of a form: a pure reading of AWS "POST Policy". Every field must be covered by a condition, and
 * every condition must hold; names are compared in any case, values exactly.
 */
import { S3Error } from '../errors.js';
import type { FormFields } from './fields.js';

interface PolicyCondition {
  readonly operator: 'eq' | 'starts-with';
  /** Lower case, without its `$`; undefined: it names no field, so it never holds. */
  readonly field: string | undefined;
  readonly value: string;
  /** As S3 quotes it in its error. */
  readonly text: string;
}

export interface PostPolicy {
  readonly expiresMs: number;
  readonly conditions: readonly PolicyCondition[];
  /** All content-length-range together. */
  readonly minBytes: number;
  readonly maxBytes: number;
}

/** @param base64 as it was sent and signed. @throws S3Error InvalidPolicyDocument, AccessDenied */
export function parsePolicy(base64: string): PostPolicy {
  const root = readJson(base64);
  if (!isRecord(root)) throw invalid('Invalid JSON.');
  const extra = Object.keys(root).find((name) => name !== 'expiration' && name !== 'conditions');
  if (extra !== undefined) throw invalid(`Unexpected: '${extra.toLowerCase()}'`);
  const { expiration, conditions } = root;
  if (expiration === undefined) throw invalid('Policy missing expiration.');
  if (conditions === undefined) throw invalid('Policy missing conditions.');
  if (!Array.isArray(conditions)) throw invalid("Invalid 'conditions' value: must be a List.");
  const read: PolicyCondition[] = [];
  let [minBytes, maxBytes] = [0, Number.MAX_SAFE_INTEGER];
  for (const condition of conditions as unknown[]) {
    if (isLengthRange(condition)) {
      const [min, max] = readLengthRange(condition);
      minBytes = Math.max(minBytes, min);
      maxBytes = Math.min(maxBytes, max);
    } else read.push(readCondition(condition));
  }
  return { expiresMs: readExpiration(expiration), conditions: read, minBytes, maxBytes };
}

/**
 * Holds a form against its policy, all but the size of its file.
 * @throws S3Error AccessDenied with S3's sentence of the first thing that is wrong.
 */
export function checkPolicy(policy: PostPolicy, fields: FormFields, bucket: string, nowMs: number): void {
  if (nowMs >= policy.expiresMs) throw refused('Policy expired.');
  const covered = new Set<string>();
  for (const condition of policy.conditions) {
    const { field } = condition;
    // Whatever a field `bucket` says, the bucket is the one that the form was posted to.
    const value = field === 'bucket' ? bucket : field === undefined ? undefined : fields.get(field);
    if (field === undefined || value === undefined || !holds(condition, field, value))
      throw refused(`Policy Condition failed: ${condition.text}`);
    covered.add(field);
  }
  for (const name of ['bucket', ...fields.names()])
    if (!covered.has(name) && !isExempt(name)) throw refused(`Extra input fields: ${fields.sentName(name)}`);
  const named = fields.get('bucket');
  if (named !== undefined && named !== bucket)
    throw refused(`Policy Condition failed: ${quote(['eq', '$bucket', named])}`);
}

/** AWS: "except x-amz-signature, file, policy, and field names that have an x-ignore- prefix". */
function isExempt(name: string): boolean {
  return name === 'x-amz-signature' || name === 'file' || name === 'policy' || name.startsWith('x-ignore-');
}

function holds(condition: PolicyCondition, field: string, value: string): boolean {
  if (condition.operator === 'eq') return value === condition.value;
  // AWS: Content-Types "that include commas are interpreted as lists. Each value … must meet the condition".
  const values = field === 'content-type' ? value.split(',') : [value];
  return values.every((each, i) => (i === 0 ? each : each.trimStart()).startsWith(condition.value));
}

function readJson(base64: string): unknown {
  const text = base64.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.replace(/=+$/, '').length % 4 === 1)
    throw invalid('Invalid Base64 encoding.');
  try {
    const json = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'base64'));
    // AWS lists two escapes that JSON does not have. Backslashes go in pairs, so the second of one is no start.
    const plain = json.replace(/\\([\s\S])/g, (pair, c: string) =>
      c === '$' ? '$' : c === 'v' ? '\\u000b' : pair,
    );
    return JSON.parse(plain) as unknown;
  } catch (error) {
    throw invalid('Invalid JSON.', error);
  }
}

/** Only UTC, as `2013-08-01T12:00:00.000Z`; S3 refuses an offset. */
function readExpiration(value: unknown): number {
  const ms =
    typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(value)
      ? Date.parse(value)
      : Number.NaN;
  if (Number.isNaN(ms)) throw invalid(`Invalid 'expiration' value: '${shown(value)}'`);
  return ms;
}

function readCondition(condition: unknown): PolicyCondition {
  if (Array.isArray(condition)) return readListCondition(condition as unknown[]);
  if (!isRecord(condition)) throw invalid('Invalid condition test: must be a List or Object.');
  const entries = Object.entries(condition);
  if (entries.length !== 1)
    throw invalid('Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.');
  const [name, value] = entries[0]!;
  if (typeof value !== 'string') throw invalid('Invalid Simple-Condition: value must be a string.');
  return {
    operator: 'eq',
    field: name.toLowerCase(),
    value,
    text: quote(['eq', `$${name}`, value]),
  };
}

function readListCondition(condition: readonly unknown[]): PolicyCondition {
  const [operation, name, value] = condition;
  if (condition.length === 0) throw invalid('Invalid Condition: missing operation identifier.');
  const operator = typeof operation === 'string' ? operation.toLowerCase() : undefined;
  if (operator !== 'eq' && operator !== 'starts-with')
    throw invalid(`Invalid Condition: unknown operation '${shown(operation)}'.`);
  if (condition.length !== 3) throw invalid(`Invalid ${operator}: wrong number of arguments.`);
  if (typeof name !== 'string' || typeof value !== 'string') throw invalid('Invalid JSON.');
  return {
    operator,
    field: name.startsWith('$') ? name.slice(1).toLowerCase() : undefined,
    value,
    text: quote([operation, name, value]),
  };
}

function isLengthRange(condition: unknown): condition is unknown[] {
  if (!Array.isArray(condition)) return false;
  const operation: unknown = condition[0];
  return typeof operation === 'string' && operation.toLowerCase() === 'content-length-range';
}

/** Both ends are inclusive; S3 takes numbers written as texts too. */
function readLengthRange(condition: readonly unknown[]): [min: number, max: number] {
  if (condition.length !== 3) throw invalid('Invalid content-length-range: wrong number of arguments.');
  const ends = condition.slice(1).map((end) => {
    if (typeof end === 'string') {
      // S3 answers this as a condition that does not hold, not as a policy that cannot be read.
      if (!/^\d{1,15}$/.test(end)) throw refused(`Policy Condition failed: ${quote(condition)}`);
      return Number(end);
    }
    if (typeof end !== 'number' || !Number.isSafeInteger(end) || end < 0) throw invalid('Invalid JSON.');
    return end;
  });
  return [ends[0]!, ends[1]!];
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const quote = (items: readonly unknown[]): string =>
  `[${items.map((item) => JSON.stringify(item)).join(', ')}]`;

/** A text for an error, not longer than a line. */
const shown = (value: unknown): string =>
  (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).slice(0, 100);

const invalid = (message: string, cause?: unknown): S3Error =>
  new S3Error('InvalidPolicyDocument', `Invalid Policy: ${message}`, { cause });

const refused = (message: string): S3Error =>
  new S3Error('AccessDenied', `Invalid according to Policy: ${message}`);
