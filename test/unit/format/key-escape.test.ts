import { readFileSync } from 'node:fs';
import type { ObjectKey, TreePath } from '../../../src/format/ids.js';
import { escapeKey, toObjectKey, unescapePath } from '../../../src/format/key-escape.js';
import { classifyPath } from '../../../src/format/tree-layout.js';

interface Vectors {
  vectors: { key: string; path: string }[];
  foreign: { path: string }[];
}
const golden = JSON.parse(
  readFileSync(new URL('../../fixtures/format/escaping.json', import.meta.url), 'utf8'),
) as Vectors;

describe('escaping of keys', () => {
  test.each(golden.vectors)('key $key stands at $path', ({ key, path }) => {
    expect(escapeKey(toObjectKey(key))).toBe(path);
    expect(unescapePath(path as TreePath)).toBe(key);
    expect(classifyPath(path as TreePath)).toEqual({ kind: 'plain', key });
  });

  test.each(golden.foreign)('path $path is of no key', ({ path }) => {
    expect(unescapePath(path as TreePath)).toBeUndefined();
    expect(classifyPath(path as TreePath)).toEqual({ kind: 'foreign' });
  });

  test('the longest path of the worst keys stays below what Linux opens', () => {
    for (const unit of ['%', '/', '\u0001', '\ufeff', '~1']) {
      const key = toObjectKey(unit.repeat(Math.floor(1024 / Buffer.byteLength(unit))));
      const path = escapeKey(key);
      expect(Buffer.byteLength(path)).toBeLessThan(3200);
      expect(unescapePath(path)).toBe(key);
    }
  });
});

describe('a text becomes a key', () => {
  test('with 1 and with 1,024 bytes', () => {
    expect(toObjectKey('a')).toBe('a');
    expect(toObjectKey('é'.repeat(512))).toHaveLength(512);
  });

  test.each([
    ['it is empty', ''],
    ['it has 1,025 bytes', 'x'.repeat(1025)],
    ['it has 1,025 bytes in 513 characters', `${'é'.repeat(512)}x`],
    ['a high surrogate stands alone', 'a\ud800b'],
    ['a low surrogate stands alone', '\udc00'],
    ['surrogates stand the wrong way round', '\udc00\ud800'],
  ])('not where %s', (_why, text) => {
    expect(() => toObjectKey(text)).toThrow(RangeError);
  });

  test('a path whose key would be empty has no key', () => {
    // '%-' alone is one empty component: the empty key.
    expect(unescapePath('%-' as TreePath)).toBeUndefined();
    expect(escapeKey('a' as ObjectKey)).toBe('a');
  });
});
