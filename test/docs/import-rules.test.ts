/** Every rule of .dependency-cruiser.cjs is broken once, in a tree of its own, and must say so by its name. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './document.js';

const CONFIG = path.join(ROOT, '.dependency-cruiser.cjs');

/** Rule, and who must not import whom: one line for each layer that a rule speaks of. A folder, or a file. */
const PLANTS: readonly (readonly [rule: string, from: string, to: string])[] = [
  ['protocol-knows-no-storage', 'src/s3', 'src/journal'],
  ['protocol-knows-no-storage', 'src/s3', 'src/space'],
  ['protocol-knows-no-storage', 'src/s3/operations', 'src/gitee/git'],
  ['protocol-knows-no-storage', 'src/s3', 'src/buckets'],
  ['objects-know-no-protocol', 'src/objects', 'src/s3'],
  ['objects-know-no-protocol', 'src/objects', 'src/gitee'],
  ['objects-know-no-protocol', 'src/objects', 'src/buckets'],
  ['buckets-know-no-configuration', 'src/buckets', 'src/server'],
  ['buckets-know-no-configuration', 'src/buckets', 'src/s3'],
  ['objects-know-no-rows', 'src/objects', 'src/index'],
  ['lmdb-is-behind-the-index', 'src/journal', 'src/index/lmdb-store.ts'],
  ['rows-are-of-the-log', 'src/server', 'src/index/keyspace.ts'],
  ['storage-knows-no-objects', 'src/chunks', 'src/objects'],
  ['storage-knows-no-objects', 'src/journal', 'src/s3'],
  ['storage-knows-no-objects', 'src/index', 'src/server'],
  ['storage-knows-no-objects', 'src/journal', 'src/buckets'],
  ['space-knows-no-askers', 'src/space', 'src/chunks'],
  ['space-knows-no-askers', 'src/space', 'src/server'],
  ['index-stands-below-journal-and-chunks', 'src/index', 'src/journal'],
  ['index-stands-below-journal-and-chunks', 'src/chunks', 'src/journal'],
  ['remote-knows-nothing-above', 'src/gitee', 'src/chunks'],
  ['remote-knows-nothing-above', 'src/gitee', 'src/space'],
  ['remote-knows-nothing-above', 'src/gitee/git', 'src/journal'],
  ['remote-knows-nothing-above', 'src/gitee', 'src/buckets'],
  ['git-wire-imports-nothing', 'src/git-wire', 'src/async'],
  ['leaves-import-nothing', 'src/format', 'src/index'],
  ['leaves-import-nothing', 'src/async', 'src/chunks'],
  ['leaves-import-nothing', 'src/disk', 'src/index'],
  ['line-is-a-leaf', 'src/line', 'src/chunks'],
  ['format-and-async-apart', 'src/format', 'src/async'],
  ['local-gitee-shares-nothing', 'src/local-gitee', 'src/git-wire'],
  ['nobody-imports-local-gitee', 'src/cli', 'src/local-gitee'],
  ['auth-uses-gitee-only', 'src/auth/token', 'src/objects'],
  ['auth-uses-gitee-only', 'src/auth/token', 'src/buckets'],
  ['auth-accounts-and-gitee-know-no-askers', 'src/auth/accounts', 'src/auth/token'],
  ['auth-accounts-and-gitee-know-no-askers', 'src/auth/gitee', 'src/auth/page'],
  ['auth-accounts-apart-from-gitee', 'src/auth/accounts', 'src/auth/gitee'],
  ['auth-gitee-apart-from-accounts', 'src/auth/gitee', 'src/auth/accounts'],
  ['auth-token-apart-from-page', 'src/auth/token', 'src/auth/page'],
  ['auth-page-apart-from-token', 'src/auth/page', 'src/auth/token'],
  ['audit-stands-alone', 'src/audit', 'src/journal'],
  ['notifications-know-no-storage', 'src/notifications', 'src/journal'],
  ['notifications-know-no-storage', 'src/notifications', 'src/buckets'],
  ['no-tests-in-src', 'src/s3', 'test/support'],
];

interface Report {
  readonly summary: {
    readonly violations: readonly {
      readonly rule: { readonly name: string };
      readonly from: string;
      readonly to: string;
    }[];
  };
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'import-rules-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** All violations in a tree with these files. */
async function violationsOf(files: ReadonlyMap<string, string>): Promise<string[]> {
  await copyFile(path.join(ROOT, 'tsconfig.json'), path.join(directory, 'tsconfig.json'));
  for (const [file, text] of files) {
    await mkdir(path.join(directory, path.dirname(file)), { recursive: true });
    await writeFile(path.join(directory, file), text);
  }
  const program = path.join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const run = promisify(execFile)(
    process.execPath,
    [program, '--config', CONFIG, '--output-type', 'json', 'src', 'test'],
    { cwd: directory, maxBuffer: 64 << 20, env: { ...process.env, NODE_OPTIONS: '' } },
  );
  // Its exit code is the number of violations.
  const { stdout } = await run.catch((error: { stdout: string }) => error);
  const { summary } = JSON.parse(stdout) as Report;
  return summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
}

test('a violation of each rule is seen, and called by its name', async () => {
  const files = new Map<string, string>();
  const expected: string[] = [];
  for (const [index, [rule, from, to]] of PLANTS.entries()) {
    const [planted, target] = [`${from}/planted-${index}.ts`, to.endsWith('.ts') ? to : `${to}/target.ts`];
    const way = path
      .relative(from, target)
      .replace(/^(?!\.)/, './')
      .replace(/\.ts$/, '.js');
    files.set(target, 'export const target = 1;\n');
    files.set(planted, `export { target } from '${way}';\n`);
    expected.push(`${rule}: ${planted} -> ${target}`);
  }
  files.set('src/cli/one.ts', "export * from './two.js';\n");
  files.set('src/cli/two.ts', "export * from './one.js';\n");
  // Of a file, not of a folder.
  files.set('src/space/reservation.ts', 'export class Reservation {}\n');
  files.set('src/objects/forged.ts', "export { Reservation } from '../space/reservation.js';\n");
  expected.push('only-admission-grants: src/objects/forged.ts -> src/space/reservation.ts');
  files.set('src/chunks/engine.ts', "export { open } from 'lmdb';\n");
  expected.push('lmdb-is-behind-the-index: src/chunks/engine.ts -> lmdb');
  const seen = await violationsOf(files);
  expect(seen).toEqual(expect.arrayContaining(expected));
  expect(seen.filter((violation) => violation.startsWith('no-cycles: '))).not.toEqual([]);
});

test('no rule is without a plant', () => {
  const { forbidden } = createRequire(import.meta.url)(CONFIG) as { forbidden: { name: string }[] };
  const planted = new Set<string>([...PLANTS.map(([rule]) => rule), 'no-cycles', 'only-admission-grants']);
  expect(forbidden.map(({ name }) => name).filter((name) => !planted.has(name))).toEqual([]);
});
