/**
 * One branch on Gitee and its one local repository, shared by all buckets that are directories of it. This class keeps
 * order: one push or fetch at a time, and a local repository that is dropped and fetched anew where it is in doubt.
 * Looks of many are one request (src/async/shared-looks.ts), pushes of many are one push (branch-pushes.ts).
 */
import { Semaphore } from '../../async/semaphore.js';
import type { CommitId } from '../../format/ids.js';
import type { LineUse } from '../../line/health.js';
import { RemoteError } from '../errors.js';
import type { PushRequest, PushResult } from '../remote.js';
import { BranchPush } from './branch-push.js';
import { BranchPushes } from './branch-pushes.js';
import { CommitReader } from './commit-reader.js';
import { GitFailedError, isDamage, LocalDamageError } from './failures.js';
import { LocalRepository } from './local-repository.js';
import { Maintenance } from './maintenance.js';
import { ServerBranch } from './server-branch.js';
import { DEFAULT_GIT_TIMEOUTS, type GitBranchSettings } from './settings.js';
import { SharedLooks } from '../../async/shared-looks.js';
import { isLocalDamage } from './stderr.js';

/** Whoever asks for maintenance waits for it so long; then it goes on by itself. */
const MAINTENANCE_WAIT_MS = 1_000;
const LINE_USE_OF: Readonly<Record<string, LineUse>> = { push: 'commit', fetch: 'fetch' };

/** One bucket's directory. */
export interface BranchMember {
  /** How many keys it has, roughly. */
  readonly keyCount: () => number;
}

export class GitBranch {
  readonly local: LocalRepository;
  readonly #server: ServerBranch;
  /** Of the whole branch. */
  readonly #reader: CommitReader;
  readonly #looks: SharedLooks<CommitId | null>;
  readonly #pushes: BranchPushes;
  readonly #turn = new Semaphore(1);
  readonly #closing = new AbortController();
  readonly #maintenance: Maintenance;
  readonly #members = new Set<BranchMember>();
  #landings = 0;

  constructor(readonly settings: GitBranchSettings) {
    const timeouts = { ...DEFAULT_GIT_TIMEOUTS, ...settings.timeouts };
    const log = settings.log.child({ gateway: settings.gatewayId, branch: settings.branch });
    this.local = new LocalRepository(settings.directory, log, {
      killGraceMs: timeouts.killGraceMs,
      treeCacheMaxBytes: settings.treeCacheMaxBytes ?? 64 << 20,
    });
    const keyCount = () => [...this.#members].reduce((sum, member) => sum + member.keyCount(), 0);
    this.#server = new ServerBranch(this.local.program, { ...settings, log, keyCount }, timeouts);
    this.#reader = new CommitReader(this.local, '');
    this.#maintenance = new Maintenance(this.local, { ...settings, log }, (ancestor, head) =>
      this.#reader.isAncestor(ancestor, head),
    );
    this.#looks = new SharedLooks((signal) => this.#measured('fetch', () => this.#look(signal)));
    const branchPush = new BranchPush(
      this.#server,
      {
        fetch: (signal) => this.#fetchNow(signal),
        isAncestor: (ancestor, head) => this.#reader.isAncestor(ancestor, head),
        setKnown: async (head) => {
          this.#landings += 1;
          await this.local.setKnown(head);
        },
      },
      settings.clock,
      settings.failpoints,
    );
    this.#pushes = new BranchPushes({
      ...{ settings, branchPush, local: this.local, closing: this.#closing.signal },
      inTurn: (run) => this.#turn.run(run, this.#closing.signal),
      measured: (run) => this.#measured('push', run),
      repairing: (signal, run) => this.#repairing('push', signal, run),
      fetch: (signal) => this.#fetchNow(signal),
      isAncestor: (ancestor, head) => this.#reader.isAncestor(ancestor, head),
      outward: (error) => this.outward(error),
    });
  }

  /** Whoever joins leaves with leave(). */
  join(member: BranchMember): void {
    this.#closing.signal.throwIfAborted();
    this.#members.add(member);
  }

  /** The last one closes it: stops everything that runs, pushes included. */
  async leave(member: BranchMember): Promise<void> {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#closing.abort(new RemoteError('unreachable', 'the gateway is closing its remote'));
    await this.local.close();
  }

  /** True once nobody can join any more. */
  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** As HeadRemote.fetch; those who ask at the same time share one look. */
  async fetch(signal: AbortSignal): Promise<CommitId | null> {
    this.#closing.signal.throwIfAborted();
    return this.#looks.take(signal);
  }

  /** As HeadRemote.push, of a bucket in this directory; those who push at the same time share one push. */
  async push(pathPrefix: string, request: PushRequest, signal: AbortSignal): Promise<PushResult> {
    this.#closing.signal.throwIfAborted();
    const over = request.isWaited ? this.settings.clearLine?.() : undefined;
    try {
      return await this.#pushes.push(pathPrefix, request, signal);
    } finally {
      over?.();
    }
  }

  /** As HeadRemote.readHead. */
  async readHead(signal: AbortSignal): Promise<CommitId | null> {
    await this.ready();
    const either = AbortSignal.any([signal, this.#closing.signal]);
    return this.#measured('fetch', () => this.#server.readHead(either));
  }

  async keep(commit: CommitId, signal: AbortSignal): Promise<void> {
    await this.#turn.run(
      () =>
        this.#measured('keep', () =>
          this.#repairing('keep', signal, async () => {
            await this.#reader.require(commit);
            await this.local.updateRef(`refs/gateway/keep/${commit}`, commit);
          }),
        ),
      AbortSignal.any([signal, this.#closing.signal]),
    );
  }

  /** As HeadRemote.believe. */
  async believe(head: CommitId | null, signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.#closing.signal]);
    const run = () => this.#repairing('believe', either, () => this.local.setKnown(head));
    await this.#turn.run(run, either);
  }

  async drop(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    return this.#turn.run(() => this.local.drop(), this.#closing.signal);
  }

  /** See HeadRemote.maintain; resolves after a second at most. */
  async maintain(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    if (!this.local.isReady) return;
    const run = this.#maintenance.run(this.#closing.signal).catch((e: unknown) => {
      if (this.#closing.signal.aborted) return;
      // Dropped in the middle of it: then git was stopped, and there is nothing to pack any more.
      if (e instanceof GitFailedError && e.exitCode !== null && isLocalDamage(e.stderr))
        this.local.doubt(e.message);
      this.settings.log.warn('git: the local repository could not be packed', { error: e });
    });
    const waited = new AbortController();
    const patience = this.settings.clock.sleep(MAINTENANCE_WAIT_MS, waited.signal).catch(() => {});
    await Promise.race([run, patience]);
    waited.abort();
  }

  /** Resolves when no maintenance runs. */
  async maintained(): Promise<void> {
    await this.#maintenance.settled();
  }

  /** Reads wait for no turn, but for the opening: git lets them run beside everything but a drop. */
  async ready(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    if (this.local.isReady) return;
    await this.#turn.run(() => this.local.ready(), this.#closing.signal);
  }

  /** The words of this folder's errors in those of the remote layer. */
  outward(e: unknown): unknown {
    if (this.#closing.signal.aborted) return this.#closing.signal.reason;
    if (e instanceof LocalDamageError || e instanceof GitFailedError)
      return new RemoteError(
        'server-fault',
        'the local git repository could not be used; it is dropped and fetched anew with the next fetch or push',
        { cause: e, detail: e.message },
      );
    return e;
  }

  /** A look takes a turn only where there is something to bring: it need not wait for a push of somebody else. */
  async #look(waited: AbortSignal): Promise<CommitId | null> {
    const signal = AbortSignal.any([waited, this.#closing.signal]);
    const landings = this.#landings;
    let head: CommitId | null | undefined;
    if (this.local.isReady && this.#server.isReadOnWire) {
      try {
        head = await this.#server.readHead(signal);
      } catch (e) {
        if (!isDamage(e)) throw this.outward(e);
      }
      if (head !== undefined && head !== null && head === this.local.known && this.local.isReady) return head;
    }
    return this.#turn.run(
      () => this.#repairing('fetch', signal, (s) => this.#bring(head, this.#landings > landings, s)),
      signal,
    );
  }

  /** @param hasMoved a push landed since the look began: what it saw may be older, and is told no more */
  async #bring(
    head: CommitId | null | undefined,
    hasMoved: boolean,
    signal: AbortSignal,
  ): Promise<CommitId | null> {
    if (head === undefined) return this.#fetchNow(signal);
    const { known } = this.local;
    if (hasMoved && known !== null && (head === null || head === known || (await this.#isBehind(head))))
      return known;
    return this.#fetchNow(signal, head);
  }

  /** @param seen where the server was just seen to have the branch */
  async #fetchNow(signal: AbortSignal | undefined, seen?: CommitId | null): Promise<CommitId | null> {
    // Twice: the branch may come and go between the two looks.
    for (let look = 1; ; look += 1) {
      const head = look === 1 && seen !== undefined ? seen : await this.#server.readHead(signal);
      if (head === null || head === this.local.known || (await this.#isBehind(head))) return head;
      if (await this.#server.fetch(signal)) {
        // Another copy of the repository may have answered than the one that listed the branch.
        const fetched = await this.local.readFetched();
        if (!(await this.#isBehind(fetched))) await this.local.setKnown(fetched);
        return fetched;
      }
      if (look === 2)
        throw new RemoteError(
          'server-fault',
          `the server lists the branch ${this.settings.branch} but does not send it`,
        );
    }
  }

  /**
   * True for a head that comes before the newest one seen. That one stays known: a copy of the repository may lag, and
   * what is built on the newer one must not be packed away.
   */
  async #isBehind(head: CommitId): Promise<boolean> {
    const { known } = this.local;
    if (known === null || head === known || !(await this.local.has(head))) return false;
    return this.#reader.isAncestor(head, known);
  }

  /** In turn. Repaired once where the local repository is damaged. */
  async #repairing<T>(
    operation: string,
    signal: AbortSignal,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    try {
      await this.local.ready();
      return await run(signal);
    } catch (e) {
      if (signal.aborted || !isDamage(e)) throw this.outward(e);
      this.local.doubt(`${operation}: ${e.message}`);
    }
    try {
      await this.local.ready();
      await this.#fetchNow(signal);
      return await run(signal);
    } catch (e) {
      throw this.outward(e);
    }
  }

  async #measured<T>(operation: string, run: () => Promise<T>): Promise<T> {
    const { clock, metrics } = this.settings;
    const startMs = clock.steadyMs();
    let result = 'ok';
    try {
      const value = await run();
      this.#report(operation, 'ok');
      return value;
    } catch (e) {
      this.#report(operation, e);
      result = e instanceof RemoteError ? e.code : 'error';
      if (e instanceof RemoteError) metrics.count('gateway_gitee_errors_total', { cause: e.code });
      throw e;
    } finally {
      metrics.count('gateway_git_operations_total', { operation, result });
      metrics.observe('gateway_git_operation_duration_seconds', (clock.steadyMs() - startMs) / 1000, {
        operation,
      });
    }
  }

  /** Tells the line's memory what Gitee did; damage of the local repository is none of its doing. */
  #report(operation: string, outcome: unknown): void {
    const use = LINE_USE_OF[operation];
    if (use === undefined) return;
    if (outcome === 'ok') this.settings.line?.succeeded(use);
    else if (outcome instanceof RemoteError && !isDamage(outcome.cause))
      this.settings.line?.failed(use, outcome);
  }
}
