/**
 * The judge of the tests with faults, judged: what a right register showed is never called a loss, a planted loss
 * always is, and of any small history it says what trying all orders says.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ABSENT, unexplained, type Operation } from '../support/history/register.js';
import { rounds } from '../support/rounds.js';

const VALUES = ['a', 'b', 'c', ABSENT];

const anyOperation: fc.Arbitrary<Operation> = fc
  .record({
    kind: fc.constantFrom('write' as const, 'write' as const, 'read' as const),
    value: fc.constantFrom(...VALUES),
    at: fc.tuple(fc.nat({ max: 30 }), fc.nat({ max: 12 })),
    told: fc.constantFrom('ok', 'ok', 'put off', 'no answer'),
  })
  .map(({ kind, value, at: [calledAt, lasts], told }) => ({
    ...{ kind, value, calledAt },
    overAt: told === 'no answer' && kind === 'write' ? Infinity : calledAt + lasts,
    isSure: kind === 'read' || told === 'ok',
  }));

/** All orders of all choices of those that may never have been in effect. */
function isExplained(operations: readonly Operation[]): boolean {
  const order = (left: readonly Operation[], value: string): boolean => {
    if (left.every((one) => !one.isSure)) return true;
    return left.some((one, i) => {
      const rest = left.filter((_, j) => j !== i);
      if (one.kind === 'read' && one.value !== value) return false;
      // What was over before this one was called, and comes later or never: never only where it is not sure.
      const passed = rest.filter((other) => other.overAt < one.calledAt);
      if (passed.some((other) => other.isSure)) return false;
      return order(
        rest.filter((other) => !passed.includes(other)),
        one.kind === 'write' ? one.value : value,
      );
    });
  };
  return order(operations, ABSENT);
}

test('it says of any small history what trying all orders says', () => {
  fc.assert(
    fc.property(fc.array(anyOperation, { maxLength: 7 }), (operations) => {
      expect(unexplained(operations) === undefined).toBe(isExplained(operations));
    }),
    { numRuns: rounds(3000) },
  );
});

/** What a right register did: operations in the order in which they were in effect, with calls and answers around. */
const rightHistory = fc
  .array(
    fc.record({
      kind: fc.constantFrom('write' as const, 'read' as const),
      told: fc.constantFrom('ok', 'ok', 'ok', 'put off', 'no answer'),
      isDone: fc.boolean(),
      before: fc.double({ min: 0, max: 4, noNaN: true }),
      after: fc.double({ min: 0, max: 4, noNaN: true }),
      deletes: fc.boolean(),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((steps) => {
    let value = ABSENT;
    const operations = steps.map(({ kind, told, isDone, before, after, deletes }, i): Operation => {
      const isSure = kind === 'read' || told === 'ok';
      const written = deletes ? ABSENT : `v${i}`;
      if (kind === 'write' && (isSure || isDone)) value = written;
      return {
        ...{ kind, isSure, calledAt: i - before },
        value: kind === 'write' ? written : value,
        overAt: told === 'no answer' && kind === 'write' ? Infinity : i + after,
      };
    });
    return { operations, value, endMs: steps.length + 10 };
  });

const lastRead = (value: string, atMs: number): Operation => ({
  ...{ kind: 'read', value, calledAt: atMs, overAt: atMs + 1, isSure: true },
});

test('what a right register shows is never called a loss', () => {
  fc.assert(
    fc.property(rightHistory, ({ operations, value, endMs }) => {
      expect(unexplained([...operations, lastRead(value, endMs)])).toBeUndefined();
    }),
    { numRuns: rounds(300) },
  );
});

test('one loss planted in a right history is found', () => {
  fc.assert(
    fc.property(rightHistory, fc.boolean(), ({ operations, value, endMs }, isOlder) => {
      // Acknowledged at the end, and then gone: as if it had never been, or as if what was before had come back.
      const last = {
        kind: 'write',
        value: 'last',
        calledAt: endMs,
        overAt: endMs + 1,
        isSure: true,
      } as const;
      // Late ones may come after it.
      const before = operations.map((one) => ({ ...one, overAt: Math.min(one.overAt, endMs - 1) }));
      const found = lastRead(isOlder ? value : ABSENT, endMs + 2);
      expect(unexplained([...before, last, found])).toEqual(found);
      expect(unexplained([...before, last, lastRead('last', endMs + 2)])).toBeUndefined();
    }),
    { numRuns: rounds(300) },
  );
});
