/**
 * The judge of histories finds each loss of losses.test.ts and late-losses.test.ts as soon as what keeps it is taken out
 * of the program (losses/mutations.ts, late-mutations.ts): with LONG_TESTS=1; otherwise only that all that is to be taken
 * out is there.
 */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { TEST_LIMIT_MS } from '../support/time-limits.js';
import { LATE_MUTATIONS } from './losses/late-mutations.js';
import { edited, Mutant } from './losses/mutant.js';
import { MUTATIONS } from './losses/mutations.js';

/** Of a failing disk: what it loses is a matter of luck. */
const ROUNDS = '15';

describe.each([
  { losses: 'test/faults/losses.test.ts', mutations: MUTATIONS },
  { losses: 'test/faults/late-losses.test.ts', mutations: LATE_MUTATIONS },
])('$losses', ({ losses, mutations }) => {
  test.each(mutations)('$loss: what is taken out is there once ($takesOut)', async ({ loss, edits }) => {
    for (const edit of edits) expect(edited(await readFile(edit.file, 'utf8'), edit)).toContain(edit.to);
    expect(await readFile(losses, 'utf8')).toContain(`test('${loss}: `);
  });

  test('each loss has what is taken out', async () => {
    const names = [...(await readFile(losses, 'utf8')).matchAll(/^test\('(\w+): /gm)].map(([, name]) => name);
    expect(mutations.map(({ loss }) => loss)).toEqual(names);
  });

  if (process.env['LONG_TESTS'] !== undefined)
    test.each(mutations)(
      '$loss: the judge finds the loss without that $takesOut',
      async ({ loss, edits, finds }) => {
        const mutant = await Mutant.make(edits);
        try {
          expect(await mutant.failureOf(losses, loss, { LOSS_ROUNDS: ROUNDS })).toMatch(finds);
        } finally {
          await mutant.remove();
        }
      },
      3 * TEST_LIMIT_MS,
    );
});
