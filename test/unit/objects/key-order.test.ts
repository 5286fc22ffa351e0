import fc from 'fast-check';
import { afterKey, compareKeys, keyBytes, prefixEnd } from '../../../src/objects/key-order.js';

const text = fc.string({ unit: 'binary' });

describe('key order', () => {
  test('keys stand in the order of their UTF-8 bytes, not of UTF-16 units', () => {
    expect('\uff61' < '\u{1f600}').toBe(false);
    expect(compareKeys('\uff61', '\u{1f600}')).toBeLessThan(0);
  });

  test('two keys stand as their UTF-8 bytes do', () => {
    // Of few characters, so that many begin alike: below, within and above the surrogates, and two of one high surrogate.
    const near = fc.string({
      unit: fc.constantFrom('a', 'b', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '😁'),
    });
    fc.assert(
      fc.property(fc.oneof(text, near), fc.oneof(text, near), (a, b) => {
        expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(keyBytes(a), keyBytes(b)));
      }),
    );
  });

  test('nothing stands between a key and what follows it', () => {
    fc.assert(
      fc.property(text, text, (key, other) => {
        fc.pre(compareKeys(other, key) > 0);
        expect(compareKeys(afterKey(key), other)).toBeLessThanOrEqual(0);
      }),
    );
  });

  test('the end of a prefix stands after all that begins with it and before all else', () => {
    fc.assert(
      fc.property(text, text, text, (prefix, rest, other) => {
        const end = prefixEnd(prefix);
        fc.pre(end !== undefined);
        expect(compareKeys(prefix + rest, end)).toBeLessThan(0);
        if (compareKeys(other, prefix) > 0 && !other.startsWith(prefix)) {
          expect(compareKeys(other, end)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  test('the end of a prefix is well-formed text beside the surrogates and at the last code point', () => {
    expect(prefixEnd('a\ud7ff')).toBe('a\ue000');
    expect(prefixEnd('a\u{10ffff}')).toBe('b');
    expect(prefixEnd('\u{10ffff}')).toBeUndefined();
    expect(prefixEnd('')).toBeUndefined();
    expect(keyBytes('é')).toEqual(new Uint8Array([0xc3, 0xa9]));
  });
});
