/**
 * The branch on Gitee through the git program. This class keeps order: one push or fetch at a time, and
 * a local repository that is dropped and fetched anew where it is in doubt. What a commit looks like is
 * tree-builder.ts, what the server's words mean is stderr.ts, what became of a push is branch-push.ts, and
 * invariant 2 is kept in exact-change.ts.
 */
import { Semaphore } from '../../async/semaphore.js';
import type { CommitId, TreePath } from '../../format/ids.js';
import type { LineUse } from '../../line/health.js';
import { NotSentError, RemoteError, undecided, UnintendedChangeError, type RemoteCause } from '../errors.js';
import type { HeadRemote, OwnCommit, PathChange, PushRequest, PushResult, TreeFile } from '../remote.js';
import { BranchPush } from './branch-push.js';
import { CommitPack, discardPack, landedPack } from './commit-pack.js';
import { CommitReader } from './commit-reader.js';
import { formatMessage } from './commit-message.js';
import { assertExactChange } from './exact-change.js';
import { GitFailedError, LocalDamageError } from './failures.js';
import { EMPTY_TREE, formatCommit, signature } from './git-object.js';
import { LocalRepository } from './local-repository.js';
import { Maintenance } from './maintenance.js';
import { planEdits } from './path-edits.js';
import { ServerBranch } from './server-branch.js';
import { DEFAULT_GIT_TIMEOUTS, type GitHeadRemoteSettings } from './settings.js';
import { isLocalDamage } from './stderr.js';
import { TreeBuilder, type BuiltTree } from './tree-builder.js';

/** Whoever asks for maintenance waits for it so long; then it goes on by itself. */
const MAINTENANCE_WAIT_MS = 1_000;
/** After these a push is most likely on the branch, though nobody has seen it there. */
const MAY_HAVE_LANDED: ReadonlySet<RemoteCause> = new Set(['outcome-unknown', 'push-not-seen']);
const LINE_USE_OF: Readonly<Record<string, LineUse>> = { push: 'commit', fetch: 'fetch' };

export class GitHeadRemote implements HeadRemote {
  readonly #local: LocalRepository;
  readonly #server: ServerBranch;
  readonly #reader: CommitReader;
  readonly #branchPush: BranchPush;
  readonly #turn = new Semaphore(1);
  readonly #closing = new AbortController();
  readonly #maintenance: Maintenance;

  constructor(readonly settings: GitHeadRemoteSettings) {
    const timeouts = { ...DEFAULT_GIT_TIMEOUTS, ...settings.timeouts };
    const log = settings.log.child({ gateway: settings.gatewayId, branch: settings.branch });
    this.#local = new LocalRepository(settings.directory, log, {
      killGraceMs: timeouts.killGraceMs,
      treeCacheMaxBytes: settings.treeCacheMaxBytes ?? 64 << 20,
    });
    this.#server = new ServerBranch(this.#local.program, { ...settings, log }, timeouts);
    this.#reader = new CommitReader(this.#local, settings.pathPrefix);
    this.#maintenance = new Maintenance(this.#local, { ...settings, log }, (ancestor, head) =>
      this.#reader.isAncestor(ancestor, head),
    );
    this.#branchPush = new BranchPush(
      this.#server,
      {
        fetch: (signal) => this.#fetchNow(signal),
        isAncestor: (ancestor, head) => this.#reader.isAncestor(ancestor, head),
        setKnown: (head) => this.#local.setKnown(head),
      },
      settings.clock,
      settings.failpoints,
    );
  }

  knownHead(): CommitId | null {
    return this.#local.known;
  }

  async fetch(signal?: AbortSignal): Promise<CommitId | null> {
    return this.#inTurn('fetch', signal, (s) => this.#fetchNow(s));
  }

  async readHead(signal?: AbortSignal): Promise<CommitId | null> {
    signal?.throwIfAborted();
    const either = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
    try {
      await this.#ready();
      return await this.#measured('fetch', () => this.#server.readHead(either));
    } catch (e) {
      throw this.#outward(e);
    }
  }

  async push(request: PushRequest, signal?: AbortSignal): Promise<PushResult> {
    const sent = { times: 0 };
    const over = request.isWaited ? this.settings.clearLine?.() : undefined;
    try {
      return await this.#inTurn('push', signal, (s) => this.#pushNow(request, sent, s));
    } finally {
      over?.();
    }
  }

  files(head: CommitId, below?: TreePath): AsyncIterable<TreeFile> {
    return this.#readingStream(() => this.#reader.files(head, below));
  }

  blobs(ids: AsyncIterable<string> | Iterable<string>, maxBytes: number): AsyncIterable<Uint8Array | null> {
    return this.#readingStream(() => this.#reader.blobs(ids, maxBytes));
  }

  diff(from: CommitId | null, to: CommitId): AsyncIterable<PathChange> {
    return this.#readingStream(() => this.#reader.diff(from, to));
  }

  history(head: CommitId): AsyncIterable<{ commit: CommitId; timeMs: number; paths: TreePath[] }> {
    return this.#readingStream(() => this.#reader.history(head));
  }

  async readFile(head: CommitId, path: TreePath, maxBytes: number): Promise<Uint8Array | null | undefined> {
    return this.#reading(() => this.#reader.readFile(head, path, maxBytes));
  }

  async fileId(head: CommitId, path: TreePath): Promise<string | undefined> {
    return this.#reading(() => this.#reader.fileId(head, path));
  }

  async isAncestor(ancestor: CommitId, head: CommitId): Promise<boolean> {
    return this.#reading(() => this.#reader.isAncestor(ancestor, head));
  }

  ownCommits(head: CommitId, logId: string, since: CommitId | null): AsyncIterable<OwnCommit> {
    return this.#readingStream(() => this.#reader.ownCommits(head, logId, since));
  }

  commitsSince(head: CommitId, since: CommitId): AsyncIterable<OwnCommit> {
    return this.#readingStream(() => this.#reader.commitsSince(head, since));
  }

  async keep(commit: CommitId): Promise<void> {
    return this.#inTurn('keep', undefined, async () => {
      await this.#reader.require(commit);
      await this.#local.updateRef(`refs/gateway/keep/${commit}`, commit);
    });
  }

  async drop(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    return this.#turn.run(() => this.#local.drop(), this.#closing.signal);
  }

  /**
   * Joins packs when there are many, beside pushes and fetches. Resolves after a second at most: what takes longer
   * goes on, and is seen in the metrics and the log.
   */
  async maintain(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    if (!this.#local.isReady) return;
    const run = this.#maintenance.run(this.#closing.signal).catch((e: unknown) => {
      if (this.#closing.signal.aborted) return;
      // Dropped in the middle of it: then git was stopped, and there is nothing to pack any more.
      if (e instanceof GitFailedError && e.exitCode !== null && isLocalDamage(e.stderr))
        this.#local.doubt(e.message);
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

  /** Stops everything that runs, pushes included: their outcome is looked for at the next start. */
  async close(): Promise<void> {
    this.#closing.abort(new RemoteError('unreachable', 'the gateway is closing its remote'));
    await this.#local.close();
  }

  async #fetchNow(signal: AbortSignal | undefined): Promise<CommitId | null> {
    // Twice: the branch may come and go between the two looks.
    for (let look = 1; ; look += 1) {
      const head = await this.#server.readHead(signal);
      if (head === null || head === this.#local.known || (await this.#isBehind(head))) return head;
      if (await this.#server.fetch(signal)) {
        // Another copy of the repository may have answered than the one that listed the branch.
        const fetched = await this.#local.readFetched();
        if (!(await this.#isBehind(fetched))) await this.#local.setKnown(fetched);
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
    const { known } = this.#local;
    if (known === null || head === known || !(await this.#local.has(head))) return false;
    return this.#reader.isAncestor(head, known);
  }

  /** @param sent how often something of this push was, also before the local repository was fetched anew */
  async #pushNow(request: PushRequest, sent: { times: number }, signal: AbortSignal): Promise<PushResult> {
    const before = sent.times;
    try {
      return await this.#buildAndPush(request, signal, () => (sent.times += 1));
    } catch (e) {
      if (e instanceof RemoteError) throw before > 0 ? undecided(e) : e;
      throw sent.times > 0 || signal.aborted || isDamage(e) ? e : new NotSentError(e);
    }
  }

  async #buildAndPush(request: PushRequest, signal: AbortSignal, onSend: () => void): Promise<PushResult> {
    const { expectedHead } = request;
    const plan = planEdits(request.edits, this.settings.pathPrefix);
    if (expectedHead !== null && !(await this.#local.has(expectedHead))) {
      const head = await this.#fetchNow(signal);
      if (head !== expectedHead) return { kind: 'moved', head };
    }
    const { store, program, directory } = this.#local;
    const oldTree = expectedHead === null ? null : await store.readRoot(expectedHead);
    const objects = new CommitPack(directory);
    let commit: CommitId;
    let built: BuiltTree;
    try {
      built = await new TreeBuilder(store, objects).build(oldTree, plan);
      if (built.changes.size === 0 && !request.evenIfUnchanged) {
        await objects.abandon();
        // Somebody else may have written the same paths since.
        const head = await this.#fetchNow(signal);
        return { kind: head === expectedHead ? 'unchanged' : 'moved', head };
      }
      const body = formatCommit({
        tree: built.tree,
        parent: expectedHead,
        signature: signature(this.settings.identity, this.settings.clock.nowMs()),
        message: formatMessage(request.subject, request.trailers),
      });
      commit = (await objects.add('commit', body)) as CommitId;
    } catch (e) {
      await objects.abandon();
      throw e;
    }
    const pack = await objects.store(commit);
    let isKept = false;
    try {
      await assertExactChange(program, oldTree ?? EMPTY_TREE, built.tree, built.changes, signal);
      await this.settings.failpoints.hit('git.afterObjects');
      signal.throwIfAborted();
      onSend();
      const result = await this.#branchPush.send(expectedHead, commit, pack, signal);
      if (result.kind === 'landed') {
        isKept = true;
        store.forgetTrees(built.replaced);
        await landedPack(pack);
      }
      return result;
    } catch (e) {
      // It may land yet, or have landed: maintenance looks for it later.
      isKept ||= signal.aborted || (e instanceof RemoteError && MAY_HAVE_LANDED.has(e.code));
      throw e;
    } finally {
      if (!isKept) await discardPack(pack.stem);
    }
  }

  /** One at a time. Measured, and repaired once where the local repository is damaged. */
  async #inTurn<T>(
    operation: string,
    signal: AbortSignal | undefined,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    const either = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
    return this.#turn.run(
      () => this.#measured(operation, () => this.#repairing(operation, either, run)),
      either,
    );
  }

  async #repairing<T>(
    operation: string,
    signal: AbortSignal,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    try {
      await this.#local.ready();
      return await run(signal);
    } catch (e) {
      if (signal.aborted || !isDamage(e)) throw this.#outward(e);
      this.#local.doubt(`${operation}: ${e.message}`);
    }
    try {
      await this.#local.ready();
      await this.#fetchNow(signal);
      return await run(signal);
    } catch (e) {
      throw this.#outward(e);
    }
  }

  async #measured<T>(operation: string, run: () => Promise<T>): Promise<T> {
    const { clock, observer } = this.settings;
    const startMs = clock.steadyMs();
    let result = 'ok';
    try {
      const value = await run();
      this.#report(operation, 'ok');
      return value;
    } catch (e) {
      this.#report(operation, e);
      result = e instanceof RemoteError ? e.code : 'error';
      if (e instanceof RemoteError) observer.count('gateway_gitee_errors_total', { cause: e.code });
      throw e;
    } finally {
      observer.count('gateway_git_operations_total', { operation, result });
      observer.observe('gateway_git_operation_duration_seconds', (clock.steadyMs() - startMs) / 1000, {
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

  /** Reads wait for no turn, but for the opening: git lets them run beside everything but a drop. */
  async #ready(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    if (this.#local.isReady) return;
    await this.#turn.run(() => this.#local.ready(), this.#closing.signal);
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      await this.#ready();
      return await read();
    } catch (e) {
      if (isDamage(e)) this.#local.doubt(e.message);
      throw this.#outward(e);
    }
  }

  async *#readingStream<T>(read: () => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    try {
      await this.#ready();
      yield* read();
    } catch (e) {
      if (isDamage(e)) this.#local.doubt(e.message);
      throw this.#outward(e);
    }
  }

  /** The words of this folder's errors in those of the remote layer. */
  #outward(e: unknown): unknown {
    if (this.#closing.signal.aborted) return this.#closing.signal.reason;
    if (e instanceof LocalDamageError || e instanceof GitFailedError)
      return new RemoteError(
        'server-fault',
        'the local git repository could not be used; it is dropped and fetched anew with the next fetch or push',
        { cause: e, detail: e.message },
      );
    return e;
  }
}

/** What a repository that is fetched anew may mend: trees that have rotted here give another commit, too. */
function isDamage(e: unknown): e is Error {
  return e instanceof LocalDamageError || e instanceof GitFailedError || e instanceof UnintendedChangeError;
}
