import type { CommitId } from '../../../../src/format/ids.js';
import { OwnAdvances } from '../../../../src/gitee/git/own-advances.js';

const id = (text: string) => text as CommitId;

describe('what this process itself has moved the branch by', () => {
  const advances = new OwnAdvances();
  advances.note(null, id('1'), ['a', 'b']);
  advances.note(id('1'), id('2'), ['a']);
  advances.note(id('2'), id('3'), ['b', 'c']);

  test.each([
    ['a', '2', '3', true],
    ['a', '1', '3', false],
    ['b', '1', '2', true],
    ['b', '1', '3', false],
    ['c', '1', '2', true],
    ['d', '1', '3', true],
    ['d', '3', '3', true],
    ['d', '3', '1', false],
    ['d', '0', '3', false],
    ['d', '2', '9', false],
  ])('touched nothing of %s between %s and %s: %s', (prefix, from, to, isUntouched) => {
    expect(advances.isUntouched(prefix, id(from), id(to))).toBe(isUntouched);
  });

  test('counts from the beginning of the branch too', () => {
    expect(advances.isUntouched('d', null, id('3'))).toBe(true);
    expect(advances.isUntouched('a', null, id('1'))).toBe(false);
    expect(advances.isUntouched('a', null, null)).toBe(true);
    expect(advances.isUntouched('a', id('1'), null)).toBe(false);
  });

  test('is forgotten after so many, and then nothing is said to be untouched', () => {
    const many = new OwnAdvances();
    for (let n = 0; n < 3_000; n += 1) many.note(id(`${n}`), id(`${n + 1}`), ['a']);
    expect(many.isUntouched('b', id('2900'), id('3000'))).toBe(true);
    expect(many.isUntouched('b', id('100'), id('3000'))).toBe(false);
  });
});
