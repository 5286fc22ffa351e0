// Attacks "a block that is lent is nobody else's", and invariant 5 ("Memory is bounded") of what is kept for use again.
import fc from 'fast-check';
import { BLOCK_BYTES, BlockPool } from '../../../src/chunks/block-pool.js';

test('a block that was given back is lent again, at any length', () => {
  const pool = new BlockPool();
  const first = pool.borrow(BLOCK_BYTES);
  pool.giveBack(first);
  const second = pool.borrow(BLOCK_BYTES / 2);
  expect(second.buffer).toBe(first.buffer);
  expect(second).toHaveLength(BLOCK_BYTES / 2);
  expect(pool.borrow(BLOCK_BYTES).buffer).not.toBe(first.buffer);
});

test('what lies unused is bounded: the rest is not kept', () => {
  const pool = new BlockPool();
  const many = () => Array.from({ length: 40 }, () => pool.borrow(BLOCK_BYTES));
  const first = many();
  for (const block of first) pool.giveBack(block);
  const earlier = new Set(first.map(({ buffer }) => buffer));
  expect(many().filter(({ buffer }) => earlier.has(buffer))).toHaveLength(16);
});

test('short reads get as much as they need, which is not kept', () => {
  const pool = new BlockPool();
  for (const sizeBytes of [0, 1, 1024]) {
    const bytes = pool.borrow(sizeBytes);
    expect([bytes.length, bytes.buffer.byteLength]).toEqual([sizeBytes, sizeBytes]);
    pool.giveBack(bytes);
    expect(pool.borrow(sizeBytes).buffer).not.toBe(bytes.buffer);
  }
});

test('no two have the same memory, whatever is given back, twice or by strangers', () => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant('borrow' as const),
      sizeBytes: fc.integer({ min: 0, max: BLOCK_BYTES + 1 }),
    }),
    fc.record({ kind: fc.constantFrom('give-back', 'again', 'part', 'keep'), at: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const pool = new BlockPool();
      const lent: Buffer[] = [];
      const returned: Buffer[] = [];
      for (const step of actions) {
        if (step.kind === 'borrow') {
          const block = pool.borrow(step.sizeBytes);
          expect(block).toHaveLength(step.sizeBytes);
          expect(lent.some((other) => other.buffer === block.buffer)).toBe(false);
          lent.push(block);
        } else if (step.kind === 'give-back' && lent.length > 0) {
          const [block] = lent.splice(step.at % lent.length, 1);
          pool.giveBack(block!);
          returned.push(block!);
        } else if (step.kind === 'again' && returned.length > 0) {
          // Its memory may be somebody else's by now.
          pool.giveBack(returned[step.at % returned.length]!);
        } else if (step.kind === 'part' && lent.length > 0) {
          pool.giveBack(lent[step.at % lent.length]!.subarray(0));
        }
      }
    }),
  );
});
