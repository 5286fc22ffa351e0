type Step = () => Promise<void>;

const ENDS = Symbol.for('gitee-s3.suite-end');
const FAILURES = Symbol.for('gitee-s3.after-failure');
const holder = globalThis as { [ENDS]?: Step[]; [FAILURES]?: Step[] };

/** Runs after the last hook of this test file, whatever its outcome: suite-environment.mjs calls it. */
export function atSuiteEnd(step: Step): void {
  (holder[ENDS] ??= []).push(step);
}

/** Runs after each test that failed, and its hooks: what it left behind must not fail the next one. */
export function afterFailure(step: Step): void {
  (holder[FAILURES] ??= []).push(step);
}
