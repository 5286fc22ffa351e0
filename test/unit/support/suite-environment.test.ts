import path from 'node:path';
import { run } from '../../support/child.js';

const environment = path.resolve('test/support/suite-environment.mjs');

/** Runs these lines of a module, in which `start()` makes the environment of one test file; gives what they have `seen`. */
async function seenBy(lines: string): Promise<unknown> {
  const program = `
    import { AsyncLocalStorage } from 'node:async_hooks';
    import { open } from 'node:fs/promises';
    import SuiteEnvironment from ${JSON.stringify(environment)};
    const projectConfig = { globals: {}, testEnvironmentOptions: {}, fakeTimers: {} };
    const start = () => new SuiteEnvironment({ projectConfig, globalConfig: {} }, {});
    const seen = [];
    ${lines}
    console.log(JSON.stringify(seen));
  `;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const args = ['--input-type=module', '-e', program];
  const { code, stdout, stderr } = await run(process.execPath, args, { env });
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

test('what remembers who waits ends with its test file: the next ones do not pay for it', async () => {
  const seen = await seenBy(`
    for (const name of ['first', 'second']) {
      const suite = start();
      const store = new AsyncLocalStorage();
      await store.run(name, async () => {
        await Promise.resolve();
        seen.push(store.getStore());
        await suite.teardown();
        seen.push(store.getStore() ?? 'ended');
      });
    }
  `);
  expect(seen).toEqual(['first', 'ended', 'second', 'ended']);
});

test('a test file that leaves a file open fails, by the name of that file, and the next one does not', async () => {
  const seen = await seenBy(`
    for (const mustClose of [true, false, true]) {
      const suite = start();
      const file = await open('/dev/null');
      if (mustClose) await file.close();
      seen.push(await suite.teardown().then(() => 'ended', (error) => error.message));
      seen.push(file.fd);
    }
  `);
  expect(seen).toEqual(['ended', -1, 'files that no test has closed: /dev/null', -1, 'ended', -1]);
});
