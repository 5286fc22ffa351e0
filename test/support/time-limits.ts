/**
 * How long anything in a test may take: the one place that says so. The limits only end what hangs; they are wide
 * enough for a machine that runs ten other programs, and cost nothing where all is well. `TEST_TIME_SCALE` multiplies
 * them: above 1 for a machine that is slower still, below 1 to find out sooner where something hangs.
 */
const SCALE = readScale(process.env['TEST_TIME_SCALE']);

/** A limit of its own, for what takes longer than the others by design (rounds of a long test, a build). */
export function limitMs(milliseconds: number): number {
  return Math.round(milliseconds * SCALE);
}

/** A test, or a hook of one. Above the others, so that what hangs is named by who waited for it. */
export const TEST_LIMIT_MS = limitMs(300_000);
/** A program that is run to its end. */
export const PROGRAM_LIMIT_MS = limitMs(200_000);
/** A condition that comes true by itself: a program answers, a change has landed. */
export const CONDITION_LIMIT_MS = limitMs(120_000);
/** One answer to one request, or one message. */
export const ANSWER_LIMIT_MS = limitMs(60_000);
/** A program that was asked to end; then it is killed. */
export const STOP_LIMIT_MS = limitMs(60_000);
/** Output of a program that has ended; others that it started may hold it open for ever. */
export const OUTPUT_LIMIT_MS = limitMs(2_000);
/** One look at whether a server answers, where a look that fails is followed by another. */
export const LOOK_LIMIT_MS = limitMs(10_000);

function readScale(text: string | undefined): number {
  const scale = Number(text ?? 1);
  if (!(scale > 0)) throw new Error(`TEST_TIME_SCALE=${text}: not a number above 0`);
  return scale;
}
