/** Conditional headers (RFC 9110 §13.1); what they mean for an object is decided by the objects layer. */
import type { Conditions } from '../objects/api.js';
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';

/** Conditions of a read; `prefix` is `x-amz-copy-source-` for the source of a copy. */
export function readConditions(headers: RequestHeaders, prefix = ''): Conditions {
  const ifMatch = headers.get(`${prefix}if-match`);
  const ifNoneMatch = headers.get(`${prefix}if-none-match`);
  const modified = httpDateMs(headers.get(`${prefix}if-modified-since`));
  const unmodified = httpDateMs(headers.get(`${prefix}if-unmodified-since`));
  return {
    ...(ifMatch === undefined ? {} : { ifMatch: entityTags(ifMatch, 'strong') }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch: entityTags(ifNoneMatch, 'weak') }),
    ...(modified === undefined ? {} : { ifModifiedSinceMs: modified }),
    ...(unmodified === undefined ? {} : { ifUnmodifiedSinceMs: unmodified }),
  };
}

/** Conditions that writeConditions reads. */
export const WRITE_CONDITIONS: readonly string[] = ['if-match', 'if-none-match'];

/**
 * Conditions of PutObject, Complete and Copy on their destination: AWS knows If-Match, and If-None-Match: *.
 * @throws S3Error NotImplemented for any other, since ignoring it would overwrite what was to be kept.
 */
export function writeConditions(headers: RequestHeaders): Conditions {
  const lacking = (header: string, message: string) =>
    new S3Error('NotImplemented', message, { fields: { Header: header } });
  const conditions = readConditions(headers);
  if (conditions.ifNoneMatch && !conditions.ifNoneMatch.includes('*'))
    throw lacking('If-None-Match', 'If-None-Match of a write may only be *.');
  return conditions;
}

/**
 * Entity tags without quotes; `*` stands for any. With weak comparison `W/` is dropped, with strong comparison
 * it stays and so matches nothing (RFC 9110 §8.8.3.2).
 */
export function entityTags(text: string, comparison: 'strong' | 'weak'): string[] {
  if (text.trim() === '*') return ['*'];
  return text.split(',').flatMap((item) => {
    const tag = item.trim();
    const weak = tag.startsWith('W/');
    if (weak && comparison === 'strong') return [tag];
    const bare = (weak ? tag.slice(2) : tag).replace(/^"(.*)"$/, '$1');
    return bare === '' ? [] : [bare];
  });
}

/** Milliseconds of an HTTP date (RFC 9110 §5.6.7); undefined where it is none: such a condition is ignored. */
export function httpDateMs(text: string | undefined): number | undefined {
  if (text === undefined || !/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(text)) return undefined;
  // asctime has no zone and means UTC.
  const ms = Date.parse(/GMT$/.test(text) ? text : `${text} GMT`);
  return Number.isNaN(ms) ? undefined : ms;
}
