import type { Failpoints } from '../../async/failpoint.js';
import { retry } from '../../async/retry.js';
import type { Clock } from '../../async/clock.js';
import type { CommitId } from '../../format/ids.js';
import { RemoteError, undecided } from '../errors.js';
import type { PushResult } from '../remote.js';
import type { StoredPack } from './commit-pack.js';
import { EarlyLook } from './early-look.js';
import { meansMoved } from './push-report.js';
import type { PushAttempt, ServerBranch } from './server-branch.js';

/** What the push needs of the local side. */
export interface BranchView {
  /** Reads the branch and brings its objects here. */
  fetch(signal: AbortSignal | undefined): Promise<CommitId | null>;
  isAncestor(ancestor: CommitId, head: CommitId): Promise<boolean>;
  /** Takes a head over whose objects are here. */
  setKnown(head: CommitId): Promise<void>;
}

/** Reading the branch after a push is worth some patience: without it nobody knows whether the push landed. */
const READ_BACK_ATTEMPTS = 3;
/** A branch that did not move after an accepted push is looked at again before anybody else is told. */
const UNMOVED_PAUSES_MS = [250, 750, 2_000, 4_000];
/** Up to here a push takes its way there and back, and no time for its bytes; and needs its pack's file no more. */
const EARLY_LOOK_MAX_BYTES = 64 << 10;
/** It is answered about when the report comes. */
const EARLY_LOOK_GRACE_MS = 1_000;

/**
 * Sends one commit and finds out what became of it. No status decides anything: only the server's line, and what the
 * branch is afterwards.
 */
export class BranchPush {
  readonly #early = new EarlyLook();
  /** The last commit that the server accepted on a head and the branch did not show. */
  #unseen: { readonly old: CommitId | null; readonly commit: CommitId } | undefined;

  constructor(
    readonly server: ServerBranch,
    readonly view: BranchView,
    readonly clock: Clock,
    readonly failpoints: Failpoints,
  ) {}

  /**
   * @throws RemoteError where nothing landed and the branch did not move; `push-not-seen` and `review-mode` where
   * it was accepted; `outcome-unknown` where the branch could not be read after an unclear push. `isUndecided` where
   * something was sent that nobody has said to be refused: held up on the way, it may land yet.
   */
  async send(
    old: CommitId | null,
    commit: CommitId,
    pack: StoredPack,
    signal: AbortSignal | undefined,
  ): Promise<PushResult> {
    const sent = { mayLand: false };
    try {
      return await this.#send(old, commit, pack, sent, signal);
    } catch (e) {
      throw e instanceof RemoteError && sent.mayLand ? undecided(e) : e;
    }
  }

  async #send(
    old: CommitId | null,
    commit: CommitId,
    pack: StoredPack,
    sent: { mayLand: boolean },
    signal: AbortSignal | undefined,
  ): Promise<PushResult> {
    await this.failpoints.hit('git.beforePush');
    for (let tries = 1; ; tries += 1) {
      const attempt = await this.#push(old, commit, pack, signal);
      await this.failpoints.hit('git.afterPush');
      if (attempt !== 'seen' && attempt.mayHaveLanded) sent.mayLand = true;
      if (attempt === 'seen') return this.#landed(commit);
      if (attempt.line?.accepted) return this.#afterAccepted(old, commit, signal);
      if (attempt.line) return this.#afterRefused(old, commit, attempt, signal);
      try {
        if (!attempt.mayHaveLanded) throw attempt.error!;
        return await this.#afterUnclear(old, commit, attempt, signal);
      } catch (e) {
        if (e === attempt.error && attempt.thinRefused) this.server.sendWhole();
        // A kept connection that the server had just closed: nothing landed, and the same commit sent again can land
        // only once, since it is the same and its parent is compared.
        if (e !== attempt.error || attempt.error?.code !== 'unreachable' || tries === 2) throw e;
        signal?.throwIfAborted();
      }
    }
  }

  /** Sends the commit. `seen`: it was found on the branch, by a look that began before the report came. */
  async #push(
    old: CommitId | null,
    commit: CommitId,
    pack: StoredPack,
    signal: AbortSignal | undefined,
  ): Promise<PushAttempt | 'seen'> {
    const mayLook = this.server.isReadOnWire && pack.sizeBytes <= EARLY_LOOK_MAX_BYTES;
    const lookAfterMs = mayLook ? this.#early.afterMs : undefined;
    const startedMs = this.clock.steadyMs();
    const push = this.server.push(old, commit, pack, signal).then((attempt) => {
      if (attempt.line?.accepted) this.#early.pushed(this.clock.steadyMs() - startedMs);
      return attempt;
    });
    if (lookAfterMs === undefined) return push;
    const look = this.#lookLater(lookAfterMs, commit, signal);
    try {
      const seen = async () => ((await look.isSeen) ? 'seen' : push);
      const first = await Promise.race([push, seen()]);
      if (first === 'seen') {
        // It goes on by itself, within its bounds, so that its connection can be used again.
        push.catch(() => {});
        return first;
      }
      return first.line?.accepted && (await look.isSeenSoon()) ? 'seen' : first;
    } finally {
      look.stop();
    }
  }

  /** Never rejects: a look that fails says nothing. */
  #lookLater(
    afterMs: number,
    commit: CommitId,
    signal: AbortSignal | undefined,
  ): { isSeen: Promise<boolean>; isSeenSoon: () => Promise<boolean>; stop: () => void } {
    const over = new AbortController();
    const own = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
    let hasBegun = false;
    const look = async () => {
      await this.clock.sleep(afterMs, own);
      hasBegun = true;
      return (await this.#readHead(own)) === commit;
    };
    const isSeen = look().catch(() => false);
    const isNot = () => false;
    return {
      isSeen,
      // One that has not begun need not.
      isSeenSoon: async () =>
        hasBegun && Promise.race([isSeen, this.clock.sleep(EARLY_LOOK_GRACE_MS, own).then(isNot, isNot)]),
      stop: () => over.abort(new Error('the push is over')),
    };
  }

  async #readHead(signal: AbortSignal | undefined): Promise<CommitId | null> {
    const startedMs = this.clock.steadyMs();
    const head = await this.server.readHead(signal);
    this.#early.looked(this.clock.steadyMs() - startedMs);
    return head;
  }

  async #landed(commit: CommitId): Promise<PushResult> {
    this.#unseen = undefined;
    await this.view.setKnown(commit);
    return { kind: 'landed', head: commit };
  }

  /**
   * The server said yes; in review mode it says so too, and makes a pull request (docs/facts/gitee.md §3). Where the
   * branch stands as it was, it is the one or a look at a copy that lags. Two things prove review mode: the branch of
   * the pull request, and a second commit that is accepted on the same head. Where a copy lags that head is not the
   * branch's any more, and the server, which compares, refuses it.
   */
  async #afterAccepted(
    old: CommitId | null,
    commit: CommitId,
    signal: AbortSignal | undefined,
  ): Promise<PushResult> {
    let head = await this.#readBack(() => this.#readHead(signal), signal);
    // The look may have met a copy of the repository that has not followed yet.
    const isUnmoved = async () => head !== commit && (await this.#isNotBeyond(head, old));
    for (const pauseMs of UNMOVED_PAUSES_MS) {
      if (!(await isUnmoved())) break;
      if (pauseMs === UNMOVED_PAUSES_MS[0] && (await this.server.isInReview(commit, signal)))
        throw this.#reviewMode();
      await this.clock.sleep(pauseMs, signal);
      head = await this.#readBack(() => this.#readHead(signal), signal);
    }
    if (head === commit) return this.#landed(commit);
    if (!(await isUnmoved())) return this.#whereIsIt(old, commit, signal, undefined);
    const before = this.#unseen;
    this.#unseen = { old, commit };
    const isTakenAgain = head === old && before?.old === old && before.commit !== commit;
    if (isTakenAgain || (await this.server.isInReview(commit, signal))) throw this.#reviewMode();
    throw this.#notSeen();
  }

  #reviewMode(): RemoteError {
    return new RemoteError(
      'review-mode',
      `the push was accepted, but the branch ${this.server.settings.branch} did not move: it is in review mode, and ` +
        'a pull request was made instead. Close it, and let this user push to the branch directly',
    );
  }

  #notSeen(): RemoteError {
    return new RemoteError(
      'push-not-seen',
      `Gitee accepted a push, and the branch ${this.server.settings.branch} does not show it yet: either reads meet a ` +
        'copy of the repository that lags, or the branch is in review mode. It is looked at again until that is known',
    );
  }

  /**
   * A refusal may be the answer to a repeated question: what lies between us and the server (a proxy, and libcurl
   * where the git program pushes) may send a POST again where a connection broke before any answer, and so do we once;
   * the server has then applied the first one and refuses the second. So the branch is looked at here too.
   */
  async #afterRefused(
    old: CommitId | null,
    commit: CommitId,
    attempt: PushAttempt,
    signal: AbortSignal | undefined,
  ): Promise<PushResult> {
    const reason = attempt.line?.reason ?? '';
    if (meansMoved(reason)) {
      // Where it stands as we thought, somebody's lock was in the way, it moved and came back, or a copy lags.
      const stood =
        this.#unseen?.old === old && this.#unseen
          ? this.#notSeen()
          : new RemoteError(
              'server-fault',
              `the push was refused (${reason}), yet the branch did not move: it is tried again`,
              { detail: attempt.error?.detail },
            );
      return this.#whereIsIt(old, commit, signal, stood);
    }
    let head: CommitId | null;
    try {
      head = await this.server.readHead(signal);
    } catch (e) {
      // The refusal says more than that the branch could not be read after it.
      if (e instanceof RemoteError) throw attempt.error!;
      throw e;
    }
    if (attempt.thinRefused && head !== old) return this.#whereIsIt(old, commit, signal, attempt.error);
    if (attempt.thinRefused) this.server.sendWhole();
    if (head !== commit) throw attempt.error!;
    return this.#landed(commit);
  }

  async #afterUnclear(
    old: CommitId | null,
    commit: CommitId,
    attempt: PushAttempt,
    signal: AbortSignal | undefined,
  ): Promise<PushResult> {
    return this.#whereIsIt(old, commit, signal, attempt.error);
  }

  /** Looks for our commit on the branch. `error`: what to throw where neither is there and nothing moved. */
  async #whereIsIt(
    old: CommitId | null,
    commit: CommitId,
    signal: AbortSignal | undefined,
    error: RemoteError | undefined,
  ): Promise<PushResult> {
    const head = await this.#readBack(() => this.view.fetch(signal), signal, error);
    if (head !== null && (head === commit || (await this.view.isAncestor(commit, head))))
      return { kind: 'landed', head: commit };
    if (!(await this.#isNotBeyond(head, old))) return { kind: 'moved', head };
    throw error ?? unknown();
  }

  /** True where the branch shows nothing newer than what was known: as it was, or as a copy has it that lags. */
  async #isNotBeyond(head: CommitId | null, old: CommitId | null): Promise<boolean> {
    if (head === old) return true;
    return old !== null && (head === null || (await this.view.isAncestor(head, old)));
  }

  async #readBack<T>(
    read: () => Promise<T>,
    signal: AbortSignal | undefined,
    first?: RemoteError,
  ): Promise<T> {
    try {
      return await retry(read, {
        attempts: READ_BACK_ATTEMPTS,
        baseMs: 500,
        maxMs: 5_000,
        clock: this.clock,
        ...(signal ? { signal } : {}),
        isRetryable: (e) => e instanceof RemoteError && e.isTransient,
      });
    } catch (e) {
      if (!(e instanceof RemoteError)) throw e;
      throw unknown({ cause: first ?? e, detail: e.detail });
    }
  }
}

function unknown(fields: ConstructorParameters<typeof RemoteError>[2] = {}): RemoteError {
  return new RemoteError(
    'outcome-unknown',
    'the push may have landed or not: the branch could not be read after it, or as it was before only. It is looked ' +
      'for again later',
    fields,
  );
}
