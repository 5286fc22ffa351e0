import path from 'node:path';
import { run } from '../../support/child.js';

const environment = path.resolve('test/support/suite-environment.mjs');

test('what remembers who waits ends with its test file: the next ones do not pay for it', async () => {
  const lines = `
    import { AsyncLocalStorage } from 'node:async_hooks';
    import SuiteEnvironment from ${JSON.stringify(environment)};
    const projectConfig = { globals: {}, testEnvironmentOptions: {}, fakeTimers: {} };
    const seen = [];
    for (const name of ['first', 'second']) {
      const suite = new SuiteEnvironment({ projectConfig, globalConfig: {} }, {});
      const store = new AsyncLocalStorage();
      await store.run(name, async () => {
        await Promise.resolve();
        seen.push(store.getStore());
        await suite.teardown();
        seen.push(store.getStore() ?? 'ended');
      });
    }
    console.log(JSON.stringify(seen));
  `;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const args = ['--input-type=module', '-e', lines];
  const { code, stdout, stderr } = await run(process.execPath, args, { env });
  expect([code, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toEqual(['first', 'ended', 'second', 'ended']);
});
