import { linkedDeadline, withDeadline } from '../../../src/async/deadline.js';

const forever = () => new Promise<never>(() => {});
const late = () => new Error('late');

describe('withDeadline', () => {
  test('passes result and failure through', async () => {
    await expect(withDeadline(1000, undefined, async () => 7, late)).resolves.toBe(7);
    const failure = new Error('mine');
    await expect(withDeadline(1000, undefined, () => Promise.reject(failure), late)).rejects.toBe(failure);
  });

  test('ends a call that does not listen to its signal', async () => {
    let seen: AbortSignal | undefined;
    const call = withDeadline(
      1,
      undefined,
      (signal) => {
        seen = signal;
        return forever();
      },
      late,
    );
    await expect(call).rejects.toThrow('late');
    expect(seen?.aborted).toBe(true);
    expect(seen?.reason).toEqual(late());
  });

  test('ends at once with the reason of the parent', async () => {
    const parent = new AbortController();
    const call = withDeadline(60_000, parent.signal, forever, late);
    parent.abort(new Error('client gone'));
    await expect(call).rejects.toThrow('client gone');
  });

  test('does not start where the parent has aborted', async () => {
    let started = false;
    const run = async () => {
      started = true;
    };
    const call = withDeadline(60_000, AbortSignal.abort(new Error('gone')), run, late);
    await expect(call).rejects.toThrow('gone');
    expect(started).toBe(false);
  });

  test('ignores a failure that comes after the deadline', async () => {
    let fail: (e: Error) => void = () => {};
    const run = () => new Promise<never>((_resolve, reject) => (fail = reject));
    await expect(withDeadline(1, undefined, run, late)).rejects.toThrow('late');
    fail(new Error('too late to matter'));
    await Promise.resolve(); // an unhandled rejection would fail the test run
  });

  test('passes on what the call throws before its first await', async () => {
    const run = (): Promise<never> => {
      throw new Error('at once');
    };
    await expect(withDeadline(60_000, undefined, run, late)).rejects.toThrow('at once');
  });
});

describe('linkedDeadline', () => {
  const aborted = (signal: AbortSignal) =>
    new Promise<unknown>((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));

  test('fires after its time', async () => {
    const { signal } = linkedDeadline(1);
    expect(await aborted(signal)).toMatchObject({ name: 'TimeoutError' });
  });

  test('fires with the parent, and at once where that has aborted', () => {
    const parent = new AbortController();
    const { signal } = linkedDeadline(60_000, parent.signal);
    parent.abort('why');
    expect(signal.reason).toBe('why');
    expect(linkedDeadline(60_000, AbortSignal.abort('before')).signal.reason).toBe('before');
  });

  test('never fires once it is disposed of', () => {
    const parent = new AbortController();
    const deadline = linkedDeadline(60_000, parent.signal);
    deadline.dispose();
    deadline.dispose();
    parent.abort();
    expect(deadline.signal.aborted).toBe(false);
  });
});
