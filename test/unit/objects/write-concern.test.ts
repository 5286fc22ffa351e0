import { silentLog } from '../../../src/async/log.js';
import type { ObjectKey } from '../../../src/format/ids.js';
import type { BucketState, BucketStatus, ChangeState } from '../../../src/journal/bucket-state.js';
import type { Bucket, WriteConcernRules } from '../../../src/objects/bucket.js';
import { ObjectError } from '../../../src/objects/errors.js';
import { WriteConcern } from '../../../src/objects/write-concern.js';

const TAG = 'docker/registry/v2/repositories/a/_manifests/tags/v1/current/link' as ObjectKey;
const OTHER = 'docker/registry/v2/repositories/a/_layers/sha256/0/link' as ObjectKey;
const write = (key: ObjectKey, appended: boolean, etag = 'e') => ({ keys: [key], etag, appended });
const HOLD_MS = 20_000;
const HOLD_MAX_MS = 100_000;

/** A bucket whose Gitee never answers: what is waited for runs into its time-out, on a clock of the test's. */
class StalledBucket {
  nowMs = 1_000_000;
  change: ChangeState | undefined;
  quarantined = 0;
  paused: BucketStatus['paused'];
  /** When something last got through to Gitee. */
  heardMs: number | undefined;
  pendingChanges = 0;
  /** The image that is written is. */
  isTooLarge = false;
  /** All up to this one have landed. */
  landedSeq = 0;
  /** Called while a request is held. */
  onWait: () => void = () => {};
  #waitedMs = 0;
  readonly counted: string[] = [];

  newConcern(): WriteConcern {
    return new WriteConcern({
      // The wall clock has no part in it.
      clock: { nowMs: () => Number.NaN, steadyMs: () => this.nowMs, sleep: async () => {} },
      log: silentLog,
      metrics: {
        count: (_name: string, labels?: Record<string, string>) => this.counted.push(labels!['result']!),
        observe: () => {},
        set: () => {},
      },
    });
  }

  bucket(rules: Partial<WriteConcernRules> = {}): Bucket {
    const state: Pick<
      BucketState,
      'changeState' | 'waitLanded' | 'setAsideAs' | 'status' | 'get' | 'retrySetAside'
    > = {
      changeState: async () => this.change,
      waitLanded: async (seq, { timeoutMs }) => {
        if (seq <= this.landedSeq) return true;
        this.#waitedMs += timeoutMs;
        this.nowMs += timeoutMs;
        if (timeoutMs > 0) this.onWait();
        return seq <= this.landedSeq;
      },
      status: () =>
        ({
          quarantinedChanges: this.quarantined,
          pendingChanges: this.pendingChanges,
          paused: this.paused,
        }) as never,
      setAsideAs: () => undefined,
      get: async () => {
        if (this.isTooLarge) throw new ObjectError('not-yet-remote', 'too large to be looked through');
        return undefined;
      },
      retrySetAside: async () => undefined,
    };
    return {
      name: 'registry',
      rules: { registryRoot: '' },
      concern: {
        mode: 'barrier',
        barrierPatterns: [/\/_manifests\/tags\/[^/]+\/current\/link$/],
        holdMs: HOLD_MS,
        holdMaxMs: HOLD_MAX_MS,
        lineHeardMs: () => this.heardMs,
        outage: 'reject',
        ...rules,
      },
      state,
    } as unknown as Bucket;
  }

  /** How long requests were held since this was last asked. */
  heldMs(): number {
    const held = this.#waitedMs;
    this.#waitedMs = 0;
    return held;
  }

  pending(seq = 7): void {
    this.change = { seq, appendedMs: this.nowMs, state: 'pending' };
  }
}

describe('write concern, invariant 6', () => {
  const { signal } = new AbortController();
  let stalled: StalledBucket;
  beforeEach(() => {
    stalled = new StalledBucket();
    stalled.pending();
  });

  test('only keys that match a barrier wait; with local none, with remote all', async () => {
    const concern = stalled.newConcern();
    await concern.settle(stalled.bucket(), write(OTHER, true), signal);
    await concern.settle(stalled.bucket({ mode: 'local' }), write(TAG, true), signal);
    expect(stalled.heldMs()).toBe(0);
    await expect(
      concern.settle(stalled.bucket({ mode: 'remote' }), write(OTHER, true), signal),
    ).rejects.toThrow();
    expect(stalled.heldMs()).toBe(HOLD_MS);
  });

  test('a barrier holds 20 s, the retries of the next minute are answered at once, a later try holds again', async () => {
    const concern = stalled.newConcern();
    const put = (appended: boolean) => concern.settle(stalled.bucket(), write(TAG, appended), signal);
    await expect(put(true)).rejects.toMatchObject({ code: 'not-yet-remote', retryAfterMs: undefined });
    stalled.nowMs += 700;
    await expect(put(false)).rejects.toMatchObject({ code: 'not-yet-remote' });
    stalled.nowMs += 1_500;
    await expect(put(false)).rejects.toMatchObject({ code: 'not-yet-remote' });
    expect(stalled.heldMs()).toBe(HOLD_MS);
    stalled.nowMs += 61_000;
    await expect(put(false)).rejects.toMatchObject({ code: 'not-yet-remote' });
    expect(stalled.heldMs()).toBe(HOLD_MS);
  });

  test('a client that repeats faster than its tries land is held once the refused one has landed', async () => {
    const concern = stalled.newConcern();
    const put = () => concern.settle(stalled.bucket(), write(TAG, true), signal);
    await expect(put()).rejects.toMatchObject({ code: 'not-yet-remote' });
    // Each try is a change of its own, and lands when four more have come.
    const told: string[] = [];
    stalled.onWait = () => {
      stalled.landedSeq = stalled.change!.seq;
    };
    for (let seq = 8; seq < 20; seq += 1) {
      stalled.nowMs += 300;
      stalled.pending(seq);
      stalled.landedSeq = Math.max(stalled.landedSeq, seq - 4);
      told.push(
        await put().then(
          () => 'ok',
          (error: unknown) => (error as { code: string }).code,
        ),
      );
      if (told.at(-1) === 'ok') break;
    }
    expect(told).toEqual(['not-yet-remote', 'not-yet-remote', 'not-yet-remote', 'ok']);
  });

  test('the minute in which repeats are answered at once is counted from the refusal, not from the last of them', async () => {
    const concern = stalled.newConcern();
    const put = () => concern.settle(stalled.bucket(), write(TAG, false), signal);
    await expect(put()).rejects.toThrow();
    for (let i = 0; i < 2; i += 1) {
      stalled.nowMs += 25_000;
      await expect(put()).rejects.toThrow();
    }
    stalled.heldMs();
    stalled.nowMs += 25_000;
    await expect(put()).rejects.toThrow();
    expect(stalled.heldMs()).toBe(HOLD_MS);
  });

  test('what is held while something gets through waits on, up to its bound', async () => {
    stalled.onWait = () => {
      if (stalled.nowMs < 1_000_000 + 50_000) stalled.heardMs = stalled.nowMs;
    };
    await expect(
      stalled.newConcern().settle(stalled.bucket(), write(TAG, true), signal),
    ).rejects.toMatchObject({ code: 'not-yet-remote' });
    // The last sign of life was after 49 s.
    expect(stalled.heldMs()).toBe(49_000 + HOLD_MS);
    stalled.pending();
    stalled.onWait = () => {
      stalled.heardMs = stalled.nowMs;
    };
    await expect(stalled.newConcern().settle(stalled.bucket(), write(TAG, true), signal)).rejects.toThrow();
    expect(stalled.heldMs()).toBe(HOLD_MAX_MS);
  });

  test('what only an operator can lift is answered soon, with its sentence', async () => {
    stalled.paused = { code: 'quota-full', message: 'The quota is full.', sinceMs: 0 };
    await expect(stalled.newConcern().settle(stalled.bucket(), write(TAG, true), signal)).rejects.toThrow(
      'stored here, but not yet on Gitee: The quota is full.',
    );
    expect(stalled.heldMs()).toBeLessThanOrEqual(2_000);
  });

  test('after a restart a retry joins the waiter: the hold counts from when the change was appended', async () => {
    stalled.nowMs += 5_000;
    await expect(
      stalled.newConcern().settle(stalled.bucket(), write(TAG, false), signal),
    ).rejects.toMatchObject({ code: 'not-yet-remote' });
    expect(stalled.heldMs()).toBe(HOLD_MS - 5_000);
  });

  test('other bytes for the same tag are a first attempt of their own', async () => {
    const concern = stalled.newConcern();
    await expect(concern.settle(stalled.bucket(), write(TAG, true), signal)).rejects.toThrow();
    stalled.pending();
    await expect(concern.settle(stalled.bucket(), write(TAG, true, 'other'), signal)).rejects.toThrow();
    expect(stalled.heldMs()).toBe(2 * HOLD_MS);
  });

  test('what has landed is acknowledged at once', async () => {
    stalled.change = { seq: 7, appendedMs: 0, state: 'landed' };
    await stalled.newConcern().settle(stalled.bucket(), write(TAG, false), signal);
    expect(stalled.heldMs()).toBe(0);
    expect(stalled.counted).toEqual(['landed']);
  });

  test('outage: accept acknowledges at the time-out, and counts it as at risk', async () => {
    await stalled.newConcern().settle(stalled.bucket({ outage: 'accept' }), write(TAG, true), signal);
    expect(stalled.heldMs()).toBe(HOLD_MS);
    expect(stalled.counted).toEqual(['accepted-at-risk']);
  });

  test('a change that Gitee refuses for good is never acknowledged, and not waited for', async () => {
    stalled.change = { seq: 7, appendedMs: 0, state: 'quarantined' };
    await expect(
      stalled.newConcern().settle(stalled.bucket({ outage: 'accept' }), write(TAG, false), signal),
    ).rejects.toMatchObject({ code: 'not-yet-remote' });
    expect(stalled.heldMs()).toBe(0);
  });

  test.each([
    ['written now, while others wait', true, 0, true],
    ['found written, while others wait', false, 0, false],
    ['written now, while something is set aside', true, 1, false],
  ])('a tag whose image is too large to be looked through, %s', async (_, appended, quarantined, isKept) => {
    Object.assign(stalled, { change: undefined, pendingChanges: 1, quarantined, isTooLarge: true });
    const said = stalled.newConcern().settle(stalled.bucket(), write(TAG, appended), signal);
    await (isKept ? said : expect(said).rejects.toMatchObject({ code: 'not-yet-remote' }));
  });
});
