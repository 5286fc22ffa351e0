import fc from 'fast-check';
import type { TreePath } from '../../src/format/ids.js';
import { escapeKey, toObjectKey, unescapePath } from '../../src/format/key-escape.js';
import { looksLikePointer } from '../../src/format/lfs-pointer.js';
import { chunkPath, classifyPath, pathsOf } from '../../src/format/tree-layout.js';
import { keys } from '../support/key-arbitraries.js';
import { rounds } from '../support/rounds.js';

describe('escaping, for any key', () => {
  test('comes back as it was, in every place of the tree', () => {
    fc.assert(
      fc.property(keys, fc.nat(999_999), (key, index) => {
        const paths = pathsOf(key);
        expect(unescapePath(escapeKey(key))).toBe(key);
        expect(classifyPath(paths.plain)).toEqual({ kind: 'plain', key });
        expect(classifyPath(paths.object)).toEqual({ kind: 'object', key });
        expect(classifyPath(paths.meta)).toEqual({ kind: 'meta', key });
        expect(classifyPath(chunkPath(key, index))).toEqual({ kind: 'chunk', key, index });
      }),
      { numRuns: rounds(2000) },
    );
  });

  test('keeps different keys apart, and in different directories', () => {
    fc.assert(
      fc.property(keys, keys, fc.constantFrom('', '/', 'x', '%+/%+'), (a, other, glue) => {
        const text = glue === '' ? other : `${a}${glue}${other}`;
        fc.pre(a !== text && Buffer.byteLength(text) <= 1024);
        const b = toObjectKey(text);
        const [pathA, pathB] = [escapeKey(a), escapeKey(b)];
        expect(pathA).not.toBe(pathB);
        // One path is a directory of the other exactly where one key is: that is what `%object` is for.
        expect(pathB.startsWith(`${pathA}/`)).toBe(b.startsWith(`${a}/`));
      }),
      { numRuns: rounds(2000) },
    );
  });

  test('gives a key of ordinary names, which is taken as it is, what it gives the same names beside another', () => {
    const name = fc
      .tuple(
        fc.constantFrom('a', 'Z', '0', '_', '-', '.', '.git', 'é'),
        fc.constantFrom(0, 1, 63, 198, 199, 200),
      )
      .map(([start, length]) => start + 'x.'.repeat(100).slice(0, length));
    const plain = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
    fc.assert(
      fc.property(fc.oneof(plain, keys), (text) => {
        fc.pre(Buffer.byteLength(text) <= 1022);
        const [path, beside] = [escapeKey(toObjectKey(text)), escapeKey(toObjectKey(`${text}/%`))];
        expect(beside).toBe(`${path}/%25`);
        expect(unescapePath(path)).toBe(text);
      }),
      { numRuns: rounds(2000) },
    );
  });

  test('makes components that fit a file system and hold nothing to fear', () => {
    fc.assert(
      fc.property(keys, (key) => {
        for (const component of chunkPath(key, 0).split('/')) {
          expect(Buffer.byteLength(component)).toBeGreaterThan(0);
          expect(Buffer.byteLength(component)).toBeLessThanOrEqual(211);
          expect(component).not.toMatch(/[\p{Cc}\\]/u);
          expect(component).not.toMatch(/^\.(git|lfsconfig|mailmap|\.?$)/i);
        }
      }),
      { numRuns: rounds(2000) },
    );
  });

  test('any path at all is of some kind, and a key’s path is its only one', () => {
    const paths = fc
      .array(
        fc.oneof(
          keys,
          fc.constantFrom('%chunks', '%object', '%meta', '%+', '%-', '/', '.gateway/meta/', '000000'),
        ),
      )
      .map((parts) => parts.join('') as TreePath);
    fc.assert(
      fc.property(paths, (path) => {
        const kind = classifyPath(path);
        if (kind.kind === 'plain') expect(pathsOf(kind.key).plain).toBe(path);
        if (kind.kind === 'object') expect(pathsOf(kind.key).object).toBe(path);
        if (kind.kind === 'meta') expect(pathsOf(kind.key).meta).toBe(path);
        if (kind.kind === 'chunk') expect(chunkPath(kind.key, kind.index)).toBe(path);
      }),
      { numRuns: rounds(2000) },
    );
  });
});

test('random bytes are no pointers', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => !looksLikePointer(bytes)));
});
