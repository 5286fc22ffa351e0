/** What an LFS store says about an object for some seconds is not believed for good; and what was is tried again. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ChunkError } from '../../../src/chunks/api.js';
import { wholeExtent } from '../../../src/format/extent.js';
import { RemoteError, type RemoteCause } from '../../../src/gitee/errors.js';
import { Doubts } from '../../../src/journal/doubts.js';
import { until } from '../../support/child.js';
import { ManualClock } from '../../support/chunk-bench.js';
import { bytesOf, GENERIC, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';

const PATIENT = { missingForMs: 3_600_000, refusedForMs: 3_600_000, maxAgeMs: 20 };
const bytes = (letter: string) => letter.repeat(90);

let b: JournalBucket;
afterEach(async () => {
  expect(b.fatal).toEqual([]);
  await b.remove();
});

/** Other changes land until it holds. */
async function landingUntil(holds: () => boolean): Promise<void> {
  let i = 0;
  await until('it was tried often enough', async () => {
    await b.landed(await b.put(`notes/c${(i += 1)}`, `${i}`));
    return holds();
  });
}

/** The store says this of these bytes, however often it is asked, until it is well again. */
function says(
  code: RemoteCause,
  text: string,
  fields: { readonly mayPass?: boolean } = {},
): { readonly times: () => number; readonly heal: () => void } {
  const { oid } = b.chunks.cut(bytesOf(text))[0]!;
  let times = 0;
  let isWell = false;
  const speak = async (chunks: readonly { oid: string }[]) => {
    if (isWell || !chunks.some((chunk) => chunk.oid === oid)) return;
    times += 1;
    throw new RemoteError(code, 'says the store', { ...fields, oids: [oid] });
  };
  b.chunks.beforeUpload = speak;
  b.chunks.beforeEnsure = speak;
  return { times: () => times, heal: () => (isWell = true) };
}

describe.each([
  ['generic', GENERIC],
  ['registry', REGISTRY],
])('preset %s', (_, rules) => {
  beforeEach(async () => {
    b = await JournalBucket.open({ rules, timings: PATIENT });
    await b.start();
  });

  test.each([
    'chunk-missing',
    'chunk-refused',
    'file-too-large',
    'chunk-unkept',
    'chunk-corrupt',
    // What may be about everything is about one object here.
    'server-fault',
    'unreachable',
    'forbidden',
    'refused',
    'quota-full',
  ] as const)(
    'some seconds of %s set nothing aside and hold up nothing else, and it lands when they are over',
    async (code) => {
      const store = says(code, bytes('x'));
      const doubtful = await b.put('notes/a', bytes('x'));
      await b.landed(await b.put('notes/b', bytes('y')));
      await landingUntil(() => store.times() >= 6);
      expect(b.state.status()).toMatchObject({
        ...{ quarantinedChanges: 0, paused: undefined },
        doubtful: { changes: 1, code, message: 'says the store', sinceMs: expect.any(Number) },
      });
      expect(await b.state.changeState(key('notes/a'))).toMatchObject({ state: 'pending' });
      expect(await b.read('notes/a')).toBe(bytes('x'));
      store.heal();
      await b.landed(doubtful);
      expect(await b.read('notes/a')).toBe(bytes('x'));
      const well = { quarantinedChanges: 0, pendingChanges: 0, doubtful: undefined };
      expect(b.state.status()).toMatchObject(well);
      expect(await b.problems()).toEqual([]);
    },
  );

  describe('a change that must be cut anew, of bytes that only Gitee has,', () => {
    const ODD = 'z'.repeat(40);
    let cutAnew: (aborted: AbortSignal | undefined) => Promise<void>;

    /** Of two parts, whose bytes are read for that. */
    async function putOdd(): Promise<number> {
      const normalise = b.chunks.normalise.bind(b.chunks);
      b.chunks.normalise = async function* (list, _hold, aborted) {
        if (list.sizeBytes === 2 * ODD.length) await cutAnew(aborted);
        yield* normalise(list);
      };
      const part = wholeExtent(b.chunks.keep(bytesOf(ODD)));
      return b.putExtents('notes/a', [part, part]);
    }

    const expectAside = (code: string) =>
      expect(b.state.status()).toMatchObject({
        ...{ quarantinedChanges: 0, paused: undefined },
        doubtful: { changes: 1, code, message: expect.stringContaining('notes/a') },
      });

    test.each(['remote-unavailable', 'remote-down'] as const)(
      'is the only one that waits while they can not be had (%s), and lands when they can',
      async (code) => {
        let times = 0;
        let isAway = true;
        cutAnew = async () => {
          times += 1;
          if (isAway) throw new ChunkError(code, 'the download broke off');
        };
        const odd = await putOdd();
        await b.landed(await b.put('notes/b', bytes('y')));
        await landingUntil(() => times >= 4);
        expectAside('unreachable');
        isAway = false;
        await b.landed(odd);
        expect(await b.read('notes/a')).toBe(ODD + ODD);
        expect(b.state.status()).toMatchObject({ pendingChanges: 0, doubtful: undefined });
      },
    );

    test('is the only one that waits while their download stands still, and lands when that has ended', async () => {
      let go: () => void = () => {};
      const gone = new Promise<void>((resolve) => (go = resolve));
      let times = 0;
      cutAnew = async () => {
        times += 1;
        await gone;
      };
      const odd = await putOdd();
      await until('it has begun', () => times > 0);
      for (const i of [1, 2, 3]) await b.landed(await b.put(`notes/b${i}`, bytes('y')));
      // Nothing has failed, at Gitee or anywhere else.
      expectAside('being-cut-anew');
      go();
      await b.landed(odd);
      expect(await b.read('notes/a')).toBe(ODD + ODD);
    });

    test('ends with the committer', async () => {
      let isBegun = false;
      let isEnded = false;
      cutAnew = (aborted) =>
        new Promise((_resolve, reject) => {
          isBegun = true;
          aborted!.addEventListener('abort', () => {
            isEnded = true;
            reject(aborted!.reason as Error);
          });
        });
      const odd = await putOdd();
      await until('it has begun', () => isBegun);
      await b.landed(await b.put('notes/b', bytes('y')));
      cutAnew = async () => {};
      await b.restart();
      expect(isEnded).toBe(true);
      await b.landed(odd);
    });
  });

  test('a newer change of the key is never undone by the one that was in doubt', async () => {
    const store = says('chunk-missing', bytes('x'));
    const older = await b.put('notes/a', bytes('x'));
    await landingUntil(() => store.times() >= 1);
    const newer = await b.put('notes/a', bytes('y'));
    await landingUntil(() => true);
    store.heal();
    await b.landed(newer);
    await b.landed(older);
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
    expect(await b.read('notes/a')).toBe(bytes('y'));
    expect(await b.problems()).toEqual([]);
  });

  test('a kick tries what is in doubt at once', async () => {
    await b.remove();
    b = await JournalBucket.open({ rules, timings: { ...PATIENT, retryMaxMs: 3_600_000 } });
    await b.start();
    const store = says('chunk-unkept', bytes('x'));
    const doubtful = await b.put('notes/a', bytes('x'));
    await until('it is in doubt', () => store.times() > 0);
    store.heal();
    await until('it lands', async () => {
      b.bucket.kick();
      return b.state.waitLanded(doubtful, { timeoutMs: 0, signal });
    });
  });
});

describe('what was set aside', () => {
  beforeEach(async () => {
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 20 } });
    await b.start();
  });

  async function setAside(name: string): Promise<{ heal: () => void }> {
    const store = says('chunk-refused', bytes('x'));
    await b.landed(await b.put(name, bytes('x')));
    expect(await b.state.changeState(key(name))).toMatchObject({ state: 'quarantined' });
    return store;
  }

  test.each(['kick', 'restart', 'retry'] as const)('lands after a %s, once Gitee takes it', async (how) => {
    const store = await setAside('notes/a');
    store.heal();
    if (how === 'kick') b.bucket.kick();
    else if (how === 'restart') await b.restart();
    else expect(await b.state.retrySetAside(key('notes/a'))).toBe(2);
    await until('it lands', () => b.tree().has('notes/a') || b.tree().has('notes/a%chunks/000000'));
    await until('nothing is set aside', () => b.state.status().quarantinedChanges === 0);
    expect(await b.read('notes/a')).toBe(bytes('x'));
    expect(await b.problems()).toEqual([]);
    await b.restart();
    expect(b.state.status()).toMatchObject({ quarantinedChanges: 0, pendingChanges: 0 });
  });

  test.each([true, false])(
    'is what is refused alone for a reason that nobody knows, in the end (believed to pass: %s); deletions behind it land',
    async (mayPass) => {
      await b.landed(await b.put('notes/old', 'old'));
      const store = says('refused', bytes('x'), { mayPass });
      const refused = await b.put('notes/a', bytes('x'));
      const deletion = await b.delete('notes/old');
      await b.landed(refused);
      expect(store.times()).toBeGreaterThanOrEqual(3);
      await b.landed(deletion);
      expect(await b.state.changeState(key('notes/a'))).toMatchObject({ state: 'quarantined' });
      expect(await b.bucket.setAside.row(key('notes/a'))).toMatchObject({
        ...{ code: 'refused', message: 'says the store' },
      });
      expect(b.state.status()).toMatchObject({ pendingChanges: 0, paused: undefined, doubtful: undefined });
      expect(await b.read('notes/a')).toBe(bytes('x'));
      store.heal();
      b.bucket.kick();
      await until('it lands', () => b.state.status().quarantinedChanges === 0);
      await until('nothing waits', () => b.state.status().pendingChanges === 0);
    },
  );

  test('is set aside again where Gitee still refuses it, and is readable all the time', async () => {
    await setAside('notes/a');
    await b.restart();
    expect(await b.read('notes/a')).toBe(bytes('x'));
    await until('it was tried', () => b.state.status().quarantinedChanges === 1);
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
    expect(await b.read('notes/a')).toBe(bytes('x'));
    expect(await b.problems()).toEqual([]);
  });

  test('a deletion is tried again too', async () => {
    await b.landed(await b.put('notes/a', 'old'));
    b.remote.refuse = (path) =>
      path.startsWith('notes/a') ? new RemoteError('content-refused', 'no') : undefined;
    await b.landed(await b.delete('notes/a'));
    expect(b.state.status().quarantinedChanges).toBe(1);
    b.remote.refuse = () => undefined;
    await b.landed((await b.state.retrySetAside(key('notes/a')))!);
    expect(b.tree()).toEqual(new Map());
    expect(await b.problems()).toEqual([]);
  });

  test('is not tried again over what somebody else wrote to the key since', async () => {
    const store = await setAside('notes/a');
    store.heal();
    b.repository.foreignCommit({ 'notes/a': 'by hand' });
    await b.bucket.follower.followOnce(signal);
    expect(await b.state.retrySetAside(key('notes/a'))).toBeUndefined();
    b.bucket.kick();
    await b.restart();
    await b.landed(await b.put('notes/b', 'other'));
    expect(b.tree().get('notes/a')).toBe('by hand');
    expect(b.state.status()).toMatchObject({ quarantinedChanges: 1, pendingChanges: 0 });
  });

  test('is not tried again over what was written here since, not even where that is deleted', async () => {
    const store = await setAside('notes/a');
    store.heal();
    const deleted = await b.delete('notes/a');
    expect(await b.state.retrySetAside(key('notes/a'))).toBeUndefined();
    await b.landed(deleted);
    expect(await b.state.retrySetAside(key('notes/a'))).toBeUndefined();
    expect(b.tree()).toEqual(new Map());
    expect(await b.problems()).toEqual([]);
  });

  test('racing retries and writes give every change one number and keep the newest', async () => {
    const store = await setAside('notes/a');
    store.heal();
    const [first, written, second] = await Promise.all([
      b.state.retrySetAside(key('notes/a')),
      b.put('notes/a', bytes('y')),
      b.state.retrySetAside(key('notes/a')),
    ]);
    const given = [first, written, second].filter((seq) => seq !== undefined);
    expect(new Set(given).size).toBe(given.length);
    await b.landed(written);
    b.bucket.committer.flush();
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
    expect(await b.read('notes/a')).toBe(bytes((first ?? second ?? 0) > written ? 'x' : 'y'));
    expect(b.state.status().quarantinedChanges).toBe(0);
    expect(await b.problems()).toEqual([]);
  });
});

describe('a bucket whose barrier waits for all before it', () => {
  test('passes by nothing that is in doubt', async () => {
    b = await JournalBucket.open({ rules: GENERIC, timings: PATIENT, isStrictOrder: true });
    await b.start();
    const store = says('chunk-missing', bytes('x'));
    await b.put('notes/a', bytes('x'));
    const later = await b.put('notes/b', 'later');
    await until('it was tried', () => store.times() > 2);
    expect(b.tree().has('notes/b')).toBe(false);
    store.heal();
    await b.landed(later);
    expect([...b.tree().keys()].some((path) => path.startsWith('notes/a'))).toBe(true);
  });
});

describe('doubts', () => {
  test('are final after the patience and three tries, and begin anew after a long silence', async () => {
    b = await JournalBucket.open();
    const clock = new ManualClock();
    const doubts = new Doubts({ clock, waitMaxMs: 1_000, random: () => 1 });
    const reason = { code: 'chunk-refused', message: 'no' };
    const note = () => doubts.note(7, { patienceMs: 30_000, reason });
    expect([note(), doubts.has(7), doubts.has(8)]).toEqual([false, true, false]);
    clock.advance(500);
    expect(doubts.has(7)).toBe(false);
    clock.advance(29_000);
    expect(note()).toBe(false);
    clock.advance(499);
    expect(note()).toBe(false);
    clock.advance(1);
    expect(note()).toBe(true);
    // The patience is over, but all that was said lies before a long pause.
    clock.advance(3_600_000);
    expect([note(), note(), note()]).toEqual([false, false, false]);
    clock.advance(30_000);
    expect(note()).toBe(true);
    doubts.clear();
    expect(doubts.has(7)).toBe(false);
  });
});
