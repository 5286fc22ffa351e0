/** A push over a distant line: the look at the branch goes out before the report comes, and only what it sees counts. */
import type { Clock } from '../../../../src/async/clock.js';
import { noFailpoints } from '../../../../src/async/failpoint.js';
import type { CommitId } from '../../../../src/format/ids.js';
import { RemoteError } from '../../../../src/gitee/errors.js';
import { BranchPush } from '../../../../src/gitee/git/branch-push.js';
import type { StoredPack } from '../../../../src/gitee/git/commit-pack.js';
import { EarlyLook } from '../../../../src/gitee/git/early-look.js';
import type { PushAttempt, ServerBranch } from '../../../../src/gitee/git/server-branch.js';

const PACK = { sizeBytes: 5_000 } as StoredPack;
const id = (n: number) => String(n).padStart(40, '0') as CommitId;

/** Time goes on to whatever is due next, once nothing is left to do at this moment. */
class VirtualClock implements Clock {
  #ms = 1_000;
  readonly #sleepers = new Set<{ untilMs: number; wake: () => void }>();

  nowMs(): number {
    return this.#ms;
  }

  steadyMs(): number {
    return this.#ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = {
        untilMs: this.#ms + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason as Error);
      });
    });
  }

  async until<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const over = () => (isOver = true);
    promise.then(over, over);
    for (;;) {
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      if (isOver) return promise;
      const [next] = [...this.#sleepers].sort((a, b) => a.untilMs - b.untilMs);
      if (!next) throw new Error('nothing is left to wait for');
      this.#ms = next.untilMs;
      next.wake();
    }
  }
}

/** A server at the other end of a line, and a branch on it. */
class DistantServer {
  readonly clock = new VirtualClock();
  head = id(0);
  tripMs = 200;
  workMs = 60;
  isReadOnWire = true;
  /** What is asked, in order. */
  readonly asked: string[] = [];
  /** The answer to a push whose commit was taken. */
  onTaken = async (): Promise<PushAttempt> => ACCEPTED;
  /** Whether the branch moves. */
  takes = true;
  failsLooks = false;
  /** So long a look finds the branch as it was before it moved last. */
  lagMs = 0;
  #moved = { head: id(0), atMs: 0 };
  readonly pushes: BranchPush;
  #commits = 0;

  constructor() {
    const server = {
      settings: { branch: 'main' },
      push: (_old: CommitId, commit: CommitId) => this.#push(commit),
      readHead: (signal?: AbortSignal) => this.#readHead(signal),
      isInReview: async () => !this.takes,
    };
    Object.defineProperty(server, 'isReadOnWire', { get: () => this.isReadOnWire });
    this.pushes = new BranchPush(
      server as unknown as ServerBranch,
      { fetch: () => this.#readHead(), isAncestor: async () => false, setKnown: async () => {} },
      this.clock,
      noFailpoints,
    );
  }

  /** Pushes one commit; how long that took, and what was asked for it. */
  async push(): Promise<{ result: string; ms: number; asked: string[] }> {
    this.#commits += 1;
    const startedMs = this.clock.steadyMs();
    this.asked.length = 0;
    const send = this.pushes.send(this.head, id(this.#commits), PACK, undefined).then(
      ({ kind }) => kind as string,
      (error: RemoteError) => error.code,
    );
    const result = await this.clock.until(send);
    return { result, ms: this.clock.steadyMs() - startedMs, asked: [...this.asked] };
  }

  async #push(commit: CommitId): Promise<PushAttempt> {
    this.asked.push('push');
    await this.clock.sleep(this.tripMs / 2 + this.workMs);
    if (this.takes) {
      this.#moved = { head: this.head, atMs: this.clock.steadyMs() };
      this.head = commit;
    }
    await this.clock.sleep(this.tripMs / 2);
    return this.onTaken();
  }

  async #readHead(signal?: AbortSignal): Promise<CommitId> {
    this.asked.push('look');
    await this.clock.sleep(this.tripMs / 2, signal);
    const { failsLooks } = this;
    const isBehind = this.clock.steadyMs() - this.#moved.atMs < this.lagMs;
    const head = isBehind ? this.#moved.head : this.head;
    await this.clock.sleep(this.tripMs / 2, signal);
    if (failsLooks) throw new RemoteError('unreachable', 'the line broke');
    return head;
  }
}

const ACCEPTED: PushAttempt = {
  line: { to: '', accepted: true, reason: '' },
  mayHaveLanded: true,
  error: undefined,
};

test('a push to a distant server takes one way there and back less once its pace is known, and no more requests', async () => {
  const server = new DistantServer();
  expect(await server.push()).toEqual({ result: 'landed', ms: 460, asked: ['push', 'look'] });
  const { ms, ...rest } = await server.push();
  expect(rest).toEqual({ result: 'landed', asked: ['push', 'look'] });
  expect(ms).toBeLessThanOrEqual(460 - 100);
});

test('near by the branch is looked at after the report', async () => {
  const server = new DistantServer();
  server.tripMs = 40;
  for (let i = 0; i < 3; i += 1) expect((await server.push()).ms).toBe(140);
});

test('a server that takes longer than before is looked at once more, and it costs no time', async () => {
  const server = new DistantServer();
  await server.push();
  server.workMs = 500;
  expect(await server.push()).toEqual({ result: 'landed', ms: 900, asked: ['push', 'look', 'look'] });
});

test('a branch in review mode does not move: an early look does not hide it', async () => {
  const server = new DistantServer();
  await server.push();
  server.takes = false;
  expect(await server.push()).toMatchObject({ result: 'review-mode' });
});

test.each([100, 3_000])(
  'a copy of the repository that follows %i ms later is not taken for review mode',
  async (ms) => {
    const server = new DistantServer();
    server.lagMs = ms;
    for (let i = 0; i < 3; i += 1) expect(await server.push()).toMatchObject({ result: 'landed' });
  },
);

test('a look that fails is made again after the report', async () => {
  const server = new DistantServer();
  await server.push();
  server.failsLooks = true;
  server.onTaken = async () => {
    server.failsLooks = false;
    return ACCEPTED;
  };
  expect(await server.push()).toMatchObject({ result: 'landed', asked: ['push', 'look', 'look'] });
});

test('what is on the branch has landed, though the report is lost, or does not come', async () => {
  const server = new DistantServer();
  await server.push();
  server.onTaken = async () => {
    await server.clock.sleep(60_000);
    throw new RemoteError('timeout', 'no report came');
  };
  expect(await server.push()).toMatchObject({ result: 'landed', asked: ['push', 'look'] });
  // And what went on by itself troubles nobody afterwards.
  await server.clock.until(server.clock.sleep(120_000));
});

test('a refusal is told as ever, and the look is given up', async () => {
  const server = new DistantServer();
  await server.push();
  server.takes = false;
  server.workMs = 0;
  const error = new RemoteError('quota-full', 'full');
  server.onTaken = async () => ({
    line: { to: '', accepted: false, reason: 'full' },
    mayHaveLanded: false,
    error,
  });
  expect((await server.push()).result).toBe('quota-full');
});

test('where reading the branch costs a process it is not done on a guess', async () => {
  const server = new DistantServer();
  server.isReadOnWire = false;
  for (let i = 0; i < 2; i += 1) expect((await server.push()).ms).toBe(460);
});

test('the moment follows what pushes mostly take, and not one that was slow', () => {
  const early = new EarlyLook();
  early.looked(210);
  expect(early.afterMs).toBeUndefined();
  for (const ms of [290, 4_000, 290]) early.pushed(ms);
  expect(early.afterMs).toBe(100);
  for (const ms of [610, 610, 610]) early.pushed(ms);
  expect(early.afterMs).toBe(500);
  // So long that the look would go out when the report is nearly here.
  for (const ms of [2_210, 2_210, 2_210, 2_210, 2_210]) early.pushed(ms);
  expect(early.afterMs).toBeUndefined();
});
