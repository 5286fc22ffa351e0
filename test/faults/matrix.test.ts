/**
 * Invariants 1, 3 and 6 as a table: every fault that we know of against every operation, with what the client is told,
 * within how long, and what is there afterwards (matrix/faults.ts). Some rows; all of them with LONG_TESTS=1.
 * FAULT_NAMES=a,b: those rows only. FAULT_ROUNDS=500 adds so many random rounds, in FAULT_MINUTES (60) at most; their
 * seed is printed, and FAULT_SEED repeats their choices.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { limitMs, TEST_LIMIT_MS } from '../support/time-limits.js';
import { OPERATIONS } from './matrix/columns.js';
import { FAULTS, cellOf, type Expected, type Fault } from './matrix/faults.js';
import { commandOf } from './matrix/operator.js';
import { randomOf, runRounds } from './matrix/rounds.js';
import { HOLD_MIN_MS, HOLD_MS, MatrixWorld, type Ran } from './matrix/world.js';

/**
 * One of each kind: Gitee that refuses, hangs, is slow, full, or answers in another way; this machine; another writer; a
 * client.
 */
const SHORT = new Set<Fault['name']>([
  ...(['git-refuse-push', 'git-stall', 'lfs-quota-full', 'lfs-upload-slow', 'lfs-no-verify'] as const),
  ...(['lfs-no-range', 'lfs-chunked-header', 'clock: set back', 'process: ended and started'] as const),
  'client: leaves before the answer',
  'writer: another gateway on the branch',
]);
/** What an operator does meanwhile where not all is run, and in which row. */
const SHORT_OPERATOR = new Set(['quarantine drop', 'accept-remote']);
const WITH_OPERATOR: Fault['name'] = 'writer: another gateway on the branch';
const ONLY = process.env['FAULT_NAMES']?.split(',');
const IS_LONG = process.env['LONG_TESTS'] !== undefined;
const ROWS = FAULTS.filter(({ name }) => IS_LONG || SHORT.has(name)).filter(
  ({ name }) => ONLY?.includes(name) ?? true,
);
const ROUNDS = Number(process.env['FAULT_ROUNDS'] ?? 0);
const ROUNDS_LIMIT_MS = Number(process.env['FAULT_MINUTES'] ?? 60) * 60_000;
/**
 * What a process keeps for good of buckets, keys and images that it has seen is no more; 150 kB that stay of each round
 * are, after 500 of them. A process that is young still takes what it will need.
 */
const RSS_GROWTH_MAX = ROUNDS < 100 ? 2 : 1.25;
const SEED = Number(process.env['FAULT_SEED'] ?? Date.now() % 1_000_000);

const LIMIT_MS: Record<Expected['within'], number> = {
  soon: limitMs(30_000),
  hold: HOLD_MS + limitMs(30_000),
  patience: limitMs(60_000),
  repeats: limitMs(180_000),
};

let world: MatrixWorld;
beforeAll(async () => {
  world = await MatrixWorld.start(FAULTS.map(({ name }) => name));
});
afterAll(() => world.close());

const rows = ROWS.length === 0 ? () => {} : describe.each(ROWS);
rows('$name', (fault: Fault) => {
  let ran: Map<string, Ran>;
  const operations = OPERATIONS.filter(
    (each) => IS_LONG || !commandOf(each) || (fault.name === WITH_OPERATOR && SHORT_OPERATOR.has(each.name)),
  );
  const cells = operations.flatMap((operation) => {
    const cell = cellOf(fault, operation);
    return 'never' in cell ? [] : [{ name: operation.name, cell }];
  });

  beforeAll(async () => {
    ran = await world.run(fault, operations);
  }, TEST_LIMIT_MS);

  if (fault.kind === 'gitee' && fault.unmet === undefined)
    test('is met by requests', () => expect(world.faults.hits.get(fault.name)).toBeGreaterThan(0));

  test.each(cells)('$name', ({ name, cell }) => {
    const { told, tookMs, effects } = ran.get(name)!;
    const isLate = told === cell.orLate && tookMs >= HOLD_MIN_MS;
    if (!isLate) expect(cell.told).toContain(told);
    expect(tookMs).toBeLessThan(LIMIT_MS[cell.within]);
    for (const { value, found, before } of effects) {
      if ((cell.after === 'done' && !isLate) || Number(told) < 300) expect(found).toBe(value);
      else if (cell.after === 'not done') expect(found).toBe(before);
      else expect([value, before]).toContain(found);
    }
  });
});

if (ROUNDS > 0)
  test(
    `${ROUNDS} random rounds (FAULT_SEED=${SEED}) lose nothing, keep nobody waiting and take no memory`,
    async () => {
      const { rounds, longest, rssMiB } = await runRounds(world, {
        rounds: ROUNDS,
        limitMs: ROUNDS_LIMIT_MS,
        random: randomOf(SEED),
        look: async (sofar) => {
          process.stderr.write(`FAULT_SEED=${SEED}: of ${ROUNDS} rounds ${JSON.stringify(sofar)}\n`);
          expect(await world.history.problems(world.viewOf(world.history))).toEqual([]);
          expect(world.history.problemsOfReads()).toEqual([]);
        },
      });
      process.stderr.write(`FAULT_SEED=${SEED}: ${JSON.stringify({ rounds, longest, rssMiB })}\n`);
      expect(longest.ms).toBeLessThan(LIMIT_MS.patience);
      expect(rssMiB.last).toBeLessThan(rssMiB.first * RSS_GROWTH_MAX);
    },
    TEST_LIMIT_MS + 2 * ROUNDS_LIMIT_MS,
  );

test('after all of it nothing is lost: here, in a clone, and of a gateway that has Gitee alone', async () => {
  expect(await world.buckets.problems(world.viewOf(world.buckets))).toEqual([]);
  await world.expectNothingLost();
  expect(await world.buckets.problems(world.viewOf(world.buckets))).toEqual([]);
});
