import fc from 'fast-check';
import { AuthError } from '../../src/auth/errors.js';
import { formatScope, parseScopes, type ResourceScope } from '../../src/auth/token/scopes.js';
import { ImagePattern } from '../../src/auth/image-pattern.js';
import { Fuzz } from '../support/fuzz.js';

const fuzz = new Fuzz();
const word = (alphabet: string, minLength = 1) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength: 8 });
const scope: fc.Arbitrary<ResourceScope> = fc
  .record({
    type: word('abcxyz09'),
    kind: fc.option(word('abcxyz09'), { nil: undefined }),
    name: fc.array(word('abc-_.:/*'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
    actions: fc.uniqueArray(word('abc*'), { maxLength: 4 }),
  })
  .map(({ kind, ...rest }) => (kind === undefined ? rest : { ...rest, class: kind }));

test('every scope that can be written is read as it was meant', () => {
  fuzz.assert(
    fc.property(scope, (meant) => {
      expect(parseScopes([formatScope(meant)])).toEqual([meant]);
    }),
    { numRuns: 1000 },
  );
});

test('any text is read or refused, and nothing that is read is larger than what was sent', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc
      .array(fc.constantFrom(':', ',', '(', ')', ' ', '*', 'a', 'repository', '%', '/'), { maxLength: 60 })
      .map((p) => p.join('')),
  );
  fuzz.assert(
    fc.property(fc.array(hostile, { maxLength: 5 }), (texts) => {
      let scopes: ResourceScope[];
      try {
        scopes = parseScopes(texts);
      } catch (error) {
        expect(error).toBeInstanceOf(AuthError);
        return;
      }
      expect(scopes.map(formatScope).join('').length).toBeLessThanOrEqual(texts.join('').length);
      const resources = scopes.map(({ type, class: kind, name }) => JSON.stringify([type, kind, name]));
      expect(new Set(resources).size).toBe(resources.length);
    }),
    { numRuns: 2000 },
  );
});

test('a pattern without stars matches itself only; one more exact is never matched by less', () => {
  const name = word('ab/.-');
  fuzz.assert(
    fc.property(name, name, (text, other) => {
      expect(new ImagePattern(text).matches(other)).toBe(text === other);
      expect(new ImagePattern(`${text}**`).matches(text + other)).toBe(true);
      expect(new ImagePattern(`${text}*`).matches(text + other)).toBe(!other.includes('/'));
      expect(new ImagePattern(text).compareTo(new ImagePattern(`${text}*`))).toBeGreaterThan(0);
    }),
    { numRuns: 1000 },
  );
});
