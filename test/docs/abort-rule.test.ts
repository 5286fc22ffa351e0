/** The lint rule that keeps listeners of signals in src/async/abort.ts, asked for each folder and each way to write one. */
import { Linter } from 'eslint';
import { parser } from 'typescript-eslint';

/** Without a declaration file: TypeScript must not look for one. */
const CONFIG: string = '../../eslint.config.js';

let blocks: Linter.Config[];
beforeAll(async () => {
  blocks = ((await import(CONFIG)) as { default: Linter.Config[] }).default.filter(
    ({ files, rules }) =>
      files?.some((each) => String(each).startsWith('src/')) && rules?.['no-restricted-syntax'],
  );
});

test.each([
  "signal.addEventListener('abort', stop);",
  "this.#over.signal.addEventListener('abort', () => stop(), { once: true });",
  "options?.signal?.removeEventListener('abort', stop);",
])('%s: there is onAbort and abortable for that', (code) => {
  expect(blocks.length).toBeGreaterThan(1);
  for (const { rules } of blocks) {
    const found = new Linter().verify(code, [{ languageOptions: { parser }, rules: rules! }]);
    expect(found.map(({ message }) => message)).toEqual([expect.stringContaining('src/async/abort.ts')]);
  }
});
