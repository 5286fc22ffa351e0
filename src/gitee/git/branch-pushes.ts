/**
 * Pushes of the buckets that are directories of one branch. They don't race each other: who comes while one is under
 * way waits, and all that wait then go as a chain of commits in one push, which lands as a whole or not at all. A
 * commit that is refused must not take others with it: what may be the doing of one of them is sent one by one.
 *
 * A bucket works its edits out against a head of its own. Where nothing but commits of other buckets of this process
 * lies between that and where the branch stands (own-advances.ts), they are right there as well, and are committed
 * there once the bucket has claimed that (CommitTerms); where anything else does, the bucket has to look at it first.
 */
import { setImmediate } from 'node:timers/promises';
import { onAbort } from '../../async/abort.js';
import type { CommitId } from '../../format/ids.js';
import { NotSentError, RemoteError, undecided, type RemoteCause } from '../errors.js';
import type { CommitTerms, PushRequest, PushResult } from '../remote.js';
import type { BranchPush } from './branch-push.js';
import { CommitChain, type LinkRequest } from './commit-chain.js';
import { discardPack, landedPack } from './commit-pack.js';
import { isDamage } from './failures.js';
import { signature } from './git-object.js';
import type { LocalRepository } from './local-repository.js';
import { OwnAdvances } from './own-advances.js';
import type { GitBranchSettings } from './settings.js';

/** Buckets in one push. */
const TOGETHER_MAX = 32;
/** Edits in a push of several: a large commit is sent by itself. */
const TOGETHER_EDITS_MAX = 2_000;
/** After these a push is most likely on the branch, though nobody has seen it there. */
const MAY_HAVE_LANDED: ReadonlySet<RemoteCause> = new Set(['outcome-unknown', 'push-not-seen']);

export interface BranchPushesDeps {
  readonly settings: GitBranchSettings;
  readonly local: LocalRepository;
  readonly branchPush: BranchPush;
  /** Fires when the branch is closed. */
  readonly closing: AbortSignal;
  inTurn(run: () => Promise<void>): Promise<void>;
  measured<T>(run: () => Promise<T>): Promise<T>;
  /** Runs it again with a repository fetched anew where this one is damaged. */
  repairing<T>(signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T>;
  fetch(signal: AbortSignal): Promise<CommitId | null>;
  isAncestor(ancestor: CommitId, head: CommitId): Promise<boolean>;
  outward(error: unknown): unknown;
}

/** One bucket's push until it has its answer. */
interface Waiting {
  readonly pathPrefix: string;
  readonly request: PushRequest;
  readonly signal: AbortSignal;
  /** How often something of it was sent that may land yet. */
  sent: number;
  readonly resolve: (result: PushResult) => void;
  readonly reject: (error: unknown) => void;
}

/** A push that is to be made, with what its commits say of themselves. */
interface Planned {
  readonly waiting: Waiting;
  readonly terms: CommitTerms;
}

export class BranchPushes {
  readonly #advances = new OwnAdvances();
  #waiting: Waiting[] = [];
  #isRunning = false;

  constructor(private readonly deps: BranchPushesDeps) {}

  push(pathPrefix: string, request: PushRequest, signal: AbortSignal): Promise<PushResult> {
    signal.throwIfAborted();
    let release = () => {};
    const result = new Promise<PushResult>((resolve, reject) => {
      const one: Waiting = { pathPrefix, request, signal, sent: 0, resolve, reject };
      this.#waiting.push(one);
      release = onAbort(signal, () => this.#leave(one));
      if (!this.#isRunning) void this.#run();
    });
    return result.finally(() => release());
  }

  /** Of one that is under way the push itself tells when it has stopped. */
  #leave(one: Waiting): void {
    if (!this.#waiting.includes(one)) return;
    this.#waiting = this.#waiting.filter((each) => each !== one);
    one.reject(one.signal.reason);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#waiting.length > 0) {
        // Those who come with the first go with it.
        await setImmediate();
        await this.deps.inTurn(() => this.#round());
      }
    } catch (e) {
      // Closed: nothing else ends a turn so.
      for (const { reject } of this.#waiting.splice(0)) reject(e);
    } finally {
      this.#isRunning = false;
    }
  }

  async #round(): Promise<void> {
    const [first] = this.#waiting;
    if (!first) return;
    const together = this.#together(first);
    this.#waiting = this.#waiting.filter((each) => !together.includes(each));
    const left = together.length > 1 ? await this.#sendTogether(together) : together;
    for (const one of left) await this.#sendAlone(one);
  }

  /** The first, and those that can go with it. */
  #together(first: Waiting): Waiting[] {
    const base = this.deps.local.known;
    let edits = 0;
    const together: Waiting[] = [];
    for (const one of this.#waiting) {
      const { elsewhere, expectedHead } = one.request;
      edits += one.request.edits.length;
      const isFit =
        elsewhere !== undefined &&
        edits <= TOGETHER_EDITS_MAX &&
        !together.some(({ pathPrefix }) => pathPrefix === one.pathPrefix) &&
        this.#advances.isUntouched(one.pathPrefix, expectedHead, base);
      if (isFit) together.push(one);
      if (together[0] !== first) return [first];
      if (together.length === TOGETHER_MAX || edits > TOGETHER_EDITS_MAX) break;
    }
    return together;
  }

  /** Answers all but those that it gives back: they go one by one. */
  async #sendTogether(together: readonly Waiting[]): Promise<readonly Waiting[]> {
    const over = new AbortController();
    const releases = together.map((one) =>
      onAbort(one.signal, () => {
        if (together.every(({ signal }) => signal.aborted)) over.abort(together[0]!.signal.reason);
      }),
    );
    const signal = AbortSignal.any([over.signal, this.deps.closing]);
    const base = this.deps.local.known;
    const sent = { isSent: false };
    let planned: Planned[] = [];
    try {
      await this.deps.local.ready();
      if (this.deps.local.known !== base) return together;
      planned = await this.#plan(together, base);
      if (planned.length === 0) return [];
      await this.deps.measured(() => this.#sendChain(planned, base, signal, () => (sent.isSent = true)));
      return [];
    } catch (e) {
      const asked = planned.length > 0 ? planned.map(({ waiting }) => waiting) : together;
      if (signal.aborted) return answered(asked, signal.reason);
      if (!sent.isSent) return e instanceof RemoteError && e.isTransient ? answered(asked, e) : asked;
      if (e instanceof RemoteError) return mayBeOfOne(e) ? asked : answered(asked, e);
      for (const one of asked) one.sent += 1;
      return asked;
    } finally {
      for (const release of releases) release();
    }
  }

  /** Has each bucket claim a commit there. Who can't has his answer. */
  async #plan(together: readonly Waiting[], base: CommitId | null): Promise<Planned[]> {
    const planned = await Promise.all(
      together.map(async (waiting): Promise<Planned | undefined> => {
        try {
          waiting.signal.throwIfAborted();
          return { waiting, terms: await waiting.request.elsewhere!(base) };
        } catch (e) {
          waiting.reject(e);
          return undefined;
        }
      }),
    );
    return planned.filter((one) => one !== undefined);
  }

  async #sendAlone(one: Waiting): Promise<void> {
    const signal = AbortSignal.any([one.signal, this.deps.closing]);
    try {
      signal.throwIfAborted();
      const run = () => this.deps.repairing(signal, (s) => this.#pushNow(one, s));
      one.resolve(await this.deps.measured(run));
    } catch (e) {
      one.reject(this.deps.outward(e));
    }
  }

  async #pushNow(one: Waiting, signal: AbortSignal): Promise<PushResult> {
    const before = one.sent;
    try {
      return await this.#buildAndPush(one, signal);
    } catch (e) {
      if (e instanceof RemoteError) throw before > 0 ? undecided(e) : e;
      throw one.sent > 0 || signal.aborted || isDamage(e) ? e : new NotSentError(e);
    }
  }

  async #buildAndPush(waiting: Waiting, signal: AbortSignal): Promise<PushResult> {
    const { pathPrefix, request } = waiting;
    const { elsewhere, expectedHead } = request;
    const { local } = this.deps;
    if (expectedHead !== null && !(await local.has(expectedHead))) {
      const head = await this.deps.fetch(signal);
      if (head !== expectedHead) return { kind: 'moved', head };
    }
    let base = expectedHead;
    const { known } = local;
    if (known !== expectedHead && known !== null) {
      if (elsewhere && this.#advances.isUntouched(pathPrefix, expectedHead, known)) base = known;
      else if (expectedHead === null || (await this.deps.isAncestor(expectedHead, known))) {
        // The server would refuse it. Where it is as it was, what we know is not where the branch is now.
        const head = await this.deps.fetch(signal);
        if (head !== expectedHead) return { kind: 'moved', head };
      }
    }
    const own = { trailers: () => request.trailers, evenIfUnchanged: request.evenIfUnchanged ?? false };
    const terms = base === expectedHead ? own : await elsewhere!(base);
    let result: PushResult | undefined;
    const answer = (told: PushResult) => (result = told);
    const planned = { waiting: { ...waiting, resolve: answer }, terms };
    await this.#sendChain([planned], base, signal, () => (waiting.sent += 1));
    return result!;
  }

  /** Sends their commits on this head, and gives each its answer. */
  async #sendChain(
    planned: readonly Planned[],
    base: CommitId | null,
    signal: AbortSignal,
    onSend: () => void,
  ): Promise<void> {
    const { branchPush, local, settings } = this.deps;
    const chain = new CommitChain(local.program, local.store, {
      parent: base,
      tree: base === null ? null : await local.store.readRoot(base),
      signature: signature(settings.identity, settings.clock.nowMs()),
    });
    const committed: Waiting[] = [];
    const unchanged: Waiting[] = [];
    try {
      for (const { waiting, terms } of planned)
        ((await chain.add(linkOf(waiting, terms))) ? committed : unchanged).push(waiting);
    } catch (e) {
      await chain.abandon();
      throw e;
    }
    const stored = await chain.store();
    if (!stored) {
      // Somebody else may have written the same paths since.
      const head = await this.deps.fetch(signal);
      for (const { resolve } of unchanged) resolve({ kind: head === base ? 'unchanged' : 'moved', head });
      return;
    }
    const { pack, last, replaced } = stored;
    let isKept = false;
    try {
      await settings.failpoints.hit('git.packStored');
      await chain.check(signal);
      signal.throwIfAborted();
      onSend();
      const result = await branchPush.send(base, last, pack, signal);
      if (result.kind === 'landed') {
        isKept = true;
        local.store.forgetTrees(replaced);
        await landedPack(pack);
        this.#advances.note(
          base,
          last,
          committed.map(({ pathPrefix }) => pathPrefix),
        );
      }
      for (const { resolve } of committed) resolve(result);
      for (const { resolve } of unchanged)
        resolve(result.kind === 'landed' ? { kind: 'unchanged', head: result.head } : result);
    } catch (e) {
      // The branch may have been set back since: each bucket goes by the head that it has seen then.
      if (!(e instanceof RemoteError) || e.isTransient) this.#advances.forget();
      // It may land yet, or have landed: maintenance looks for it later.
      isKept ||= signal.aborted || (e instanceof RemoteError && MAY_HAVE_LANDED.has(e.code));
      throw e;
    } finally {
      if (!isKept) await discardPack(pack.stem);
    }
  }
}

function linkOf({ pathPrefix, request }: Waiting, terms: CommitTerms): LinkRequest {
  return { pathPrefix, edits: request.edits, subject: request.subject, terms };
}

/** A refusal for the content, or for a reason that nobody knows: one of several commits may be all there is to it. */
function mayBeOfOne(e: RemoteError): boolean {
  const { code, isPoison, isUndecided } = e;
  return !isUndecided && (isPoison || code === 'push-too-large' || code === 'refused');
}

function answered(waiting: readonly Waiting[], error: unknown): readonly Waiting[] {
  for (const { reject } of waiting) reject(error);
  return [];
}
