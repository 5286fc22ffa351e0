/** Random commands to a bucket: few keys, so that they meet, and sizes on both sides of every limit. */
import fc from 'fast-check';
import { bytesOf } from './s3-bucket.js';

const MIB = 1024 * 1024;
const POINTER = Buffer.from(
  `version https://git-lfs.github.com/spec/v1\noid sha256:${'c'.repeat(64)}\nsize 7\n`,
);

const key = fc.constantFrom(
  ...['a', 'a/', 'a/b', 'a/b/c', 'a//b', 'a%object', 'a%chunks/000000', 'b', '..', '.git/x', '中/é', 'é'],
  'k'.repeat(300),
);
const body = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom(0, 1, 65_536, 65_537, 200_000), fc.nat(5))
      .map(([n, s]) => bytesOf(n, `${s}`)),
  },
  { weight: 1, arbitrary: fc.nat(2).map((s) => bytesOf(8 * MIB + 5, `${s}`)) },
  { weight: 1, arbitrary: fc.constant(POINTER) },
);
const words = fc.dictionary(fc.constantFrom('x', 'y', 'z'), fc.constantFrom('1', 'two words', ''), {
  maxKeys: 2,
});

/** One command; not every one makes sense at every time, and then it does nothing. */
export const command = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('put' as const), key, body, metadata: words, tags: words }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('copy' as const),
      from: key,
      to: key,
      replace: fc.boolean(),
      replaceTags: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('put-if' as const, 'delete-if' as const),
      key,
      body,
      condition: fc.constantFrom('match' as const, 'any' as const, 'other' as const, 'none' as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete-one' as const), key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('create' as const), key, metadata: words }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('send-part' as const),
      upload: fc.nat(5),
      number: fc.constantFrom(1, 2, 9, 10_000),
      body: fc.oneof(body, fc.constant(bytesOf(5 * MIB, 'smallest'))),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('complete' as const),
      upload: fc.nat(5),
      /** Not all of them, or none, or in the wrong order. */
      spoil: fc.constantFrom(
        'no' as const,
        'no' as const,
        'drop' as const,
        'reverse' as const,
        'empty' as const,
      ),
      ifNoneMatch: fc.boolean(),
      again: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const), upload: fc.nat(5) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('uploads' as const), pageSize: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('untag' as const), key }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('delete' as const),
      keys: fc.array(key, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('tag' as const), key, tags: words }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('parts' as const), key, from: key, last: body }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('range' as const), key, at: fc.nat(70_000), length: fc.nat(10) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('list' as const),
      prefix: fc.constantFrom('', 'a', 'a/', 'k', '中'),
      delimiter: fc.constantFrom('', '/', 'b', '//'),
      after: fc.constantFrom('', 'a', 'a/', 'a/b', 'b'),
      pageSize: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'kill' as const, 'rebuild' as const) }),
  },
);
export type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;
