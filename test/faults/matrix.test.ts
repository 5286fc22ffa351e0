/**
 * Invariants 1, 3 and 6 as a table: every fault that we know of against every operation, with what the client is told,
 * within how long, and what is there afterwards (matrix/faults.ts). Some rows; all of them with LONG_TESTS=1.
 * FAULT_NAMES=a,b: those rows only. FAULT_ROUNDS=500 adds so many random rounds; their seed is printed, and FAULT_SEED
 * repeats their choices.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { limitMs, TEST_LIMIT_MS } from '../support/time-limits.js';
import { FAULTS, cellOf, type Expected, type Fault } from './matrix/faults.js';
import { OPERATIONS } from './matrix/operations.js';
import { randomOf, round } from './matrix/rounds.js';
import { HOLD_MS, MatrixWorld, type Ran } from './matrix/world.js';

/** One of each kind: Gitee that refuses, hangs, is slow, full, or answers in another way; this machine; a client. */
const SHORT = new Set<Fault['name']>([
  ...(['git-refuse-push', 'git-stall', 'lfs-quota-full', 'lfs-upload-slow', 'lfs-no-verify'] as const),
  ...(['lfs-no-range', 'lfs-chunked-header', 'clock: set back', 'process: ended and started'] as const),
  'client: leaves before the answer',
]);
const ROWS = FAULTS.filter(({ name }) => process.env['LONG_TESTS'] !== undefined || SHORT.has(name));
const ROUNDS = Number(process.env['FAULT_ROUNDS'] ?? 0);
const ROUNDS_PER_CHECK = 25;
const SEED = Number(process.env['FAULT_SEED'] ?? Date.now() % 1_000_000);
const ONLY = process.env['FAULT_NAMES']?.split(',');

const LIMIT_MS: Record<Expected['within'], number> = {
  soon: limitMs(30_000),
  hold: HOLD_MS + limitMs(30_000),
  patience: limitMs(60_000),
};

let world: MatrixWorld;
beforeAll(async () => {
  world = await MatrixWorld.start(FAULTS.map(({ name }) => name));
});
afterAll(() => world.close());

describe.each(ROWS.filter(({ name }) => ONLY?.includes(name) ?? true))('$name', (fault) => {
  let ran: Map<string, Ran>;
  const cells = OPERATIONS.flatMap((operation) => {
    const cell = cellOf(fault, operation);
    return 'never' in cell ? [] : [{ name: operation.name, cell }];
  });

  beforeAll(async () => {
    ran = await world.run(fault);
  }, TEST_LIMIT_MS);

  if (fault.kind === 'gitee' && fault.unmet === undefined)
    test('is met by requests', () => expect(world.faults.hits.get(fault.name)).toBeGreaterThan(0));

  test.each(cells)('$name', ({ name, cell }) => {
    const { told, tookMs, effects } = ran.get(name)!;
    expect(cell.told).toContain(told);
    expect(tookMs).toBeLessThan(LIMIT_MS[cell.within]);
    for (const { value, found, before } of effects) {
      if (cell.after === 'done' || Number(told) < 300) expect(found).toBe(value);
      else if (cell.after === 'not done') expect(found).toBe(before);
      else expect([value, before]).toContain(found);
    }
  });
});

if (ROUNDS > 0)
  test(
    `${ROUNDS} random rounds (FAULT_SEED=${SEED}) lose nothing and keep nobody waiting`,
    async () => {
      const random = randomOf(SEED);
      const rssMiB: number[] = [];
      let longest = { fault: '', longestMs: 0, n: 0 };
      for (let n = 0; n < ROUNDS; n += 1) {
        const came = await round(world, n, random);
        if (came.longestMs > longest.longestMs) longest = { ...came, n };
        if (n % ROUNDS_PER_CHECK !== ROUNDS_PER_CHECK - 1) continue;
        expect(await world.history.problems(world.viewOf(world.history))).toEqual([]);
        expect(world.history.problemsOfReads()).toEqual([]);
        rssMiB.push(await world.rssAnonMiB());
        process.stderr.write(
          `round ${n + 1} of ${ROUNDS}: longest wait ${JSON.stringify(longest)}, RssAnon ${rssMiB.at(-1)} MiB\n`,
        );
      }
      expect(longest.longestMs).toBeLessThan(LIMIT_MS.patience);
    },
    TEST_LIMIT_MS * (1 + ROUNDS),
  );

test('after all of it nothing is lost: here, in a clone, and of a gateway that has Gitee alone', async () => {
  expect(await world.buckets.problems(world.viewOf(world.buckets))).toEqual([]);
  await world.expectNothingLost();
  expect(await world.buckets.problems(world.viewOf(world.buckets))).toEqual([]);
});
