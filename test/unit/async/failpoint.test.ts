import { systemClock } from '../../../src/async/clock.js';
import { noFailpoints, parseFailpoints } from '../../../src/async/failpoint.js';

describe('failpoints', () => {
  test('throw at their name and nowhere else', async () => {
    const points = parseFailpoints('journal.beforeSync=throw');
    await expect(points.hit('journal.beforeSync')).rejects.toThrow('failpoint journal.beforeSync');
    await expect(points.hit('journal.afterSync')).resolves.toBeUndefined();
    await expect(noFailpoints.hit('journal.beforeSync')).resolves.toBeUndefined();
  });

  test('wait for their turn', async () => {
    const points = parseFailpoints('git.afterPush=throw@3,git.beforePush=delay:0');
    await points.hit('git.afterPush');
    await points.hit('git.afterPush');
    await points.hit('git.beforePush');
    await expect(points.hit('git.afterPush')).rejects.toThrow('failpoint git.afterPush');
  });

  test.each(['a', 'a=burn', 'a=delay:x', 'a b=throw'])('refuse %s and name it', (item) => {
    expect(() => parseFailpoints(item)).toThrow(item);
  });

  test('refuse a name that is nowhere hit: what it was to break would go well, and prove nothing', () => {
    expect(() => parseFailpoints('committer.beforePush=kill')).toThrow('committer.beforePush');
  });
});

describe('the machine’s clock', () => {
  test('ends a sleep with the reason of its signal', async () => {
    const controller = new AbortController();
    const sleep = systemClock.sleep(60_000, controller.signal);
    controller.abort(new Error('woken'));
    await expect(sleep).rejects.toThrow('woken');
    await expect(systemClock.sleep(1, AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
    await expect(systemClock.sleep(1)).resolves.toBeUndefined();
  });
});
