import path from 'node:path';
import { run } from '../../support/child.js';

const main = JSON.stringify(path.resolve('src/cli/main.ts'));
/** What only a gateway needs, and what takes most of its start. */
const HEAVY = ['express', 'undici', 'lmdb', '@octokit/core', 'prom-client', 'multer'];

test('a command that opens no state directory loads nothing of the gateway: it is there at once', async () => {
  const lines = `
    import { createRequire } from 'node:module';
    process.argv = [process.argv[0], 'gitee-s3', 'version'];
    await import(${main});
    const { cache } = createRequire(${main});
    console.log(JSON.stringify(Object.keys(cache)));
  `;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const args = ['--import', 'tsx', '--input-type=module', '-e', lines];
  const { code, stdout, stderr } = await run(process.execPath, args, { env });
  expect([code, stderr]).toEqual([0, '']);
  const [version, files] = stdout.trim().split('\n');
  expect(version).toMatch(/^gitee-s3 /);
  const packages = (JSON.parse(files!) as string[]).map(
    (file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1],
  );
  // Of those that it does load, and whose loading is seen here.
  expect(packages).toContain('winston');
  expect(packages.filter((name) => HEAVY.includes(name ?? ''))).toEqual([]);
});
