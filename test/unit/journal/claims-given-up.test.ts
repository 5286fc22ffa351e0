/** A push whose outcome is not known, of which a chunk can't be had any more: the rest goes on, and it can't land late. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import type { PushRequest } from '../../../src/gitee/remote.js';
import { until } from '../../support/child.js';
import { systemClock } from '../../../src/async/clock.js';
import { noFailpoints } from '../../../src/async/failpoint.js';
import { Journal } from '../../../src/journal/journal.js';
import { bytesOf, GENERIC, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import { pushImage, tagPath } from '../../support/journal-images.js';
import { MemoryHeadRemote } from '../../support/memory-head-remote.js';

const LAYER = 'x'.repeat(90);
const HOUR_MS = 3_600_000;
const PATIENT = { missingForMs: HOUR_MS, refusedForMs: HOUR_MS };

let b: JournalBucket;
afterEach(async () => {
  expect(b.fatal).toEqual([]);
  await b.remove();
});

const open = async (options: Parameters<typeof JournalBucket.open>[0] = {}) => {
  b = await JournalBucket.open({ rules: GENERIC, timings: { maxAgeMs: HOUR_MS, ...PATIENT }, ...options });
  await b.start();
  await b.landed(await b.put('first', 'f'));
};

/** The next push goes out, and its answer is a time-out; gives what was sent. All that is pending goes with it. */
function timesOut(): Promise<PushRequest> {
  const { remote } = b;
  const push = remote.push.bind(remote);
  return new Promise((sent) => {
    remote.push = async (request) => {
      remote.push = push;
      sent(request);
      throw new RemoteError('timeout', 'no answer in time');
    };
  });
}

const late = (request: PushRequest) => new MemoryHeadRemote(b.repository).push(request);

type Unwell = 'chunk-unkept' | 'chunk-missing' | 'chunk-refused';

/** The LFS store says so of this text's chunks from now on. */
function isUnwell(text: string, code: Unwell): void {
  const wrong = new Set<string>(b.chunks.cut(bytesOf(text)).map(({ oid }) => oid));
  b.chunks.beforeEnsure = async (chunks) => {
    const oids = chunks.map(({ oid }) => oid).filter((oid) => wrong.has(oid));
    if (oids.length > 0) throw new RemoteError(code, code, { oids });
  };
}

const heal = () => {
  b.chunks.beforeEnsure = async () => {};
  b.bucket.kick();
};

describe.each(['chunk-unkept', 'chunk-missing', 'chunk-refused'] as const)('the store says %s', (code) => {
  test('and what is written meanwhile lands, and the late push does not', async () => {
    await open();
    const sent = timesOut();
    await b.put('beside', 'small');
    const seq = await b.put('big', LAYER);
    b.bucket.committer.flush();
    const request = await sent;
    isUnwell(LAYER, code);
    await b.landed(await b.put('other', 'small'));
    expect(b.tree().has('big')).toBe(false);
    expect(b.tree().has('beside')).toBe(true);
    expect((await late(request)).kind).toBe('moved');
    await b.bucket.follower.followOnce(signal);
    expect(await b.read('big')).toBe(LAYER);
    heal();
    await b.landed(seq);
    expect(await b.problems()).toEqual([]);
    expect(b.state.status()).toMatchObject({ pendingChanges: 0, quarantinedChanges: 0 });
  });

  test('and where nothing else waits an empty commit ends it, once', async () => {
    await open();
    const sent = timesOut();
    const seq = await b.put('big', LAYER);
    b.bucket.committer.flush();
    const request = await sent;
    const { head } = b.repository;
    isUnwell(LAYER, code);
    await until('the branch moves on', async () => b.repository.head !== head);
    const { parent, tree } = b.repository.commit(b.repository.head!);
    expect(parent).toBe(head);
    expect(tree).toEqual(b.repository.commit(head!).tree);
    expect((await late(request)).kind).toBe('moved');
    const commits = b.repository.commits.size;
    heal();
    await b.landed(seq);
    expect(b.repository.commits.size).toBe(commits + 1);
    expect(await b.problems()).toEqual([]);
  });

  test('and if the push lands before all that, it is found', async () => {
    await open();
    const sent = timesOut();
    const seq = await b.put('big', LAYER);
    b.bucket.committer.flush();
    const request = await sent;
    isUnwell(LAYER, code);
    const answer = await late(request);
    const other = await b.put('other', 'small');
    await b.landed(other);
    await b.landed(seq);
    // Either it came in time, or it was too late for it.
    expect(answer.kind).toBe('landed');
    expect(b.tree().get('other')).toBe('small');
    expect(await b.read('big')).toBe(LAYER);
  });
});

test('a tag lands though the layer of another one, whose push is undecided, is forgotten', async () => {
  await open({ rules: { ...REGISTRY, inlineLimitBytes: 80 } });
  const sent = timesOut();
  const bad = await pushImage(b, 'a', 'bad', [LAYER]);
  const landed = b.landed(bad.seq);
  b.bucket.committer.flush();
  const request = await sent;
  isUnwell(LAYER, 'chunk-unkept');
  const good = await pushImage(b, 'a', 'good', ['y'.repeat(90)]);
  await b.landed(good.seq);
  expect(b.tree().has(tagPath('a', 'bad'))).toBe(false);
  expect((await late(request)).kind).toBe('moved');
  heal();
  await landed;
  expect(b.tree().has(tagPath('a', 'bad'))).toBe(true);
  expect(await b.problems()).toEqual([]);
});

test('a tag lands though the layer of another one, in the same batch, is forgotten again and again', async () => {
  await open({ rules: { ...REGISTRY, inlineLimitBytes: 80 } });
  isUnwell(LAYER, 'chunk-unkept');
  const bad = await pushImage(b, 'a', 'bad', [LAYER]);
  const good = await pushImage(b, 'a', 'good', ['y'.repeat(90)]);
  const landed = b.landed(bad.seq);
  const other = b.landed(good.seq);
  b.bucket.committer.flush();
  await other;
  expect(b.tree().has(tagPath('a', 'bad'))).toBe(false);
  heal();
  await landed;
  expect(await b.problems()).toEqual([]);
});

test.each([false, true])(
  'what is cut anew goes under another id (the first push lands: %s)',
  async (landsFirst) => {
    await open();
    const first = timesOut();
    const seq = await b.put('big', LAYER);
    b.bucket.committer.flush();
    const request = await first;
    const { chunks, remote } = b;
    // Its chunk is not on Gitee any more, and so small that it would be cut with others now.
    chunks.normalise = async function* (list) {
      const pieces: Uint8Array[] = [];
      for await (const piece of chunks.read(list, 0, list.sizeBytes)) pieces.push(piece as Uint8Array);
      const bytes = Buffer.concat(pieces);
      yield* [bytes.subarray(0, 70), bytes.subarray(70)].map((piece) => chunks.keep(piece));
    };
    if (landsFirst) remote.beforePush = async () => void (await late(request));
    const push = remote.push.bind(remote);
    const ids: (string | undefined)[] = [];
    remote.push = (again, ...rest) => {
      ids.push(Object.fromEntries(again.trailers)['Batch-Id']);
      return push(again, ...rest);
    };
    await b.landed(seq);
    expect(ids).toHaveLength(1);
    expect(ids[0]).not.toBe(Object.fromEntries(request.trailers)['Batch-Id']);
    if (!landsFirst) expect((await late(request)).kind).toBe('moved');
    expect([...b.tree().keys()].filter((path) => path.startsWith('big'))).toHaveLength(landsFirst ? 1 : 2);
    expect(await b.read('big')).toBe(LAYER);
    expect(b.state.status().pendingChanges).toBe(0);
    expect(await b.problems()).toEqual([]);
  },
);

test('in strict order what lands before the stuck change takes nothing else out of the journal', async () => {
  await open({ isStrictOrder: true });
  const sent = timesOut();
  const before = await b.put('before', 'small');
  const seq = await b.put('big', LAYER);
  const after = await b.put('after', 'small');
  b.bucket.committer.flush();
  const request = await sent;
  isUnwell(LAYER, 'chunk-unkept');
  await b.landed(before);
  expect(b.state.status().pendingChanges).toBe(2);
  expect([await b.read('big'), await b.read('after')]).toEqual([LAYER, 'small']);
  expect((await late(request)).kind).toBe('moved');
  heal();
  await b.landed(after);
  await b.landed(seq);
  expect(await b.problems()).toEqual([]);
});

const POINTS = [
  'committer.batchClosed',
  'committer.chunksRemote',
  'committer.beforeClaim',
  'committer.claimed',
  'committer.afterLanded',
  'committer.baseApplied',
  'committer.overlayDropped',
];

test.each(POINTS)(
  'a kill at %s while it is ended loses nothing, and names no chunk too much',
  async (point) => {
    await open();
    const sent = timesOut();
    const seq = await b.put('big', LAYER);
    b.bucket.committer.flush();
    const request = await sent;
    const died = new Promise<void>((resolve) => {
      b.failpoints = {
        hit: (name) => {
          if (name !== point) return Promise.resolve();
          resolve();
          return new Promise(() => {});
        },
      };
    });
    isUnwell(LAYER, 'chunk-unkept');
    const other = await b.put('other', 'small');
    await died;
    await b.bucket.follower.stop();
    await b.bucket.close();
    await b.overlay.close();
    b.failpoints = { hit: () => Promise.resolve() };
    b.remote = new MemoryHeadRemote(b.repository);
    await b.reopen();
    expect([await b.read('big'), await b.read('other')]).toEqual([LAYER, 'small']);
    b.bucket.start();
    await b.landed(other);
    expect(b.tree().has('big')).toBe(false);
    expect((await late(request)).kind).toBe('moved');
    heal();
    await b.landed(seq);
    expect(b.tree().get('other')).toBe('small');
    expect(b.state.status()).toMatchObject({ pendingChanges: 0, quarantinedChanges: 0 });
    expect(await b.problems()).toEqual([]);
  },
);

describe('what is set aside while a push of it may still land', () => {
  /** big goes out and its answer is lost; sent again, it is refused for good. */
  async function refusedSince(code: 'content-refused' | 'push-too-large'): Promise<PushRequest> {
    await open();
    const sent = timesOut();
    await b.put('big', LAYER);
    b.remote.refuse = (path) =>
      path.startsWith('big') ? new RemoteError(code, 'the rules are others by now') : undefined;
    b.bucket.committer.flush();
    const request = await sent;
    await until('it is set aside', () => b.state.status().quarantinedChanges === 1);
    return request;
  }

  const drop = async () => {
    const row = await b.bucket.setAside.row(key('big'));
    expect(await b.bucket.setAside.drop(row!)).toBe(true);
  };

  test.each(['content-refused', 'push-too-large'] as const)(
    'can be dropped, and does not come back: %s',
    async (code) => {
      const request = await refusedSince(code);
      await drop();
      // A deletion would be answered as done now: there is nothing to delete.
      expect(await b.read('big')).toBeUndefined();
      expect((await late(request)).kind).toBe('moved');
      await b.bucket.follower.followOnce(signal);
      expect(await b.read('big')).toBeUndefined();
      expect([...b.tree().keys()]).toEqual(['first']);
      expect(await b.problems()).toEqual([]);
    },
  );

  test('does not land behind its back, and can be tried again', async () => {
    const request = await refusedSince('content-refused');
    expect((await late(request)).kind).toBe('moved');
    await b.bucket.follower.followOnce(signal);
    b.remote.refuse = () => undefined;
    await b.landed((await b.bucket.setAside.retry(key('big')))!);
    expect(b.state.status().quarantinedChanges).toBe(0);
    // And what others write to it afterwards is seen.
    b.repository.foreignCommit({ 'big%object': null, 'big%chunks/000000': null, big: 'theirs' });
    await b.bucket.follower.followOnce(signal);
    expect(await b.read('big')).toBe('theirs');
  });

  test('waits where the branch can not be written to, and is told as what pauses it', async () => {
    await open();
    const sent = timesOut();
    await b.put('big', LAYER);
    b.bucket.committer.flush();
    const { remote } = b;
    const push = remote.push.bind(remote);
    await sent;
    let refused = 0;
    remote.push = async (request) => {
      refused += 1;
      throw request.edits.length > 0 && refused < 3
        ? new RemoteError('content-refused', 'never')
        : new RemoteError('branch-protected', 'nobody may');
    };
    await until('it is paused', () => b.state.status().paused?.code === 'branch-protected');
    expect(b.state.status()).toMatchObject({ pendingChanges: 1, quarantinedChanges: 0 });
    expect(await b.read('big')).toBe(LAYER);
    remote.push = push;
    heal();
    await until('it lands', () => b.state.status().pendingChanges === 0);
    expect(await b.read('big')).toBe(LAYER);
    expect(await b.problems()).toEqual([]);
  });

  test('pauses nothing where the commit that would end it is refused once, for a reason that nobody knows', async () => {
    await open();
    const { remote } = b;
    const push = remote.push.bind(remote);
    const sent = timesOut();
    await b.put('big', LAYER);
    b.bucket.committer.flush();
    await sent;
    const paused: unknown[] = [];
    let isRefused = false;
    remote.push = async (request) => {
      paused.push(b.state.status().paused);
      if (!request.subject.includes(' 0 ')) throw new RemoteError('content-refused', 'never');
      if (isRefused) return push(request);
      isRefused = true;
      throw new RemoteError('refused', 'out of cheese');
    };
    heal();
    await until('it is set aside', () => {
      paused.push(b.state.status().paused);
      return b.state.status().quarantinedChanges === 1;
    });
    expect(isRefused).toBe(true);
    expect(paused.filter((each) => each !== undefined)).toEqual([]);
  });

  test('is ended at the next start, where an earlier version had set it aside so', async () => {
    await open();
    b.remote.push = async (request) => {
      held.push(request);
      return new Promise(() => {});
    };
    const held: PushRequest[] = [];
    await b.put('big', LAYER);
    b.bucket.committer.flush();
    await until('it is sent', () => held.length === 1);
    await b.bucket.follower.stop();
    await b.bucket.close();
    const journal = await Journal.open(b.overlay, 'bucket', { clock: systemClock, failpoints: noFailpoints });
    for await (const entry of journal.entries(99))
      await journal.quarantine(entry, { code: 'content-refused', message: 'no' });
    await b.overlay.close();
    b.remote = new MemoryHeadRemote(b.repository);
    await b.reopen();
    await drop();
    const { head } = b.repository;
    b.bucket.start();
    await until('the branch moves on', () => b.repository.head !== head);
    expect((await late(held[0]!)).kind).toBe('moved');
    expect([...b.tree().keys()]).toEqual(['first']);
    expect(await b.problems()).toEqual([]);
  });
});
