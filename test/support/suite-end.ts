const ENDS = Symbol.for('gitee-s3.suite-end');
const holder = globalThis as { [ENDS]?: (() => Promise<void>)[] };

/** Runs after the last hook of this test file, whatever its outcome: suite-environment.mjs calls it. */
export function atSuiteEnd(end: () => Promise<void>): void {
  (holder[ENDS] ??= []).push(end);
}
