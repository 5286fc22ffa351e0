/** What every HeadRemote must do (src/gitee/remote.ts); run by the git one and by the one in memory. */
import { RemoteError } from '../../src/gitee/errors.js';
import type { HeadRemote, PathEdit, PushResult } from '../../src/gitee/remote.js';
import type { CommitId, TreePath } from '../../src/format/ids.js';
import { gitBlobId } from '../../src/index/git-blob-id.js';

export interface HeadRemoteFixture {
  readonly remote: HeadRemote;
  /** Somebody else commits on top of the branch; null removes the file. */
  foreignCommit(files: Record<string, string | null>): Promise<CommitId>;
  /** Somebody else replaces the history by one commit with this tree. */
  rewriteHistory(files: Record<string, string>): Promise<CommitId>;
  /** The head on the server. */
  serverHead(): Promise<CommitId | null>;
  /** The tree at the server's head. */
  serverFiles(): Promise<Map<string, string>>;
  close(): Promise<void>;
}

export const put = (path: string, content: string): PathEdit => ({
  kind: 'put',
  path: path as TreePath,
  content: async () => new TextEncoder().encode(content),
});
const removeFile = (path: string): PathEdit => ({ kind: 'remove-file', path: path as TreePath });
const removeTree = (path: string): PathEdit => ({ kind: 'remove-tree', path: path as TreePath });

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The head of a push that landed; fails the test otherwise. */
export function landed(result: PushResult): CommitId {
  if (result.kind !== 'landed') throw new Error(`the push ended as ${JSON.stringify(result)}`);
  return result.head;
}

export function headRemoteContract(name: string, start: () => Promise<HeadRemoteFixture>): void {
  describe(`${name} as a HeadRemote`, () => {
    let fixture: HeadRemoteFixture;
    let remote: HeadRemote;
    let seq = 0;
    beforeEach(async () => {
      fixture = await start();
      remote = fixture.remote;
      seq = 0;
    });
    afterEach(async () => {
      await remote.close();
      await fixture.close();
    });

    const push = (expectedHead: CommitId | null, ...edits: PathEdit[]) => {
      seq += 1;
      return remote.push({
        expectedHead,
        edits,
        subject: `changes ${seq}`,
        trailers: [
          ['Gateway-Id', 'gw-1'],
          ['Gateway-Epoch', '1'],
          ['Journal-Seq', `${seq * 10 - 9}..${seq * 10}`],
        ],
      });
    };
    const text = async (head: CommitId, path: string) => {
      const bytes = await remote.readFile(head, path as TreePath, 1 << 20);
      return bytes && new TextDecoder().decode(bytes);
    };
    const expectRefused = async (result: Promise<unknown>) => {
      const error = await result.then(
        () => undefined,
        (e: unknown) => e,
      );
      expect(error).toBeInstanceOf(RemoteError);
      expect((error as RemoteError).code).toBe('content-refused');
    };

    test('a branch that does not exist is fetched as null', async () => {
      expect(await remote.fetch()).toBeNull();
      expect(remote.knownHead()).toBeNull();
    });

    test('the head is read without bringing it here, also beside a push and a fetch', async () => {
      expect(await remote.readHead()).toBeNull();
      const base = await fixture.foreignCommit({ a: '1' });
      expect(await remote.readHead()).toBe(base);
      expect(remote.knownHead()).toBeNull();
      await remote.fetch();
      const beside = [push(base, put('b', '2')), remote.fetch(), remote.readHead()] as const;
      const [pushed, , read] = await Promise.all(beside);
      expect([base, landed(pushed)]).toContain(read);
      expect(await remote.readHead()).toBe(await fixture.serverHead());
      await expect(remote.readHead(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    });

    test('the first push makes the branch', async () => {
      await remote.fetch();
      const head = landed(await push(null, put('a', '1'), put('d/e/f', '2')));
      expect(await fixture.serverHead()).toBe(head);
      expect(remote.knownHead()).toBe(head);
      expect(await fixture.serverFiles()).toEqual(
        new Map([
          ['a', '1'],
          ['d/e/f', '2'],
        ]),
      );
    });

    test('a push changes the paths of its edits and no other', async () => {
      const base = await fixture.foreignCommit({ keep: 'k', 'd/keep': 'dk', 'd/gone': 'x', 'e/f/gone': 'y' });
      expect(await remote.fetch()).toBe(base);
      const head = landed(
        await push(base, put('d/new', 'n'), removeFile('d/gone'), removeTree('e'), removeFile('missing')),
      );
      expect(await fixture.serverFiles()).toEqual(
        new Map([
          ['d/keep', 'dk'],
          ['d/new', 'n'],
          ['keep', 'k'],
        ]),
      );
      const changes = await collect(remote.diff(base, head));
      expect(changes.map((c) => [c.path, c.blobId !== undefined])).toEqual([
        ['d/gone', false],
        ['d/new', true],
        ['e/f/gone', false],
      ]);
    });

    test('the id of a file is that of its bytes; a directory has none, and what is not there neither', async () => {
      const base = await fixture.foreignCommit({ a: '1', 'd/x': '2' });
      await remote.fetch();
      const ids = ['a', 'd/x', 'd', 'none', 'a/below'].map((path) => remote.fileId(base, path as TreePath));
      const [one, two] = ['1', '2'].map((text) => gitBlobId(Buffer.from(text)));
      expect(await Promise.all(ids)).toEqual([one, two, undefined, undefined, undefined]);
    });

    test('edits that change nothing make no commit', async () => {
      const base = await fixture.foreignCommit({ a: '1', 'd/x': '2' });
      await remote.fetch();
      expect(await push(base, put('a', '1'), removeFile('none'), removeFile('d'), removeTree('a'))).toEqual({
        kind: 'unchanged',
        head: base,
      });
      expect(await fixture.serverHead()).toBe(base);
    });

    test('edits that change nothing are done only where the branch stands there still', async () => {
      const base = await fixture.foreignCommit({ a: '1' });
      await remote.fetch();
      const theirs = await fixture.foreignCommit({ a: '2' });
      expect(await push(base, put('a', '1'))).toEqual({ kind: 'moved', head: theirs });
      expect(remote.knownHead()).toBe(theirs);
      landed(await push(theirs, put('a', '1')));
      expect(await fixture.serverFiles()).toEqual(new Map([['a', '1']]));
    });

    test('the last edit of a path counts', async () => {
      await remote.fetch();
      const head = landed(
        await push(null, put('a', '1'), put('b', '1'), removeFile('a'), put('b', '2'), put('t/x', '1')),
      );
      expect(await fixture.serverFiles()).toEqual(
        new Map([
          ['b', '2'],
          ['t/x', '1'],
        ]),
      );
      await push(head, put('t/y', '1'), removeTree('t'), put('t/z', '1'));
      expect([...(await fixture.serverFiles()).keys()]).toEqual(['b', 't/z']);
    });

    test('a file gives way to a directory of its name, and back', async () => {
      await remote.fetch();
      const first = landed(await push(null, put('a', '1'), put('b', '1')));
      const second = landed(await push(first, removeFile('a'), put('a/b', '2'), put('a%object', '1')));
      expect([...(await fixture.serverFiles()).keys()]).toEqual(['a%object', 'a/b', 'b']);
      landed(await push(second, removeTree('a'), put('a', '3')));
      expect(await fixture.serverFiles()).toEqual(
        new Map([
          ['a', '3'],
          ['a%object', '1'],
          ['b', '1'],
        ]),
      );
    });

    test('a path that would be file and directory at once is refused, and nothing lands', async () => {
      const base = await fixture.foreignCommit({ a: '1', 'd/x': '2' });
      await remote.fetch();
      await expectRefused(push(base, put('a/b', '2')));
      await expectRefused(push(base, put('d', '2')));
      await expectRefused(push(base, put('n', '2'), put('n/m', '2')));
      expect(await fixture.serverHead()).toBe(base);
    });

    test.each(['', 'a//b', './a', 'a/../b', '.git/config', 'a/.GIT/x', '/a', 'a/'])(
      'the path %j is refused before it is sent',
      async (path) => {
        await remote.fetch();
        await expectRefused(push(null, put(path, 'x')));
        expect(await fixture.serverHead()).toBeNull();
      },
    );

    test('a push onto a head that has moved tells where the branch is', async () => {
      const base = await fixture.foreignCommit({ a: '1' });
      await remote.fetch();
      const theirs = await fixture.foreignCommit({ b: '2' });
      expect(await push(base, put('c', '3'))).toEqual({ kind: 'moved', head: theirs });
      expect(remote.knownHead()).toBe(theirs);
      expect(await text(theirs, 'b')).toBe('2');
      const head = landed(await push(theirs, put('c', '3')));
      expect(await remote.isAncestor(base, head)).toBe(true);
    });

    test('a push of the first commit loses against one that came before it', async () => {
      await remote.fetch();
      const theirs = await fixture.foreignCommit({ b: '2' });
      expect(await push(null, put('c', '3'))).toEqual({ kind: 'moved', head: theirs });
    });

    test('contents are loaded one by one, and a failing one lands nothing', async () => {
      await remote.fetch();
      const failing: PathEdit = {
        kind: 'put',
        path: 'b' as TreePath,
        content: () => Promise.reject(new Error('the chunk store is gone')),
      };
      await expect(push(null, put('a', '1'), failing)).rejects.toThrow('the chunk store is gone');
      expect(await fixture.serverHead()).toBeNull();
    });

    test('files of a commit come in order of bytes with blob id and size', async () => {
      const base = await fixture.foreignCommit({
        'b/c': '1',
        'b.c': '22',
        a: 'hello\n',
        'z/é/中': '',
        'b/c0': 'x',
      });
      await remote.fetch();
      const files = await collect(remote.files(base));
      expect(files.map((f) => [f.path, f.sizeBytes])).toEqual([
        ['a', 6],
        ['b.c', 2],
        ['b/c', 1],
        ['b/c0', 1],
        ['z/é/中', 0],
      ]);
      expect(files[0]?.blobId).toBe('ce013625030ba8dba906f756967f9e9ca394464a');
      const below = await collect(remote.files(base, 'b' as TreePath));
      expect(below.map((f) => f.path)).toEqual(['b/c', 'b/c0']);
      expect(await collect(remote.files(base, 'nothing/here' as TreePath))).toEqual([]);
    });

    test('blobs come in the order asked for, null where they are too large', async () => {
      const base = await fixture.foreignCommit({ a: 'one', b: 'x'.repeat(2000), c: '', d: 'line\n\n' });
      await remote.fetch();
      const ids = new Map((await collect(remote.files(base))).map((f) => [f.path as string, f.blobId]));
      const asked = ['d', 'b', 'a', 'c', 'a'].map((path) => ids.get(path)!);
      const got = await collect(remote.blobs(asked, 1000));
      expect(got.map((bytes) => bytes && new TextDecoder().decode(bytes))).toEqual([
        'line\n\n',
        null,
        'one',
        '',
        'one',
      ]);
    });

    test('a reader may leave a stream early', async () => {
      const files = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`d/${i}`, `content ${i}`]));
      const base = await fixture.foreignCommit(files);
      await remote.fetch();
      for await (const file of remote.files(base)) {
        expect(file.path).toBe('d/0');
        break;
      }
      const ids = (await collect(remote.files(base))).map((file) => file.blobId);
      for await (const blob of remote.blobs(ids, 1000)) {
        expect(new TextDecoder().decode(blob)).toBe('content 0');
        break;
      }
      for await (const entry of remote.history(base)) {
        expect(entry.paths).toHaveLength(500);
        break;
      }
      expect(await text(base, 'd/499')).toBe('content 499');
    });

    test('a file that is not there reads as undefined, a directory too', async () => {
      const base = await fixture.foreignCommit({ 'd/x': '1' });
      await remote.fetch();
      expect(await text(base, 'd/x')).toBe('1');
      expect(await text(base, 'd')).toBeUndefined();
      expect(await text(base, 'd/x/y')).toBeUndefined();
      expect(await text(base, 'none')).toBeUndefined();
    });

    test('a diff from nothing has every file', async () => {
      const base = await fixture.foreignCommit({ 'd/x': '1', y: '2' });
      await remote.fetch();
      const changes = await collect(remote.diff(null, base));
      expect(changes.map((c) => c.path)).toEqual(['d/x', 'y']);
      expect(await collect(remote.diff(base, base))).toEqual([]);
    });

    test('history is told newest first with the paths of each commit', async () => {
      const first = await fixture.foreignCommit({ a: '1', b: '1' });
      await remote.fetch();
      const second = landed(await push(first, put('d/c', '1'), put('b', '2')));
      const third = landed(await push(second, removeFile('a')));
      const entries = await collect(remote.history(third));
      expect(entries.map((e) => [e.commit, e.paths])).toEqual([
        [third, ['a']],
        [second, ['b', 'd/c']],
        [first, ['a', 'b']],
      ]);
      for (const { timeMs } of entries) expect(timeMs).toBeGreaterThan(1_500_000_000_000);
    });

    test('the commits of a log are told newest first, with trailers and parent', async () => {
      await remote.fetch();
      const first = landed(await push(null, put('a', '1')));
      const second = landed(await push(first, put('a', '2')));
      const theirs = await fixture.foreignCommit({ x: '1' });
      await remote.fetch();
      const own = async (head: CommitId, id: string, since: CommitId | null = null) =>
        (await collect(remote.ownCommits(head, id, since))).map(({ commit, parent, trailers }) => [
          commit,
          parent,
          trailers.get('Journal-Seq'),
        ]);
      const both = [
        [second, first, '11..20'],
        [first, null, '1..10'],
      ];
      expect(await own(theirs, 'gw-1')).toEqual(both);
      expect(await own(second, 'gw-1')).toEqual(both);
      expect(await own(theirs, 'gw-1', first)).toEqual([both[0]]);
      expect(await own(theirs, 'gw-1', theirs)).toEqual([]);
      expect(await own(theirs, 'gw')).toEqual([]);
      expect(await own(theirs, 'gw-2')).toEqual([]);
    });

    test('the way from a head back to an older one is told commit by commit, whoever made them', async () => {
      await remote.fetch();
      const first = landed(await push(null, put('a', '1')));
      const theirs = await fixture.foreignCommit({ x: '1' });
      await remote.fetch();
      const last = landed(await push(theirs, put('a', '2')));
      const way = async (head: CommitId, since: CommitId) =>
        (await collect(remote.commitsSince(head, since))).map(({ commit, parent, trailers }) => [
          commit,
          parent,
          trailers.has('Gateway-Id'),
        ]);
      expect(await way(last, first)).toEqual([
        [last, theirs, true],
        [theirs, first, false],
      ]);
      expect(await way(last, theirs)).toEqual([[last, theirs, true]]);
      expect(await way(last, last)).toEqual([]);
    });

    test('a commit that changes nothing is made where it is asked for, and only there', async () => {
      const base = await fixture.foreignCommit({ a: '1' });
      await remote.fetch();
      const request = { expectedHead: base, edits: [put('a', '1')], subject: 'fence', trailers: [] };
      expect(await remote.push(request)).toEqual({ kind: 'unchanged', head: base });
      const fence = landed(await remote.push({ ...request, evenIfUnchanged: true }));
      expect(await remote.fetch()).toBe(fence);
      expect(await collect(remote.diff(base, fence))).toEqual([]);
      expect(await remote.isAncestor(base, fence)).toBe(true);
    });

    test('a rewritten history is fetched and known as no descendant; what is kept stays readable', async () => {
      const base = await fixture.foreignCommit({ a: '1' });
      await remote.fetch();
      await remote.keep(base);
      const squashed = await fixture.rewriteHistory({ a: '2' });
      expect(await remote.fetch()).toBe(squashed);
      expect(await remote.isAncestor(base, squashed)).toBe(false);
      expect(await remote.isAncestor(squashed, squashed)).toBe(true);
      expect(await text(base, 'a')).toBe('1');
      const changes = await collect(remote.diff(base, squashed));
      expect(changes.map((c) => c.path)).toEqual(['a']);
    });

    test('the newest head that was seen is known, until another one is to be believed', async () => {
      const base = await fixture.foreignCommit({ a: '1' });
      await remote.fetch();
      const next = await fixture.foreignCommit({ a: '2' });
      await remote.fetch();
      for (const head of [base, null]) {
        await remote.believe(head);
        expect(remote.knownHead()).toBe(head);
        expect(await text(next, 'a')).toBe('2');
      }
      expect(await remote.fetch()).toBe(next);
      expect(remote.knownHead()).toBe(next);
      landed(await push(next, put('a', '3')));
    });

    test('after drop() everything is fetched anew', async () => {
      const base = await fixture.foreignCommit({ a: '1' });
      await remote.fetch();
      await remote.drop();
      expect(remote.knownHead()).toBeNull();
      expect(await remote.fetch()).toBe(base);
      expect(await text(base, 'a')).toBe('1');
      landed(await push(base, put('a', '2')));
    });

    test('a call with an aborted signal does nothing', async () => {
      await remote.fetch();
      const signal = AbortSignal.abort(new Error('stop'));
      await expect(remote.fetch(signal)).rejects.toThrow('stop');
      await expect(
        remote.push({ expectedHead: null, edits: [put('a', '1')], subject: 's', trailers: [] }, signal),
      ).rejects.toThrow('stop');
      expect(await fixture.serverHead()).toBeNull();
    });

    test('maintenance changes nothing that can be seen', async () => {
      const base = await fixture.foreignCommit({ a: '1' });
      await remote.fetch();
      const head = landed(await push(base, put('b', '2')));
      await remote.maintain();
      expect(await text(head, 'a')).toBe('1');
      landed(await push(head, put('c', '3')));
    });
  });
}
