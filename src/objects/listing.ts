import { afterKey, compareKeys, keyBytes, prefixEnd } from './key-order.js';

/** Rows of one kind in key order; `start` inclusive, `end` exclusive in UTF-8 bytes. */
export type PageSource<T> = (
  start: string,
  end: Uint8Array | undefined,
  limit: number,
) => Promise<readonly { key: string; item: T }[]>;

export interface RollUpRequest {
  readonly prefix: string;
  readonly delimiter?: string;
  /** Only what stands strictly after this key or common prefix. */
  readonly after?: string;
  readonly limit: number;
  /** The part of a row's name that prefix and delimiter are about; all of it where this is not given. */
  readonly keyOf?: (name: string) => string;
}

export interface RollUpResult<T> {
  readonly items: { key: string; item: T }[];
  readonly commonPrefixes: string[];
  readonly truncated: boolean;
  readonly last: string | undefined;
}

const PAGE_MAX = 1000;
/** What a page begins with where its rows may lie in one common prefix, all but the first of no use. */
const PROBE = 2;
/** A page has so many times as many rows as the one before it had names. */
const GROWTH = 4;

/**
 * One page of a listing as S3 defines it: keys that begin with the prefix; with a delimiter, those that hold it
 * after the prefix are rolled up into one common prefix, counted once. Reads rows in pages and skips over what
 * a common prefix covers: at most `PROBE + GROWTH` rows for each name that is returned, however many keys there are.
 */
export async function rollUp<T>(source: PageSource<T>, request: RollUpRequest): Promise<RollUpResult<T>> {
  const { prefix, delimiter, limit, keyOf = (name) => name } = request;
  const result: RollUpResult<T> = { items: [], commonPrefixes: [], truncated: false, last: undefined };
  if (limit <= 0) return result;

  const endText = prefixEnd(prefix);
  const end = endText === undefined ? undefined : keyBytes(endText);
  const commonPrefixOf = (name: string): string | undefined => {
    if (!delimiter) return undefined;
    const key = keyOf(name);
    const at = key.indexOf(delimiter, prefix.length);
    return at < 0 ? undefined : key.slice(0, at + delimiter.length);
  };

  let start: string | undefined = firstStart(request, commonPrefixOf);
  let last: string | undefined;
  let count = 0;
  let size = delimiter ? PROBE : PAGE_MAX;
  while (start !== undefined) {
    const wanted: number = Math.min(size, PAGE_MAX, limit - count + 1);
    const rows: readonly { key: string; item: T }[] = await source(start, end, wanted);
    const countBefore = count;
    let inside: string | undefined;
    for (const row of rows) {
      const common = commonPrefixOf(row.key);
      if (common !== undefined && common === inside) continue;
      if (count === limit) return { ...result, truncated: true, last };
      inside = common;
      if (common === undefined) result.items.push(row);
      else result.commonPrefixes.push(common);
      last = common ?? row.key;
      count += 1;
    }
    const tail = rows.at(-1);
    if (!tail || rows.length < wanted) break;
    start = inside === undefined ? afterKey(tail.key) : prefixEnd(inside);
    if (delimiter) size = Math.max(PROBE, GROWTH * (count - countBefore));
  }
  return { ...result, last };
}

function firstStart(
  request: RollUpRequest,
  commonPrefixOf: (key: string) => string | undefined,
): string | undefined {
  const { prefix, after } = request;
  if (after === undefined || after === '' || compareKeys(after, prefix) < 0) return prefix;
  // What stands before the marker was seen, and so was the common prefix that the marker lies in: it sorts
  // before it. Neither is listed again, however many keys of it follow.
  const common = after.startsWith(prefix) ? commonPrefixOf(after) : undefined;
  if (common !== undefined) return prefixEnd(common);
  // A marker past the prefix's range gives an empty page: the start then lies at or after `end`.
  return afterKey(after);
}
