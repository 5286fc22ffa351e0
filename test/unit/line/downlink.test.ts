import { Downlink, type DownloadClaim, type Urgency } from '../../../src/line/downlink.js';
import { DOWN_AFTER_MS, LineHealth } from '../../../src/line/health.js';
import { ManualClock } from '../../support/chunk-bench.js';

const MiB = 1024 * 1024;

interface Transfer {
  readonly claim: DownloadClaim & { urgency: Urgency };
  /** Undefined until it is its turn. */
  received: ((bytes: number) => void) | undefined;
  end: () => void;
  readonly done: Promise<void>;
}

function setup() {
  const clock = new ManualClock();
  const health = new LineHealth(clock);
  const downlink = new Downlink({ clock, health });
  const begun: Transfer[] = [];
  const ask = (
    urgency: Urgency,
    request: object = {},
    options: { signal?: AbortSignal; restBytes?: number } = {},
  ): Transfer => {
    let end = () => {};
    const over = new Promise<void>((resolve) => (end = resolve));
    const claim = { urgency, request, restBytes: options.restBytes ?? 8 * MiB };
    const transfer: Transfer = {
      claim,
      received: undefined,
      end: () => end(),
      done: downlink.run(
        claim,
        async (turn) => {
          transfer.received = (bytes) => turn.received(bytes);
          begun.push(transfer);
          await over;
        },
        options.signal,
      ),
    };
    transfer.done.catch(() => {});
    return transfer;
  };
  const goDown = () => {
    health.failed('download', { code: 'unreachable', message: 'gone' });
    clock.advance(DOWN_AFTER_MS);
    health.failed('download', { code: 'unreachable', message: 'gone' });
  };
  return { clock, health, downlink, begun, ask, goDown };
}

const turns = () => new Promise((resolve) => setImmediate(resolve));

describe('Downlink', () => {
  test('what somebody waits for goes before what is fetched ahead, a first byte before the middle', async () => {
    const { ask, begun } = setup();
    const running = Array.from({ length: 96 }, () => ask('first'));
    await turns();
    const [ahead, next, first] = [ask('ahead'), ask('next'), ask('first')];
    await turns();
    expect(begun).toHaveLength(96);
    running[0]!.end();
    await turns();
    expect(begun.at(-1)).toBe(first);
    for (const transfer of running.slice(1)) transfer.end();
    await turns();
    expect(begun.slice(-2)).toEqual([next, ahead]);
  });

  test('of equals, the answer with the fewest transfers is next; then who waits longest', async () => {
    const { ask, begun } = setup();
    const running = Array.from({ length: 64 }, () => ask('next'));
    await turns();
    const [greedy, modest] = [running[0]!.claim.request, {}];
    const waiting = [ask('next', greedy), ask('next', modest), ask('next', {})];
    for (let i = 1; i <= 3; i += 1) {
      running[i]!.end();
      await turns();
    }
    expect(begun.slice(-3)).toEqual([waiting[1], waiting[2], waiting[0]]);
  });

  test('read-ahead of others never takes the place of a first byte, however many there are', async () => {
    const { ask, begun } = setup();
    for (let i = 0; i < 60; i += 1) {
      const request = {};
      ask('first', request);
      ask('ahead', request);
      ask('ahead', request);
    }
    await turns();
    const late = ask('first');
    await turns();
    expect(begun).toContain(late);
    expect(begun.filter(({ claim }) => claim.urgency === 'first')).toHaveLength(61);
  });

  test('on a slow line no more is fetched ahead than it brings in some seconds', async () => {
    const { ask, begun, clock } = setup();
    const first = ask('first');
    await turns();
    const ahead = Array.from({ length: 20 }, () => ask('ahead'));
    await turns();
    expect(begun).toHaveLength(3);
    // 1 MiB a second: 24 MiB are more than it brings in ten seconds.
    for (let i = 0; i < 5; i += 1) {
      first.received!(MiB);
      clock.advance(1000);
    }
    ahead[0]!.end();
    await turns();
    expect(begun).toHaveLength(4);
    // 100 MiB a second: as many as are allowed.
    for (let i = 0; i < 12; i += 1) {
      first.received!(100 * MiB);
      clock.advance(1000);
    }
    ahead[1]!.end();
    await turns();
    expect(begun.length).toBe(2 + 16);
  });

  test('one that becomes urgent while it waits has its turn', async () => {
    const { ask, begun, downlink } = setup();
    for (let i = 0; i < 20; i += 1) ask('first');
    const ahead = ask('ahead');
    await turns();
    expect(begun).not.toContain(ahead);
    ahead.claim.urgency = 'next';
    downlink.changed();
    await turns();
    expect(begun).toContain(ahead);
  });

  test('one that goes away leaves its place', async () => {
    const { ask, downlink } = setup();
    for (let i = 0; i < 96; i += 1) ask('first');
    const stop = new AbortController();
    const leaving = ask('first', {}, { signal: stop.signal });
    stop.abort(new Error('gone'));
    await expect(leaving.done).rejects.toThrow('gone');
    expect(downlink.waiting).toBe(0);
  });

  test('while the line is down one transfer at a time tries; its first byte lets all others go', async () => {
    const { ask, begun, clock, downlink, goDown } = setup();
    goDown();
    const transfers = [ask('first'), ask('first'), ask('first')];
    await turns();
    expect(begun).toEqual([transfers[0]]);
    transfers[0]!.end();
    clock.advance(500);
    await turns();
    expect(begun).toEqual([transfers[0], transfers[1]]);
    transfers[1]!.received!(1);
    await turns();
    expect(begun).toEqual(transfers);
    expect(downlink.downSinceMs).toBeUndefined();
  });

  test('a rest between two tries ends when the line is up again', async () => {
    const { downlink, goDown, health } = setup();
    goDown();
    const rest = downlink.rest(5_000);
    health.succeeded('download');
    await expect(rest).resolves.toBeUndefined();
    const stop = new AbortController();
    const stopped = downlink.rest(5_000, stop.signal);
    stop.abort(new Error('gone'));
    await expect(stopped).rejects.toThrow('gone');
  });

  test('only one that nobody waits for goes on trying, and only while the line is down', () => {
    const { downlink, goDown } = setup();
    const claims = [0, 1].map(() => ({ urgency: 'ahead' as const, request: {}, restBytes: 1 }));
    expect(downlink.keepAsProbe(claims[0]!)).toBe(false);
    goDown();
    expect(claims.map((claim) => downlink.keepAsProbe(claim))).toEqual([true, false]);
    downlink.leave(claims[1]!);
    expect(downlink.keepAsProbe(claims[1]!)).toBe(false);
    downlink.leave(claims[0]!);
    expect(downlink.keepAsProbe(claims[1]!)).toBe(true);
  });

  test.each([
    ['back', -86_400_000],
    ['forward', 86_400_000],
  ])(
    'a wall clock that is set %s by a day: the line is still looked after twice a second',
    async (_name, byMs) => {
      const { ask, begun, clock, goDown } = setup();
      goDown();
      const first = ask('first');
      await turns();
      clock.stepWall(byMs);
      const second = ask('first');
      first.end();
      await turns();
      expect(begun).toEqual([first]);
      clock.advance(500);
      await turns();
      expect(begun).toEqual([first, second]);
    },
  );
});
