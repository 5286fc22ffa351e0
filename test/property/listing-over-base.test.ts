/** Lists of a bucket with keys on its branch, keys that wait for their commit and keys that are deleted here only. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Change } from '../../src/journal/bucket-state.js';
import { compareKeys } from '../../src/objects/key-order.js';
import { rollUp } from '../../src/objects/listing.js';
import { bytesOf, JournalBucket, key, signal } from '../support/journal-bucket.js';
import { rounds } from '../support/rounds.js';

const component = fc.constantFrom('a', 'b', 'ab', '中', '\u{1f600}', '\uff61', '!');
const name = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const names = fc.uniqueArray(name, { maxLength: 60 });

const change = (kind: 'put' | 'delete', of: string): Change =>
  kind === 'delete'
    ? { kind, key: key(of) }
    : {
        ...{ kind, key: key(of) },
        object: {
          ...{ sizeBytes: 1, etag: of, lastModifiedMs: 1, meta: {} },
          body: { kind: 'plain', bytes: bytesOf('x') },
        },
      };

interface Names {
  readonly keys: readonly string[];
  readonly prefixes: readonly string[];
}

/** S3's words, one key at a time. */
function naive(all: readonly string[], prefix: string, delimiter: string | undefined, after: string): Names {
  const keys: string[] = [];
  const prefixes = new Set<string>();
  for (const of of [...all].sort(compareKeys)) {
    if (!of.startsWith(prefix)) continue;
    const at = delimiter === undefined ? -1 : of.indexOf(delimiter, prefix.length);
    const common = at < 0 ? undefined : of.slice(0, at + delimiter!.length);
    if (common === undefined ? compareKeys(of, after) <= 0 : isPassed(common, after)) continue;
    if (common === undefined) keys.push(of);
    else prefixes.add(common);
  }
  return { keys, prefixes: [...prefixes] };
}

/** A marker within a common prefix passes over it. */
const isPassed = (common: string, after: string) => compareKeys(common, after) <= 0;

test('pages of any size are the whole list of what the branch and the changes here make together', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ landed: names, put: names, deleted: fc.array(fc.nat(), { maxLength: 60 }) }),
      fc.array(
        fc.record({
          prefix: fc.constantFrom('', 'a', 'a/', '中/'),
          delimiter: fc.constantFrom(undefined, '/', '/a', 'b'),
          after: fc.oneof(fc.constant(''), name),
          limit: fc.integer({ min: 1, max: 9 }),
        }),
        { minLength: 4, maxLength: 8 },
      ),
      async ({ landed, put, deleted }, requests) => {
        const b = await JournalBucket.open();
        try {
          await b.start();
          if (landed.length > 0)
            await b.landed((await b.state.append(landed.map((of) => change('put', of))))!);
          // From now on nothing is committed.
          await b.kill();
          await b.reopen();
          await b.bucket.follower.followOnce(signal);
          const model = new Set([...landed, ...put]);
          const gone = [...model].filter((_, i) => deleted.includes(i));
          for (const of of gone) model.delete(of);
          const changes = [...put.map((of) => change('put', of)), ...gone.map((of) => change('delete', of))];
          if (changes.length > 0) await b.state.append(changes);
          for (const { prefix, delimiter, after, limit } of requests) {
            const keys: string[] = [];
            const prefixes: string[] = [];
            for (let marker = after; ;) {
              const page = await rollUp(
                async (start, end, size) =>
                  (await b.state.page(start, end, size)).map(({ key, record }) => ({
                    key,
                    item: record.etag,
                  })),
                { prefix, after: marker, limit, ...(delimiter === undefined ? {} : { delimiter }) },
              );
              keys.push(...page.items.map((item) => item.item));
              prefixes.push(...page.commonPrefixes);
              expect(page.items.length + page.commonPrefixes.length).toBeLessThanOrEqual(limit);
              if (!page.truncated) break;
              marker = page.last!;
            }
            expect({ keys, prefixes }).toEqual(naive([...model], prefix, delimiter, after));
          }
        } finally {
          await b.remove();
        }
      },
    ),
    { numRuns: rounds(60) },
  );
});
