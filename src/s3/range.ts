/** Range and x-amz-copy-source-range (RFC 9110 §14.2). */
import type { RangeRequest } from '../objects/api.js';
import { S3Error } from './errors.js';

/** Beyond this no object reaches; larger numbers are cut to it, so that sums stay exact. */
const OFFSET_MAX_BYTES = Number.MAX_SAFE_INTEGER - 1;

const offset = (digits: string): number => Math.min(Number(digits), OFFSET_MAX_BYTES);

/**
 * The range asked for; undefined where the header is to be ignored and the whole object is the answer: unknown
 * unit, faulty syntax, or several ranges (S3 answers those with the whole object).
 */
export function parseRange(header: string | undefined): RangeRequest | undefined {
  const m = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? '');
  if (!m) return undefined;
  const [, first = '', last = ''] = m;
  if (first === '') return last === '' ? undefined : { kind: 'suffix', lengthBytes: offset(last) };
  const startBytes = offset(first);
  if (last === '') return { kind: 'from', startBytes };
  const endInclusiveBytes = offset(last);
  // RFC 9110 §14.1.1: a last position before the first makes the range invalid, and it is ignored.
  return endInclusiveBytes < startBytes ? undefined : { kind: 'from', startBytes, endInclusiveBytes };
}

/** @throws S3Error InvalidArgument: a copy never guesses. */
export function parseCopyRange(
  header: string | undefined,
): { startBytes: number; endInclusiveBytes: number } | undefined {
  if (header === undefined) return undefined;
  const m = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header.trim());
  if (!m || Number(m[2]) < Number(m[1]))
    throw new S3Error(
      'InvalidArgument',
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
      { fields: { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: header } },
    );
  return { startBytes: Number(m[1]), endInclusiveBytes: Number(m[2]) };
}
