/** Random trees and their changes: the delta, read as gitformat-pack(5) says, makes the new tree out of the old one. */
import fc from 'fast-check';
import { treeDelta } from '../../src/git-wire/tree-delta.js';
import { formatTree, MODE_FILE, MODE_TREE, type Tree } from '../../src/gitee/git/git-object.js';
import { rounds } from '../support/rounds.js';

const seed = Number(process.env['TREE_DELTA_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Reads a delta as git does. */
function apply(base: Buffer, delta: Buffer): Buffer {
  let at = 0;
  const size = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = delta[at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  expect(size()).toBe(base.length);
  const targetBytes = size();
  const out: Buffer[] = [];
  while (at < delta.length) {
    const op = delta[at++]!;
    if (op === 0) throw new Error('reserved');
    if (op < 0x80) {
      out.push(delta.subarray(at, at + op));
      at += op;
      continue;
    }
    let from = 0;
    let bytes = 0;
    for (let i = 0; i < 4; i += 1) if (op & (1 << i)) from += delta[at++]! * 256 ** i;
    for (let i = 0; i < 3; i += 1) if (op & (1 << (4 + i))) bytes += delta[at++]! * 256 ** i;
    if (bytes === 0) bytes = 0x10000;
    expect(from + bytes).toBeLessThanOrEqual(base.length);
    out.push(base.subarray(from, from + bytes));
  }
  const made = Buffer.concat(out);
  expect(made.length).toBe(targetBytes);
  return made;
}

const entry = fc.record({
  name: fc.stringMatching(/^[a-c.\-0é]{1,4}$/).map((text) => Buffer.from(text).toString('latin1')),
  mode: fc.constantFrom(MODE_FILE, MODE_TREE, '120000', '160000'),
  id: fc.constantFrom('1', '2', 'a').map((digit) => digit.repeat(40)),
});
const tree = fc
  .array(entry, { maxLength: 30 })
  .map((entries): Tree => new Map(entries.map(({ name, mode, id }) => [name, { mode, id }])));

test(`random trees (TREE_DELTA_SEED=${seed})`, () => {
  fc.assert(
    fc.property(tree, tree, (before, after) => {
      const base = formatTree(before);
      const target = formatTree(new Map([...before, ...after]));
      expect(apply(base, treeDelta(base, target))).toEqual(target);
      expect(apply(target, treeDelta(target, base))).toEqual(base);
    }),
    { seed, numRuns: rounds(300) },
  );
});

test('one change in a large directory is a few dozen bytes, beyond 64 KiB too', () => {
  const large: Tree = new Map();
  for (let i = 0; i < 5_000; i += 1)
    large.set(i.toString(16).padStart(64, '0'), { mode: MODE_TREE, id: i.toString(16).padStart(40, '7') });
  const base = formatTree(large);
  large.set('5'.repeat(64), { mode: MODE_TREE, id: 'f'.repeat(40) });
  large.set((4_000).toString(16).padStart(64, '0'), { mode: MODE_FILE, id: 'e'.repeat(40) });
  const target = formatTree(large);
  const delta = treeDelta(base, target);
  expect(apply(base, delta)).toEqual(target);
  expect(delta.length).toBeLessThan(320);
});
