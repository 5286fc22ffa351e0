import fc from 'fast-check';
import { compareKeys, keyBytes } from '../../src/objects/key-order.js';
import { rollUp, type PageSource } from '../../src/objects/listing.js';
import { rounds } from '../support/rounds.js';

const component = fc.constantFrom('', 'a', 'b', 'ab', 'foo', '%', '中', '\u{1f600}', '\uff61', '!');
const key = fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const keys = fc
  .uniqueArray(key, { maxLength: 40 })
  .map((list) => list.filter((k) => k !== '').sort(compareKeys));

function sourceOf(all: readonly string[]): PageSource<string> {
  return async (start, end, limit) =>
    all
      .filter((k) => compareKeys(k, start) >= 0 && (!end || Buffer.compare(keyBytes(k), end) < 0))
      .slice(0, limit)
      .map((k) => ({ key: k, item: k }));
}

/** S3's words, one key at a time: what a listing without pages has. */
function expected(all: readonly string[], prefix: string, delimiter: string | undefined): string[] {
  const seen: string[] = [];
  for (const k of all) {
    if (!k.startsWith(prefix)) continue;
    const at = delimiter ? k.indexOf(delimiter, prefix.length) : -1;
    const name = at < 0 ? k : k.slice(0, at + delimiter!.length);
    if (seen.at(-1) !== name) seen.push(name);
  }
  return seen;
}

describe('listing', () => {
  test('pages of any size joined are the whole listing, common prefixes counted once', async () => {
    await fc.assert(
      fc.asyncProperty(
        keys,
        fc.constantFrom('', 'a', 'a/', 'foo', '中', '/'),
        fc.constantFrom(undefined, '/', 'o/', 'b'),
        fc.integer({ min: 1, max: 7 }),
        async (all, prefix, delimiter, limit) => {
          const got: string[] = [];
          let after: string | undefined;
          for (;;) {
            const page = await rollUp(sourceOf(all), {
              prefix,
              limit,
              ...(delimiter ? { delimiter } : {}),
              ...(after !== undefined ? { after } : {}),
            });
            const names = [...page.items.map((i) => i.key), ...page.commonPrefixes].sort(compareKeys);
            expect(names.length).toBeLessThanOrEqual(limit);
            got.push(...names);
            if (!page.truncated) break;
            expect(names.length).toBe(limit);
            expect(page.last).toBe(names.at(-1));
            after = page.last;
          }
          expect(got).toEqual(expected(all, prefix, delimiter));
        },
      ),
      { numRuns: rounds(300) },
    );
  });

  test('a limit of zero lists nothing and is not truncated', async () => {
    const page = await rollUp(sourceOf(['a', 'b']), { prefix: '', limit: 0 });
    expect(page).toEqual({ items: [], commonPrefixes: [], truncated: false, last: undefined });
  });

  test('a marker inside a common prefix stands after that prefix, and so does the prefix itself', async () => {
    const all = ['d/1', 'd/2', 'e'];
    const inside = await rollUp(sourceOf(all), { prefix: '', delimiter: '/', after: 'd/1', limit: 10 });
    expect([inside.commonPrefixes, inside.items.map((i) => i.key)]).toEqual([[], ['e']]);
    const before = await rollUp(sourceOf(all), { prefix: '', delimiter: '/', after: 'd', limit: 10 });
    expect(before.commonPrefixes).toEqual(['d/']);
    const past = await rollUp(sourceOf(all), { prefix: '', delimiter: '/', after: 'd/', limit: 10 });
    expect(past.commonPrefixes).toEqual([]);
    expect(past.items.map((i) => i.key)).toEqual(['e']);
  });

  test('a directory of many keys costs few look-ups', async () => {
    const all = Array.from({ length: 20_000 }, (_, i) => `big/${String(i).padStart(6, '0')}`).concat('z');
    let rows = 0;
    const inner = sourceOf(all);
    const page = await rollUp<string>(
      async (...args) => {
        const found = await inner(...args);
        rows += found.length;
        return found;
      },
      { prefix: '', delimiter: '/', limit: 1000 },
    );
    expect(page.commonPrefixes).toEqual(['big/']);
    expect(page.items.map((i) => i.key)).toEqual(['z']);
    expect(rows).toBeLessThan(1100);
  });
});
