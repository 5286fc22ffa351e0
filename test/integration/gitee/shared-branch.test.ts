/**
 * Buckets of one process that are directories of one branch: they look at it together and push together, and each is
 * kept as if it had the branch for itself (docs/durability.md).
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { CommitId, TreePath } from '../../../src/format/ids.js';
import type { PushRequest } from '../../../src/gitee/remote.js';
import { signal } from '../../support/journal-bucket.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { rounds } from '../../support/rounds.js';
import { SharedBranch } from '../../support/shared-branch.js';

let gitee: RunningLocalGitee;
let shared: SharedBranch;
beforeAll(async () => {
  gitee = await startLocalGitee();
});
afterAll(() => gitee.stop());
afterEach(() => shared.remove());

/** Every commit says on what it was made, names each batch once, and changes one bucket only. */
async function expectSoundHistory(): Promise<void> {
  const commits = (await shared.commits()).filter(({ trailers }) => trailers.has('Batch-Id'));
  for (const { parent, paths, trailers } of commits) {
    expect(trailers.get('Base')).toBe(parent ?? 'none');
    expect(new Set(paths.map((path) => path.split('/').slice(0, 2).join('/'))).size).toBeLessThanOrEqual(1);
  }
  const batches = commits.map(({ trailers }) => `${trailers.get('Log-Id')} ${trailers.get('Batch-Id')}`);
  expect(new Set(batches).size).toBe(batches.length);
}

describe('pushes of buckets on one branch', () => {
  const claimed: { by: string; base: CommitId | null }[] = [];
  const request = (by: string, expectedHead: CommitId | null, content: string): PushRequest => ({
    expectedHead,
    edits: [{ kind: 'put', path: 'key' as TreePath, content: async () => Buffer.from(content) }],
    subject: by,
    trailers: [
      ['Log-Id', by],
      ['Batch-Id', content.slice(0, 20)],
      ['Base', expectedHead ?? 'none'],
    ],
    elsewhere: async (base) => {
      claimed.push({ by, base });
      return {
        trailers: (parent) => [
          ['Log-Id', by],
          ['Batch-Id', content.slice(0, 20)],
          ['Base', parent ?? 'none'],
        ],
        evenIfUnchanged: false,
      };
    },
  });
  const open = async (repository = {}) => {
    shared = await SharedBranch.open(gitee, ['b0', 'b1', 'b2', 'b3'], repository);
    claimed.length = 0;
    await shared.remotes[0]!.fetch();
  };
  const pushAll = (head: CommitId | null, contents: readonly string[]) =>
    Promise.allSettled(
      contents.map((content, i) => shared.remotes[i]!.push(request(shared.names[i]!, head, content))),
    );

  test('that come at the same time are one, with a commit each, each on the one before', async () => {
    await open();
    const results = await pushAll(null, ['0', '1', '2', '3']);
    const head = await shared.head;
    expect(results.map((result) => result.status === 'fulfilled' && result.value)).toEqual(
      Array.from({ length: 4 }, () => ({ kind: 'landed', head })),
    );
    expect(shared.http.requests['git-receive-pack']).toBe(1);
    expect(await shared.commits()).toHaveLength(4);
    for (const [i, content] of ['0', '1', '2', '3'].entries())
      expect(await shared.tree(i)).toEqual(new Map([['key', content]]));
    await expectSoundHistory();
  });

  test("are made where the others' commits have brought the branch, and claimed there first", async () => {
    await open();
    await pushAll(null, ['first']);
    const [one, two] = [await shared.head, await shared.remotes[1]!.push(request('b1', null, 'second'))];
    expect([two.kind, claimed]).toEqual(['landed', [{ by: 'b1', base: one }]]);
    // The bucket's own commit lies between: it has to look.
    const again = await shared.remotes[0]!.push(request('b0', null, 'third'));
    expect(again).toEqual({ kind: 'moved', head: two.head });
  });

  test('are told of the moved branch where somebody else has written it, whatever he wrote', async () => {
    await open();
    await pushAll(null, ['0', '1', '2']);
    const head = await shared.head;
    const theirs = await shared.server.commit({ elsewhere: 'theirs' });
    const results = await pushAll(head, ['a', 'b', 'c']);
    for (const result of results)
      expect(result).toMatchObject({ status: 'fulfilled', value: { kind: 'moved', head: theirs } });
    for (const result of await pushAll(theirs, ['a', 'b', 'c']))
      expect(result).toMatchObject({ status: 'fulfilled', value: { kind: 'landed' } });
    expect((await shared.server.files()).get('elsewhere')).toBe('theirs');
    await expectSoundHistory();
  });

  test('of a bucket that is where somebody has set the branch back to are made there', async () => {
    await open();
    await pushAll(null, ['0']);
    const back = (await shared.head)!;
    await shared.remotes[1]!.push(request('b1', back, '1'));
    await shared.server.moveTo(back);
    // First where the others are known to have brought it.
    await expect(shared.remotes[2]!.push(request('b2', back, '2'))).rejects.toMatchObject({
      code: 'server-fault',
    });
    expect((await shared.remotes[2]!.push(request('b2', back, '2'))).kind).toBe('landed');
    expect(await shared.tree(2)).toEqual(new Map([['key', '2']]));
  });

  test('of which Gitee refuses one land but for that one', async () => {
    await open({ limits: { fileMb: 1 } });
    const large = 'x'.repeat(3 << 20);
    const results = await pushAll(null, ['0', large, '2', '3']);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'file-too-large' } });
    for (const i of [0, 2, 3]) expect(await shared.tree(i)).toEqual(new Map([['key', String(i)]]));
    await expectSoundHistory();
  });

  test('of which one cannot be made land but for that one', async () => {
    await open();
    const broken: PushRequest = {
      ...request('b1', null, '1'),
      edits: [
        {
          kind: 'put',
          path: 'key' as TreePath,
          content: async () => {
            throw new Error('its bytes cannot be read');
          },
        },
      ],
    };
    const results = await Promise.allSettled([
      shared.remotes[0]!.push(request('b0', null, '0')),
      shared.remotes[1]!.push(broken),
      shared.remotes[2]!.push(request('b2', null, '2')),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { name: 'NotSentError' } });
    await expectSoundHistory();
  });

  test('end with their own signal, and the others go on', async () => {
    await open();
    const over = new AbortController();
    const left = shared.remotes[0]!.push(request('b0', null, '0'), over.signal);
    const stays = shared.remotes[1]!.push(request('b1', null, '1'));
    over.abort(new Error('no longer wanted'));
    await expect(left).rejects.toThrow('no longer wanted');
    expect((await stays).kind).toBe('landed');
    expect(await shared.tree(0)).toEqual(new Map());
  });

  test('that change nothing are no commit, beside one that does', async () => {
    await open();
    await pushAll(null, ['0', '1']);
    const before = (await shared.commits()).length;
    const results = await pushAll(await shared.head, ['0', 'new']);
    const head = await shared.head;
    expect(results).toMatchObject([
      { value: { kind: 'unchanged', head } },
      { value: { kind: 'landed', head } },
    ]);
    expect(await shared.commits()).toHaveLength(before + 1);
  });
});

test('looks of buckets that ask at the same time are one request', async () => {
  shared = await SharedBranch.open(gitee, ['b0', 'b1', 'b2', 'b3', 'b4', 'b5']);
  await shared.look();
  const before = shared.http.requests['git-upload-pack'];
  await shared.look();
  expect(shared.http.requests['git-upload-pack'] - before).toBe(1);
});

test('a bucket that begins does not begin with what a copy shows that lags behind the others', async () => {
  shared = await SharedBranch.open(gitee, ['b0', 'b1']);
  await shared.start();
  const byOthers = (edit: Record<string, unknown>) =>
    gitee.admin('move-branch', {
      repo: `acme/${shared.repository}`,
      edits: [{ path: 'buckets/b2/key', ...edit }],
    });
  await byOthers({ content: 'deleted since' });
  await shared.look();
  const sinceMs = Date.now();
  await byOthers({ delete: true });
  await shared.put(1, 'key', '1');
  await shared.land(1);
  const beginning = await shared.add('b2');
  await gitee.fault('git-lagging-copy', { ms: Date.now() - sinceMs + 1 });
  await expect(beginning.follower.followOnce(signal)).rejects.toMatchObject({ code: 'server-fault' });
  await gitee.clearFaults();
  await beginning.follower.followOnce(signal);
  expect(await shared.read(2, 'key')).toBeUndefined();
});

test('what somebody else writes into one bucket is seen there, and keeps no other from its commits', async () => {
  shared = await SharedBranch.open(gitee, ['b0', 'b1', 'b2']);
  await shared.start();
  for (const at of [0, 1, 2]) await shared.put(at, 'first', `${at}`);
  await shared.land(0, 1, 2);
  await shared.server.commit({ 'buckets/b0/theirs': 'by hand' });
  for (const at of [1, 2]) await shared.put(at, 'second', `${at}`);
  await shared.land(1, 2);
  await shared.look();
  expect(await shared.read(0, 'theirs')).toBe('by hand');
  for (const at of [1, 2]) expect((await shared.tree(at)).get('second')).toBe(String(at));
  await expectSoundHistory();
});

test.each(['held', 'answer lost'] as const)(
  'a push of several whose outcome is not known (%s) lands once for each',
  async (how) => {
    shared = await SharedBranch.open(gitee, ['b0', 'b1', 'b2']);
    await shared.start();
    for (const at of [0, 1, 2]) await shared.put(at, 'key', `${at}`);
    if (how === 'held') shared.http.holdNext();
    else shared.http.loseNextAnswer();
    await shared.land(0, 1, 2);
    // Too late for all that it holds.
    await shared.http.release();
    await shared.look();
    for (const at of [0, 1, 2]) {
      expect(await shared.tree(at)).toEqual(new Map([['key', `${at}`]]));
      expect(await shared.read(at, 'key')).toBe(`${at}`);
    }
    await expectSoundHistory();
    expect(shared.fatal).toEqual([]);
  },
);

interface Step {
  readonly what: 'put' | 'delete' | 'land' | 'hold' | 'lose' | 'release' | 'by hand' | 'look' | 'kill';
  readonly at: number;
  readonly n: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('put' as const, 'land') },
    { weight: 2, arbitrary: fc.constantFrom('delete' as const, 'hold', 'lose', 'release', 'by hand') },
    { weight: 1, arbitrary: fc.constantFrom('look' as const, 'kill') },
  ),
  at: fc.nat({ max: 2 }),
  n: fc.nat({ max: 6 }),
});

/**
 * Acknowledged writes against a map, with lost answers, pushes that come late, commits by hand in another bucket's
 * directory, and kills.
 */
test('whatever becomes of pushes, every bucket has what was written to it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 16 }), async (steps) => {
      shared = await SharedBranch.open(gitee, ['b0', 'b1', 'b2']);
      await shared.start();
      const want = shared.names.map(() => new Map<string, string>());
      let writes = 0;
      for (const { what, at, n } of steps) {
        writes += 1;
        if (what === 'put') {
          await shared.put(at, `k${n}`, `${writes}`);
          want[at]!.set(`k${n}`, `${writes}`);
        } else if (what === 'delete') {
          await shared.delete(at, `k${n}`);
          want[at]!.delete(`k${n}`);
        } else if (what === 'land') {
          // Mostly not waited for: the next steps meet it under way.
          for (const { committer } of shared.buckets) committer.flush();
          if (n > 4) await shared.land(0, 1, 2);
        } else if (what === 'hold') shared.http.holdNext();
        else if (what === 'lose') shared.http.loseNextAnswer();
        else if (what === 'release') await shared.http.release();
        else if (what === 'by hand') {
          await shared.byHand({ [`buckets/b${at}/h${n}`]: `${writes}` });
          want[at]!.set(`h${n}`, `${writes}`);
        } else if (what === 'look') await shared.look();
        else {
          await shared.kill();
          await shared.reopen();
          await shared.start();
        }
      }
      await shared.land(0, 1, 2);
      await shared.http.release();
      await shared.look();
      for (const [at, all] of want.entries()) {
        expect([at, await shared.tree(at)]).toEqual([at, new Map([...all].sort())]);
        for (const [key, content] of all) expect([key, await shared.read(at, key)]).toEqual([key, content]);
      }
      await expectSoundHistory();
      expect(shared.fatal).toEqual([]);
      await shared.remove();
    }),
    { numRuns: rounds(15) },
  );
});
