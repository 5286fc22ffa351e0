import path from 'node:path';
import { run } from '../../support/child.js';

const transform = path.resolve('test/support/transform.mjs');

test('a module looks at a global once, and keeps what it means by a name itself', async () => {
  const modules = {
    used: 'export const largest = Math.max(...new Set([1, 2]));',
    ofAnother: 'export const own = something.Date + MyError;',
    imported: "import { Buffer } from 'node:buffer';\nexport const bytes = Buffer.alloc(Number(1));",
    declared: 'class Error {}\nexport const thrown = new Error();',
    program: '#!/usr/bin/env node\nMath.max();',
  };
  const lines = `
    import { withGlobals } from ${JSON.stringify(transform)};
    const said = Object.entries(${JSON.stringify(modules)}).map(([name, code]) => {
      const all = withGlobals(code);
      return [name, all.endsWith(code) ? all.slice(0, all.length - code.length) : 'changed'];
    });
    console.log(JSON.stringify(Object.fromEntries(said)));
  `;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const args = ['--input-type=module', '-e', lines];
  const { code, stdout, stderr } = await run(process.execPath, args, { env });
  expect([code, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toEqual({
    used: 'const { Math, Set } = globalThis; ',
    ofAnother: '',
    imported: 'const { Number } = globalThis; ',
    declared: '',
    program: '',
  });
});
