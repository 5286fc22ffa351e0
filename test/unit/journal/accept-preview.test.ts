/** An operator sees what accept-remote would do, and does it or not. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import { JournalBucket, signal } from '../../support/journal-bucket.js';

/** In LFS, in several chunks. */
const large = (letter: string) => letter.repeat(250);

describe('what accept-remote would do', () => {
  let b: JournalBucket;
  beforeEach(async () => {
    b = await JournalBucket.open({ timings: { maxAgeMs: 3_600_000 } });
    await b.start();
    for (const name of ['stays', 'goes', 'changes', 'grows']) await b.put(name, name);
    await b.landed(await b.put('large', large('x')));
  });
  afterEach(async () => {
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  /** Somebody's history in place of ours. */
  async function rewrite(files: Record<string, string>): Promise<void> {
    const format = b.repository.texts().get('.gateway/format.json')!;
    b.repository.rewriteHistory({ '.gateway/format.json': format, ...files });
    await b.bucket.follower.followOnce(signal);
    expect(b.state.status().frozen?.reason).toContain('rewritten');
  }

  test('is told by key, and is what it does then', async () => {
    const before = b.state.status().head;
    const pointers = [...b.tree()].filter(([path]) => path.startsWith('large%chunks/'));
    const moved = await b.put('waits', 'here');
    await rewrite({
      stays: 'stays',
      changes: 'other',
      'new 1': '1',
      grows: 'g'.repeat(70),
      ...Object.fromEntries(pointers),
    });
    const preview = await b.bucket.previewAccept();
    expect(preview).toEqual({
      previousHead: before,
      head: b.repository.head,
      added: { count: 1, some: ['new 1'] },
      changed: { count: 2, some: ['changes', 'grows'] },
      removed: { count: 1, some: ['goes'] },
      isWhole: true,
      pendingChanges: 1,
    });
    // Nothing was done.
    expect(b.state.status()).toMatchObject({
      head: before,
      frozen: { reason: expect.stringContaining('rewritten') },
    });
    expect(await b.list()).toEqual(['changes', 'goes', 'grows', 'large', 'stays', 'waits']);
    await b.bucket.acceptRemote();
    expect(await b.list()).toEqual(['changes', 'grows', 'large', 'new 1', 'stays', 'waits']);
    expect(await b.read('changes')).toBe('other');
    await b.landed(moved);
    expect(b.tree().get('waits')).toBe('here');
    expect(await b.bucket.previewAccept()).toMatchObject({
      added: { count: 0 },
      removed: { count: 0 },
      pendingChanges: 0,
    });
  });

  test('a chunk in the middle of an object changes it; a branch that is gone takes all', async () => {
    const tree = new Map(b.tree());
    const other = b.chunks.cut(Buffer.from('y'.repeat(100)))[0]!;
    const middle = tree.get('large%chunks/000001')!;
    tree.set('large%chunks/000001', middle.replace(/sha256:[0-9a-f]{64}/, `sha256:${other.oid}`));
    await rewrite(Object.fromEntries(tree));
    expect(await b.bucket.previewAccept()).toMatchObject({
      changed: { count: 1, some: ['large'] },
      removed: { count: 0 },
      added: { count: 0 },
    });
    b.repository.head = null;
    const gone = await b.bucket.previewAccept();
    expect(gone).toMatchObject({
      head: null,
      removed: { count: 5 },
      added: { count: 0 },
      changed: { count: 0 },
    });
  });

  test('of a state that knows no branch yet all of it is new', async () => {
    const other = await JournalBucket.open({}, b.repository);
    expect(await other.bucket.previewAccept()).toMatchObject({
      previousHead: null,
      added: { count: 5 },
      removed: { count: 0 },
    });
    await other.remove();
  });

  test('names ten keys of each kind, and fails where Gitee does not answer', async () => {
    const files = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`n${10 + i}`, 'x']));
    await rewrite(files);
    const { added } = await b.bucket.previewAccept();
    expect([added.count, added.some.length, added.some[0]]).toEqual([30, 10, 'n10']);
    b.remote.fail('fetch', new RemoteError('unreachable', 'no answer'));
    await expect(b.bucket.previewAccept()).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('where Gitee stands still that is said at once, whoever waits for it already', async () => {
    let over = () => {};
    const push = new Promise<void>((resolve) => (over = resolve));
    const begun = new Promise<void>((resolve) => {
      b.remote.beforePush = () => {
        resolve();
        return push;
      };
    });
    const seq = await b.put('waits', 'here');
    b.bucket.committer.flush();
    await begun;
    b.remote.fail('fetch', new RemoteError('timeout', 'stands still'), Infinity);
    for (const command of ['previewAccept', 'acceptRemote', 'rebuild'] as const)
      await expect(b.bucket[command]()).rejects.toMatchObject({ code: 'timeout' });
    b.remote.heal();
    over();
    await b.landed(seq);
  });
});
