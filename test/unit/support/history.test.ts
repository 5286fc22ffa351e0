/** The judge of the tests with faults: what it takes for a loss, and what not. */
import { describe, expect, test } from '@jest/globals';
import {
  ABSENT,
  History,
  outcomeOf,
  valueOf,
  type Outcome,
  type Value,
} from '../../support/history/history.js';

const shows = (value: Value) => () => Promise.resolve(value);
const told = (history: History, value: Value, outcome: Outcome, concern: 'local' | 'remote' = 'local') =>
  history.write('k', value, concern, () => Promise.resolve(outcome));
const lost = async (history: History, value: Value, concern: 'local' | 'remote' = 'local') =>
  (await history.problems(shows(value), concern)).length > 0;

describe('a key at which writes were called one after the other', () => {
  test('shows what was acknowledged last, and nothing older', async () => {
    const history = new History();
    await told(history, 'one', 'ok');
    await told(history, 'two', 'ok');
    expect(history.possible('k')).toEqual(['two']);
    expect(await lost(history, 'two')).toBe(false);
    expect(await lost(history, 'one')).toBe(true);
    expect(await lost(history, ABSENT)).toBe(true);
  });

  test('shows nothing after an acknowledged deletion', async () => {
    const history = new History();
    await told(history, 'one', 'ok');
    await told(history, ABSENT, 'ok');
    expect(history.possible('k')).toEqual([ABSENT]);
    expect(await lost(history, 'one')).toBe(true);
  });

  test('never shows what was refused, or what nobody wrote', async () => {
    const history = new History();
    await told(history, 'one', 'ok');
    await told(history, 'bad', 'refused');
    expect(await lost(history, 'bad')).toBe(true);
    expect(await lost(history, 'rot')).toBe(true);
    expect(await lost(history, 'one')).toBe(false);
  });

  test.each<Outcome>(['put off', 'no answer'])('may show a write that was %s, or not', async (outcome) => {
    const history = new History();
    history.begins('k', 'old');
    await told(history, 'maybe', outcome);
    expect(new Set(history.possible('k'))).toEqual(new Set(['old', 'maybe']));
  });

  test('does not go back to what was put off before an acknowledged write', async () => {
    const history = new History();
    await told(history, 'maybe', 'put off');
    await told(history, 'two', 'ok');
    expect(history.possible('k')).toEqual(['two']);
  });

  test('may show a write without an answer after a later one until the process that has it is gone', async () => {
    const history = new History();
    await told(history, 'maybe', 'no answer');
    await told(history, 'two', 'ok');
    expect(new Set(history.possible('k'))).toEqual(new Set(['maybe', 'two']));
    const restarted = new History();
    await told(restarted, 'maybe', 'no answer');
    restarted.serverEnded();
    await told(restarted, 'two', 'ok');
    expect(restarted.possible('k')).toEqual(['two']);
  });

  test('stays as it was seen', async () => {
    const history = new History();
    history.begins('k', 'old');
    await told(history, 'maybe', 'put off');
    expect(await lost(history, 'maybe')).toBe(false);
    expect(await lost(history, 'old')).toBe(true);
  });
});

describe('writes under way at the same time', () => {
  test('leave either', async () => {
    const history = new History();
    const [one, two] = [history.begin('k', 'one', 'local'), history.begin('k', 'two', 'local')];
    two.ended('ok');
    one.ended('ok');
    expect(new Set(history.possible('k'))).toEqual(new Set(['one', 'two']));
    expect(await lost(history, ABSENT)).toBe(true);
  });

  test('leave what a read has seen of them, in its order', async () => {
    const history = new History();
    const [one, two] = [history.begin('k', 'one', 'local'), history.begin('k', 'two', 'local')];
    await history.read('k', shows('one'));
    await history.read('k', shows('two'));
    one.ended('ok');
    two.ended('ok');
    expect(history.possible('k')).toEqual(['two']);
  });
});

describe('reads meanwhile', () => {
  test('that see what a later acknowledged write had replaced are found', async () => {
    const history = new History();
    await told(history, 'one', 'ok');
    await told(history, 'two', 'ok');
    await history.read('k', shows('one'));
    expect(history.problemsOfReads()).toEqual([expect.stringContaining('k: one is there')]);
  });

  test('that see a write before it was called are found', async () => {
    const history = new History();
    await history.read('k', shows('two'));
    await told(history, 'two', 'ok');
    expect(history.problemsOfReads()).toHaveLength(1);
  });

  test('that see one that is under way are right', async () => {
    const history = new History();
    const call = history.begin('k', 'two', 'local');
    await history.read('k', shows('two'));
    call.ended('ok');
    expect(history.problemsOfReads()).toEqual([]);
  });
});

describe('a copy of what is on Gitee', () => {
  test('has what was acknowledged as being there, and need not have what is safe here', async () => {
    const history = new History();
    await told(history, 'there', 'ok', 'remote');
    await told(history, 'here', 'ok', 'local');
    await history.read('k', shows('here'));
    expect(new Set(history.possible('k', 'remote'))).toEqual(new Set(['there', 'here']));
    expect(await lost(history, ABSENT, 'remote')).toBe(true);
    expect(await lost(history, 'there', 'remote')).toBe(false);
    expect(await lost(history, 'there', 'local')).toBe(true);
  });
});

test('what can not be read is a loss, told with all that was said of it', async () => {
  const history = new History();
  await told(history, 'one', 'ok');
  const [problem] = await history.problems(() => Promise.reject(new Error('500')));
  expect(problem).toContain("k: can't be read: 500");
  expect(problem).toContain('write (local) at 1 to 2: one: ok');
});

test('bytes are told apart, and a status says how a call ended', () => {
  expect(valueOf('a')).toBe(valueOf(Buffer.from('a')));
  expect(valueOf('a')).not.toBe(valueOf('b'));
  expect([200, 204, 404, 412, 503, undefined].map(outcomeOf)).toEqual([
    ...['ok', 'ok', 'refused', 'refused', 'put off', 'no answer'],
  ]);
});
