/**
 * How many rounds of randomness show something: in the everyday run a third of them, which are other ones each time, and
 * all with LONG_TESTS=1 (`test/run.sh --long`). PROPERTY_RUNS=1000 asks for exactly so many of each, ROUNDS_SHARE=0.25 for
 * a quarter of them: test/run.sh does where the same tests run on a second release of Node.
 */
const SHARE =
  (process.env['LONG_TESTS'] === undefined ? 1 / 3 : 1) * Number(process.env['ROUNDS_SHARE'] ?? 1);
const ASKED = process.env['PROPERTY_RUNS'];

export function rounds(all: number): number {
  return ASKED === undefined ? Math.ceil(all * SHARE) : Number(ASKED);
}
