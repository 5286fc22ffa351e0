/**
 * Attacks invariant 2 ("a commit changes exactly the paths it was meant to"): random edits on random trees, the
 * tree builder against the plain model, and the result under git's strict check. Replay: GIT_TREE_SEED=<seed>.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { silentLog } from '../../src/async/log.js';
import type { TreePath } from '../../src/format/ids.js';
import { RemoteError } from '../../src/gitee/errors.js';
import { CommitPack } from '../../src/gitee/git/commit-pack.js';
import { assertExactChange } from '../../src/gitee/git/exact-change.js';
import { EMPTY_TREE, formatCommit, toByteName } from '../../src/gitee/git/git-object.js';
import { LocalRepository } from '../../src/gitee/git/local-repository.js';
import { planEdits } from '../../src/gitee/git/path-edits.js';
import { TreeBuilder } from '../../src/gitee/git/tree-builder.js';
import type { PathEdit } from '../../src/gitee/remote.js';
import { applyEdits } from '../support/memory-head-remote.js';
import { rounds } from '../support/rounds.js';

const seed = Number(process.env['GIT_TREE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

let state: string;
let local: LocalRepository;
beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), 'tree-builder-'));
  local = new LocalRepository(join(state, 'r.git'), silentLog, {
    killGraceMs: 1000,
    treeCacheMaxBytes: 4096,
  });
  await local.ready();
});
afterAll(async () => {
  await local.close();
  await rm(state, { recursive: true, force: true });
});

// Few names, so that edits meet: with '.', '-', '0' and '%' around the slash in git's order.
const name = fc.constantFrom('a', 'a.b', 'a-b', 'a0', 'a%object', 'é', 'b');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const edit = fc.record({
  kind: fc.constantFrom('put' as const, 'put' as const, 'remove-file' as const, 'remove-tree' as const),
  path,
  content: fc.constantFrom('', '1', '2'),
});
const edits = fc.array(edit, { maxLength: 8 });

const toEdits = (items: { kind: PathEdit['kind']; path: string; content: string }[]): PathEdit[] =>
  items.map((item) =>
    item.kind === 'put'
      ? { kind: 'put', path: item.path as TreePath, content: async () => Buffer.from(item.content) }
      : { kind: item.kind, path: item.path as TreePath },
  );

/** The result, or the code of the refusal. */
async function outcome<T>(run: () => Promise<T>): Promise<T | string> {
  try {
    return await run();
  } catch (e) {
    if (e instanceof RemoteError) return e.code;
    throw e;
  }
}

async function listing(tree: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const result = await local.program.run(['ls-tree', '-r', '-z', tree]);
  for (const line of result.stdout.split('\0').filter((l) => l !== '')) {
    const [info, file] = line.split('\t') as [string, string];
    files.set(file, (await local.program.run(['cat-file', 'blob', info.split(' ')[2]!])).stdout);
  }
  return files;
}

const sorted = (tree: ReadonlyMap<string, Uint8Array>) =>
  new Map(
    [...tree]
      .map(([file, bytes]) => [file, Buffer.from(bytes).toString()] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

test(`random edits give the tree of the plain model, and git finds it well formed (GIT_TREE_SEED=${seed})`, async () => {
  const commits: string[] = [];
  const run = fc.asyncProperty(fc.array(edits, { minLength: 1, maxLength: 4 }), async (rounds) => {
    let model: ReadonlyMap<string, Uint8Array> = new Map();
    let tree: string | null = null;
    for (const round of rounds) {
      const expected = await outcome(() => applyEdits(model, toEdits(round)));
      const pack = new CommitPack(local.directory);
      const built = await outcome(() =>
        new TreeBuilder(local.store, pack).build(tree, planEdits(toEdits(round), '')),
      );
      if (typeof built === 'string' || pack.objects === 0) await pack.abandon();
      else await pack.store('');
      if (typeof expected === 'string' || typeof built === 'string') {
        expect(built).toBe(expected);
        continue;
      }
      await assertExactChange(local.program, tree ?? EMPTY_TREE, built.tree, built.changes, undefined);
      const changed = [...new Set([...model.keys(), ...expected.keys()])].filter(
        (file) =>
          Buffer.from(model.get(file) ?? 'absent').compare(expected.get(file) ?? Buffer.from('absent')) !== 0,
      );
      expect([...built.changes.keys()].sort()).toEqual(changed.map(toByteName).sort());
      model = expected;
      tree = built.tree;
    }
    if (tree === null) return;
    const files = await listing(tree);
    expect(new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)))).toEqual(sorted(model));
    const pack = new CommitPack(local.directory);
    const body = formatCommit({ tree, parent: null, signature: 'A <a@b> 1700000000 +0000', message: 'm\n' });
    commits.push(await pack.add('commit', body));
    await pack.store('');
  });
  await fc.assert(run, { seed, numRuns: rounds(60), endOnFailure: true });
  for (const commit of commits) await local.updateRef(`refs/test/${commit}`, commit as never);
  const fsck = await promisify(execFile)('git', ['fsck', '--strict', '--full'], {
    env: { PATH: process.env['PATH'], GIT_DIR: local.directory, LC_ALL: 'C' },
  });
  expect(fsck.stderr.replace(/notice: .*\n/g, '')).toBe('');
});
