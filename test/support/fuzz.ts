/**
 * Bounded, seeded fuzzing. By default a test tries as many inputs as it can in a second or so; FUZZ_RUNS
 * multiplies that, and FUZZ_SEED repeats a run (fast-check names the seed of a failure).
 */
import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { TEST_LIMIT_MS } from './time-limits.js';

export class Fuzz {
  /** Inputs tried so far. */
  inputs = 0;
  readonly #factor = Number(process.env['FUZZ_RUNS'] ?? 1);
  readonly #seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));

  /** @param options.inputsEach how many inputs one run of the property tries. */
  assert<T>(property: fc.IRawProperty<T, false>, options?: { numRuns?: number; inputsEach?: number }): void;
  assert<T>(
    property: fc.IRawProperty<T, true>,
    options?: { numRuns?: number; inputsEach?: number },
  ): Promise<void>;
  assert<T>(
    property: fc.IRawProperty<T>,
    options: { numRuns?: number; inputsEach?: number } = {},
  ): Promise<void> | void {
    const numRuns = Math.round((options.numRuns ?? 100) * this.#factor);
    this.inputs += numRuns * (options.inputsEach ?? 1);
    return fc.assert(property, { numRuns, seed: this.#seed, endOnFailure: true });
  }

  /** Time a test may take: more inputs, more time. */
  get testLimitMs(): number {
    return TEST_LIMIT_MS * Math.max(1, this.#factor);
  }

  /** Says how many inputs a longer run tried; nothing in an everyday one. */
  report(what: string): void {
    if (process.env['FUZZ_RUNS'] !== undefined)
      process.stdout.write(`${what}: ${this.inputs} inputs, seed ${this.#seed}\n`);
  }
}
