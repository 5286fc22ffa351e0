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
 * Conditions of a write on what it replaces or deletes: AWS knows If-Match, and If-None-Match: *.
 * @throws S3Error NotImplemented for any other, since ignoring it would overwrite what was to be kept.
 */
export function writeConditions(headers: RequestHeaders): Conditions {
  const ifMatch = headers.get('if-match');
  const ifNoneMatch = headers.get('if-none-match');
  if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== '*')
    throw new S3Error('NotImplemented', 'If-None-Match of a write may only be *.', {
      fields: { Header: 'If-None-Match' },
    });
  return {
    ...(ifMatch === undefined ? {} : { ifMatch: [oneEntityTag(ifMatch)] }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch: ['*'] }),
  };
}

/**
 * The entity tag that a write is to replace. S3 compares the whole value with the one tag that there is, quoted or
 * not: a list matches nothing (tried on AWS, versity/versitygw#2368). RFC 9110's lists are for reads.
 */
export function oneEntityTag(text: string): string {
  return text.trim().replace(/^"([^"]*)"$/, '$1');
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
