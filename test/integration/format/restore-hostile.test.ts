/** `restore.sh` and `verify-clone` against trees that anybody who may push can make. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { link, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyClone } from '../../../src/cli/verify/verify-clone.js';
import { RESTORE_SH } from '../../../src/format/tree-layout.js';
import { checkOut, hostileTrees, LARGE, writeClone } from '../../support/hostile-trees.js';
import { run, type RunResult } from '../../support/child.js';

const base = mkdtempSync(join(tmpdir(), 'hostile-'));
const outside = join(base, 'outside');
const canary = join(outside, 'canary');
const script = join(base, 'restore.sh');
const inClone = '.gateway/restore.sh';
const applets = join(base, 'busybox');
const trees = hostileTrees(canary);
/** Where busybox has its own awk, find and the rest, git is the only other program. */
const shells: readonly (readonly [string, readonly string[], string])[] = [
  ['dash', ['dash'], process.env['PATH'] ?? ''],
  ['bash', ['bash'], process.env['PATH'] ?? ''],
  ['busybox', ['busybox', 'sh'], process.env['PATH'] ?? ''],
  ['busybox alone', [join(applets, 'sh')], applets],
];
/** With LONG_TESTS=1 all trees under all shells; else each tree under two of them, and each shell has half of the trees. */
const treesFor = (shell: string) => {
  const at = shells.findIndex(([name]) => name === shell);
  return trees.filter((_, i) => process.env['LONG_TESTS'] !== undefined || (at + i) % 2 === 0);
};
const expectedHere = ['busybox', 'clones', 'outside', 'restore.sh', 'targets'];
let targets = 0;

beforeAll(async () => {
  for (const name of ['outside', 'clones', 'busybox', 'targets']) await mkdir(join(base, name));
  await writeFile(canary, 'untouched');
  await writeFile(script, RESTORE_SH);
  const busybox = execFileSync('which', ['busybox']).toString().trim();
  const git = execFileSync('which', ['git']).toString().trim();
  for (const name of execFileSync(busybox, ['--list']).toString().trim().split('\n'))
    await symlink(busybox, join(applets, name));
  await symlink(git, join(applets, 'git'));
});

afterAll(() => rm(base, { recursive: true, force: true }));

/** Made when it is asked for first: all of them at once take longer than a hook may. */
async function cloneOf(tree: (typeof trees)[number]): Promise<string> {
  const clone = join(base, 'clones', String(trees.indexOf(tree)));
  if (existsSync(clone)) return clone;
  writeClone(clone, tree);
  checkOut(clone);
  await mkdir(join(clone, '.gateway'), { recursive: true });
  await writeFile(join(clone, inClone), RESTORE_SH);
  return clone;
}

/** Runs the clone's own script, or another one that is told where the bucket lies. */
async function restore(shell: readonly string[], path: string, clone: string, own = true) {
  targets += 1;
  const target = join(base, 'targets', `${targets} $(x)`);
  const [program, ...args] = shell as [string, ...string[]];
  const result: RunResult = await run(
    program,
    [...args, ...(own ? [inClone, target] : [script, target, clone])],
    {
      cwd: own ? clone : base,
      env: { ...process.env, PATH: path, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
    },
  );
  return { ...result, target };
}

async function filesOf(directory: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const file = join(entry.parentPath, entry.name);
    files[file.slice(directory.length + 1)] = entry.isFile() ? await readFile(file, 'utf8') : 'no file';
  }
  return files;
}

const good = { good: 'good', large: LARGE.toString() };
const lines = (text: string) => text.split('\n').filter((line) => line !== '');
/** What a terminal would obey: control characters but the ends of lines, and bytes that are no UTF-8. */
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\ufffd]/;

describe.each(shells)('restore.sh under %s', (name, shell, path) => {
  test.each(treesFor(name).map((tree) => [tree.name, tree] as const))('%s', async (_tree, tree) => {
    const { code, stdout, stderr, target } = await restore(shell, path, await cloneOf(tree));

    expect({ code, stdout, stderr: tree.status === 0 ? stderr : '' }).toEqual({
      code: tree.status,
      stdout: '',
      stderr: '',
    });
    expect(stderr).not.toMatch(CONTROLS);
    if (tree.status !== 0) expect(lines(stderr)).not.toEqual([]);
    expect(await filesOf(target)).toEqual({
      ...good,
      ...tree.restored,
      ...notHostile(await filesOf(target)),
    });
    expect(JSON.stringify(await filesOf(target))).not.toMatch(/no file|untouched/);
    expect(await readdir(base)).toEqual(expectedHere);
    expect(await filesOf(outside)).toEqual({ canary: 'untouched' });
  });

  test('what is checked out is neither read nor followed', async () => {
    const clone = join(base, 'clones', `${targets}-checked-out`);
    writeClone(clone, trees[0]!);
    for (const name of ['a', 'good', 'large%chunks']) await symlink(canary, join(clone, name));
    await symlink(outside, join(clone, 'dir'));
    await link(canary, join(clone, 'hard'));
    execFileSync('mkfifo', [join(clone, 'fifo'), join(clone, 'x%object')]);

    const { code, stderr, target } = await restore(shell, path, clone, false);

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(await filesOf(target)).toEqual(good);
    expect(await filesOf(outside)).toEqual({ canary: 'untouched' });
  });

  test('an LFS object that is a link or a pipe is not read', async () => {
    for (const make of [symlinkTo, pipeAt]) {
      const clone = join(base, 'clones', `${targets}-${make.name}`);
      writeClone(clone, trees[0]!);
      const store = join(clone, '.git/lfs/objects');
      for (const name of await readdir(store, { recursive: true, withFileTypes: true }))
        if (name.isFile()) await make(join(name.parentPath, name.name));
      expect(await restore(shell, path, clone, false)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('git lfs pull') as string,
      });
    }
  });

  test('another version or a feature of the format is refused', async () => {
    for (const format of ['{"version": 12, "features": []}', '{"version": 1, "features": ["x"]}', '[]']) {
      const clone = join(base, 'clones', `${targets}-format`);
      writeClone(clone, trees[0]!, format);
      const { code, stderr, target } = await restore(shell, path, clone, false);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: expect.stringContaining('does not know') as string,
      });
      expect(await readdir(target)).toEqual([]);
    }
  });
});

/** One of the two that stand for one name may be restored: which one is not promised, only that it is told. */
function notHostile(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([name]) => ['both', 'twice'].includes(name)));
}

async function symlinkTo(file: string): Promise<void> {
  await rm(file);
  await symlink(canary, file);
}

async function pipeAt(file: string): Promise<void> {
  await rm(file);
  execFileSync('mkfifo', [file]);
}

describe('verify-clone', () => {
  test.each(trees.map((tree) => [tree.name, tree] as const))('%s', async (_name, tree) => {
    const { buckets } = await verifyClone(await cloneOf(tree));
    const problems = buckets.flatMap((bucket) => bucket.problems);
    expect({ tree: tree.name, found: problems.length > 0, problems: tree.problem ? [] : problems }).toEqual({
      tree: tree.name,
      found: tree.problem,
      problems: [],
    });
    expect(problems.join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });
});
