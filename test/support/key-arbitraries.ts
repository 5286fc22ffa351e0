/** Random keys for property tests: mostly what is dangerous somewhere, the rest any Unicode. */
import fc from 'fast-check';
import type { ObjectKey } from '../../src/format/ids.js';
import { toObjectKey } from '../../src/format/key-escape.js';

const DANGEROUS = [
  ...['.', '..', '...', '.git', '.GIT', '.git.', '.git ', '.g\u200cit', 'git~1', 'GITATT~1', 'gi7eba~1'],
  ...['.gitattributes', '.gitmodules', '.gitignore', '.lfsconfig', '.mailmap', '.gateway', '.git::$DATA'],
  ...['%', '%25', '%2F', '%-', '%+', '%chunks', '%object', '%meta', '%00', '000000', 'data', 'link'],
  ...[
    '\\',
    '\n',
    '\t',
    '\u007f',
    '\u0001',
    '\u0085',
    '\ufeff',
    '~',
    '~1',
    ' ',
    '"',
    "'",
    '$(x)',
    '*',
    '?',
    '[',
  ],
  ...['-n', '-rf', '#', '!', 'é', 'e\u0301', '日本', '😀', 'CON', 'a', 'b', 'x'.repeat(99), 'é'.repeat(60)],
];

/** One component that may be empty. */
const component = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...DANGEROUS) },
      fc.string({ unit: 'grapheme', maxLength: 6 }),
    ),
    { maxLength: 4 },
  )
  .map((parts) => parts.join(''));

/** Keys of up to 1,024 bytes. */
export const keys: fc.Arbitrary<ObjectKey> = fc
  .array(component, { minLength: 1, maxLength: 6 })
  .map((components) => components.join('/'))
  .filter((text) => isKey(text))
  .map(toObjectKey);

/** Keys whose components a Linux file system can hold: no empty ones, no dots, no NUL, at most 255 bytes. */
export const fileKeys: fc.Arbitrary<ObjectKey> = keys.filter((key) =>
  key
    .split('/')
    .every(
      (name) =>
        name !== '' &&
        name !== '.' &&
        name !== '..' &&
        !name.includes('\0') &&
        Buffer.byteLength(name) <= 255,
    ),
);

function isKey(text: string): boolean {
  const sizeBytes = Buffer.byteLength(text);
  return sizeBytes >= 1 && sizeBytes <= 1024 && !/\p{Surrogate}/u.test(text);
}
