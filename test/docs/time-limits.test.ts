/** The lint rule that keeps time limits of tests in one place, asked about each way to say one. */
import { Linter } from 'eslint';
import { parser } from 'typescript-eslint';
import { limitMs, TEST_LIMIT_MS } from '../support/time-limits.js';

/** Without a declaration file: TypeScript must not look for one. */
const CONFIG: string = '../../eslint.config.js';

let rules: NonNullable<Linter.Config['rules']>;
beforeAll(async () => {
  const { default: blocks } = (await import(CONFIG)) as {
    default: Linter.Config[];
  };
  rules = blocks.find(({ ignores }) => ignores?.includes('test/support/time-limits.ts'))!.rules!;
});

function complaints(code: string): string[] {
  const linter = new Linter();
  return linter.verify(code, [{ languageOptions: { parser: parser }, rules }]).map(({ message }) => message);
}

test.each([
  "test('x', () => {}, 60_000);",
  "test.only('x', () => {}, 60_000);",
  "test('x', () => {}, 60 * SECOND_MS);",
  "test.each([1])('x %s', () => {}, 60_000);",
  "test.each`a`('x %s', () => {}, 60_000);",
  'beforeAll(() => {}, 60_000);',
  'afterEach(() => {}, 60_000);',
  'jest.setTimeout(60_000);',
  "await until('x', () => true, 30_000);",
  'AbortSignal.timeout(30_000);',
  "await mustRun('git', ['gc'], { cwd, timeoutMs: 30_000 });",
  "spawn('git', ['gc'], { timeout: 30_000 });",
  'setTimeout(() => reject(new Error()), 10_000);',
  'expect(Date.now() - startedMs).toBeLessThan(10_000);',
  "await curl('--max-time', '60', url);",
])('%s: how long it may take is said elsewhere', (code) => {
  expect(complaints(code)).toEqual([expect.stringContaining('test/support/time-limits.ts')]);
});

test.each([
  'await new Promise((resolve) => setTimeout(resolve, quietMs));',
  "import { setTimeout as sleep } from 'node:timers/promises';",
])('%s: a test waits for a condition', (code) => {
  expect(complaints(code)).toEqual([expect.stringContaining('waits for a condition')]);
});

test.each(["it('x', () => {});", "it.each([1])('x', () => {});", "import { it } from '@jest/globals';"])(
  '%s: a case is called test',
  (code) => {
    expect(complaints(code)).toEqual([expect.stringContaining('A case is called test')]);
  },
);

test.each([
  "test('x', () => {}, 4 * TEST_LIMIT_MS);",
  "test('x', () => {}, limitMs(900_000));",
  "await until('x', () => true, CONDITION_LIMIT_MS);",
  "test.each([60_000, 120_000])('%s', () => {});",
  'const timeouts = { idleMs: 60, totalMs: 150 };',
  'await clock.sleep(60_000);',
  'expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(600_000);',
  'await new Promise((resolve) => setImmediate(resolve));',
])('%s is allowed', (code) => {
  expect(complaints(code)).toEqual([]);
});

test('a limit is multiplied by TEST_TIME_SCALE', () => {
  const scale = Number(process.env['TEST_TIME_SCALE'] ?? 1);
  expect([limitMs(1_000), TEST_LIMIT_MS]).toEqual([1_000 * scale, 300_000 * scale]);
});
