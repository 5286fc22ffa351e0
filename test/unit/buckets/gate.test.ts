import type { ChunksApi } from '../../../src/chunks/api.js';
import type { BucketState } from '../../../src/journal/bucket-state.js';
import { BucketGate, GatedChunks, GatedState } from '../../../src/buckets/gate.js';
import type { UploadStore } from '../../../src/journal/upload-store.js';
import type { ObjectError } from '../../../src/objects/errors.js';

/** A promise and its end. */
function later(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

const refusedWith = async (run: Promise<unknown>): Promise<string | undefined> => {
  try {
    await run;
    return undefined;
  } catch (error) {
    return (error as ObjectError).code;
  }
};

describe('the gate of a bucket', () => {
  test('it is decided only after the writes under way, and what comes meanwhile waits for the decision', async () => {
    const gate = new BucketGate('photos');
    const steps: string[] = [];
    const slow = later();
    const first = gate.write(async () => {
      await slow.promise;
      steps.push('first write');
    });
    const closing = gate.close(async () => {
      steps.push('decision');
      return false;
    });
    const second = gate.write(async () => {
      steps.push('second write');
    });
    await gate.read(async () => {
      steps.push('read');
    });
    slow.resolve();
    expect(await closing).toBe(false);
    await Promise.all([first, second]);
    expect(steps).toEqual(['read', 'first write', 'decision', 'second write']);
  });

  test('a write that reads inside does not stand in its own way', async () => {
    const gate = new BucketGate('photos');
    const started = later();
    const goOn = later();
    const write = gate.write(async () => {
      started.resolve();
      await goOn.promise;
      return gate.read(async () => 'read inside');
    });
    await started.promise;
    const closing = gate.close(async () => true);
    goOn.resolve();
    expect([await write, await closing]).toEqual(['read inside', true]);
  });

  test('closed, everything is refused as no-such-bucket, those who waited too', async () => {
    const gate = new BucketGate('photos');
    const decide = later();
    const closing = gate.close(async () => {
      await decide.promise;
      return true;
    });
    const waiting = refusedWith(gate.write(async () => undefined));
    decide.resolve();
    expect(await closing).toBe(true);
    expect(await waiting).toBe('no-such-bucket');
    expect(await refusedWith(gate.write(async () => undefined))).toBe('no-such-bucket');
    expect(await refusedWith(gate.read(async () => undefined))).toBe('no-such-bucket');
  });

  test('a decision that fails leaves the bucket open', async () => {
    const gate = new BucketGate('photos');
    await expect(
      gate.close(async () => {
        throw new Error('the disk');
      }),
    ).rejects.toThrow('the disk');
    expect(await gate.write(async () => 'written')).toBe('written');
  });

  test('it is drained when the last reader has gone', async () => {
    const gate = new BucketGate('photos');
    const slow = later();
    const order: string[] = [];
    const read = gate.read(async () => {
      await slow.promise;
      order.push('read');
    });
    await gate.close(async () => true);
    const drained = gate.drained().then(() => order.push('drained'));
    slow.resolve();
    await Promise.all([read, drained]);
    expect(order).toEqual(['read', 'drained']);
  });
});

describe('behind a closed gate', () => {
  /** Whatever reaches it was let through. */
  const inner = <T>(): T =>
    new Proxy({}, { get: (_on, name) => (name === 'uploads' ? inner() : () => 'answered') }) as T;
  const outcome = async (run: () => unknown): Promise<unknown> => {
    try {
      return await run();
    } catch (error) {
      return (error as ObjectError).code;
    }
  };
  const answers = async <T extends object>(of: T, calls: Record<keyof T, unknown>) => {
    const found: Record<string, unknown> = {};
    for (const name of Object.keys(calls)) {
      const call = (of as Record<string, (...args: unknown[]) => unknown>)[name]!;
      found[name] = await outcome(() => call.call(of));
    }
    return found;
  };
  const closed = async () => {
    const gate = new BucketGate('photos');
    await gate.close(async () => true);
    return gate;
  };
  const gone = 'no-such-bucket';
  const free = 'answered';

  // A method without a row does not compile.
  test('no row is read or written', async () => {
    const state: Omit<Record<keyof BucketState, string>, 'uploads'> = {
      ...{ get: gone, openBody: gone, page: gone, append: gone, changeState: gone, waitLanded: gone },
      ...{ localKeysSince: gone, expireLocalKeys: gone, overlayExtents: gone, namedOnBranch: gone },
      ...{ retrySetAside: gone },
      // These touch no store.
      ...{ lookAtBranch: free, setAsideAs: free, status: free },
    };
    const gated = new GatedState(inner<BucketState>(), await closed());
    expect(await answers<Omit<BucketState, 'uploads'>>(gated, state)).toEqual(state);
    const uploads: Record<keyof UploadStore, string> = {
      ...{ create: gone, find: gone, page: gone, all: gone, putPart: gone, part: gone, parts: gone },
      ...{ allParts: gone, complete: gone, completed: gone, expireCompleted: gone, remove: gone },
    };
    expect(await answers<UploadStore>(gated.uploads, uploads)).toEqual(uploads);
  });

  test('no chunk is taken; what reads or sends may end what it has begun', async () => {
    const chunks: Record<keyof ChunksApi, string> = {
      ...{ reserve: gone, ingest: gone, store: gone, collect: gone },
      ...{ demandSpace: free, hold: free, landed: free, read: free, giveBack: free, normalise: free },
      ...{ isUnsent: free },
      ...{ upload: free, ensureRemote: free, hasCopy: free, ensureKept: free, verifyLocal: free },
      ...{ stats: free, close: free },
    };
    const found = await answers<ChunksApi>(new GatedChunks(inner<ChunksApi>(), await closed()), chunks);
    // These return nothing.
    expect({ ...found, demandSpace: free, giveBack: free }).toEqual(chunks);
  });
});
