/**
 * The judge of histories finds each loss of losses.test.ts as soon as what keeps it is taken out of the program
 * (losses/mutations.ts): with LONG_TESTS=1; otherwise only that all that is to be taken out is there.
 */
import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { TEST_LIMIT_MS } from '../support/time-limits.js';
import { edited, Mutant } from './losses/mutant.js';
import { MUTATIONS } from './losses/mutations.js';

const LOSSES = 'test/faults/losses.test.ts';
/** Of a failing disk: what it loses is a matter of luck. */
const ROUNDS = '15';

test.each(MUTATIONS)('$loss: what is taken out is there once ($takesOut)', async ({ loss, edits }) => {
  for (const edit of edits) expect(edited(await readFile(edit.file, 'utf8'), edit)).toContain(edit.to);
  expect(await readFile(LOSSES, 'utf8')).toContain(`test('${loss}: `);
});

test('each loss has what is taken out', async () => {
  const losses = [...(await readFile(LOSSES, 'utf8')).matchAll(/^test\('(\w+): /gm)].map(([, loss]) => loss);
  expect(MUTATIONS.map(({ loss }) => loss)).toEqual(losses);
});

if (process.env['LONG_TESTS'] !== undefined)
  test.each(MUTATIONS)(
    '$loss: the judge finds the loss without that $takesOut',
    async ({ loss, edits, finds }) => {
      const mutant = await Mutant.make(edits);
      try {
        expect(await mutant.failureOf(LOSSES, loss, { LOSS_ROUNDS: ROUNDS })).toMatch(finds);
      } finally {
        await mutant.remove();
      }
    },
    3 * TEST_LIMIT_MS,
  );
