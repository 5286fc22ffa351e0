import type { CommitId } from '../../format/ids.js';
import { RemoteError } from '../errors.js';
import { GitFailedError, LocalDamageError } from './failures.js';
import { loginConfig, withoutSecret, type ConfigEntry } from './git-environment.js';
import type { GitProgram, GitResult } from './git-process.js';
import type { StoredPack } from './commit-pack.js';
import { GitWire } from './git-wire.js';
import { pushLineOf, type PushLine } from './push-report.js';
import type { GitTimeouts, ServerBranchSettings } from './settings.js';
import { classifyFailure, detailOf, isLocalDamage } from './stderr.js';

/** The newest head that was seen: it never goes back to one that comes before it. */
export const HEAD_REF = 'refs/gateway/head';
/** What the last fetch brought. */
export const FETCHED_REF = 'refs/gateway/fetched';

/** Branches that Gitee makes for what was pushed to a branch in review mode. */
const REVIEW_REFS = 'refs/heads/auto-';

/** What a push told. Without a line the outcome is unknown, whatever `error` says. */
export interface PushAttempt {
  readonly line: PushLine | undefined;
  /** False where git gave up before it sent the objects: then nothing can have landed. */
  readonly mayHaveLanded: boolean;
  /** The server lacks what the pack builds on: where the branch stands elsewhere, that is why. */
  readonly thinRefused?: boolean;
  /** What the texts mean; undefined after an accepted push. */
  readonly error: RemoteError | undefined;
}

/**
 * The one branch on the server. Over HTTP its head is read and pushed to on the gateway's own connections
 * (git-wire.ts); everything else is a git command.
 */
export class ServerBranch {
  readonly ref: string;
  readonly #wire: GitWire | undefined;
  /** False once a server could not take a pack with differences apart. */
  #sendsThin = true;

  constructor(
    readonly program: GitProgram,
    readonly settings: ServerBranchSettings,
    readonly timeouts: GitTimeouts,
  ) {
    this.ref = `refs/heads/${settings.branch}`;
    this.#wire = /^https?:/.test(settings.url) ? new GitWire(settings, this.#context()) : undefined;
  }

  /** Reading the head is one request and no process. */
  get isReadOnWire(): boolean {
    return this.#wire !== undefined;
  }

  /** The head on the server, null where the branch does not exist. Moves no objects. */
  async readHead(signal: AbortSignal | undefined): Promise<CommitId | null> {
    if (this.#wire) return this.#wire.readHead(this.timeouts.readHeadMs, signal);
    return this.#readHeadByProgram(signal);
  }

  async #readHeadByProgram(signal: AbortSignal | undefined): Promise<CommitId | null> {
    const result = await this.#run(
      ['ls-remote', '--', this.settings.url, this.ref],
      this.timeouts.readHeadMs,
      signal,
    );
    if (result.exitCode !== 0) throw this.#failure('ls-remote', result);
    for (const line of result.stdout.split('\n')) {
      const match = /^([0-9a-f]{40})\t(.*)$/.exec(line);
      if (match?.[2] === this.ref) return match[1] as CommitId;
    }
    return null;
  }

  /**
   * True where Gitee made a branch for a pull request of this commit (`auto-<id>-<branch>-<time>`; docs/facts/gitee.md
   * §3): then the branch that was pushed to is in review mode. False says nothing.
   */
  async isInReview(commit: CommitId, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      if (this.#wire) return await this.#wire.hasRefAt(REVIEW_REFS, commit, this.timeouts.readHeadMs, signal);
      const args = ['ls-remote', '--', this.settings.url, `${REVIEW_REFS}*`];
      const { exitCode, stdout } = await this.#run(args, this.timeouts.readHeadMs, signal);
      return exitCode === 0 && stdout.split('\n').some((line) => line.startsWith(`${commit}\t`));
    } catch (e) {
      signal?.throwIfAborted();
      if (e instanceof RemoteError || e instanceof GitFailedError) return false;
      throw e;
    }
  }

  /**
   * Brings the branch and its objects here, under FETCHED_REF; no other branch, no tag. False where the branch has
   * gone in the meantime.
   */
  async fetch(signal: AbortSignal | undefined): Promise<boolean> {
    const args = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules', '--'];
    const result = await this.#run(
      [...args, this.settings.url, `+${this.ref}:${FETCHED_REF}`],
      this.timeouts.fetchMs + this.#keysMs(),
      signal,
    );
    if (result.exitCode === 0) return true;
    if (/couldn't find remote ref/i.test(result.stderr)) return false;
    throw this.#failure('fetch', result);
  }

  /**
   * Sends a commit whose parent is `old` and whose objects are in the pack; a compare-and-swap on the server.
   * @throws the signal's reason after an abort (it may have landed by then); LocalDamageError.
   */
  async push(
    old: CommitId | null,
    commit: CommitId,
    pack: StoredPack,
    signal: AbortSignal | undefined,
  ): Promise<PushAttempt> {
    if (!this.#wire) return this.#pushByProgram(old, commit, signal);
    return this.#wire.push(old, commit, pack, {
      thin: this.#sendsThin,
      idleMs: this.timeouts.lowSpeedTimeMs + this.#keysMs(),
      totalMs: this.timeouts.pushBaseMs + this.#keysMs(),
      signal,
    });
  }

  /** The server has what a push builds on and still could not take its differences apart. */
  sendWhole(): void {
    if (this.#sendsThin)
      this.settings.log.warn('git: the server could not take a pack apart, trees are sent whole from now on');
    this.#sendsThin = false;
  }

  /**
   * Sends a commit whose parent is `old`. The lease makes it a compare-and-swap on the server; since the parent
   * is the leased head, the move is never a forced one.
   * @throws the signal's reason after an abort (it may have landed by then); LocalDamageError.
   */
  async #pushByProgram(
    old: CommitId | null,
    commit: CommitId,
    signal: AbortSignal | undefined,
  ): Promise<PushAttempt> {
    const args = [
      'push',
      '--porcelain',
      '--atomic',
      '--no-verify',
      `--force-with-lease=${this.ref}:${old ?? ''}`,
      '--',
      this.settings.url,
      `${commit}:${this.ref}`,
    ];
    const result = await this.#run(args, this.timeouts.pushBaseMs + this.#keysMs(), signal);
    const line = pushLineOf(result.stdout, this.ref);
    if (line?.accepted) return { line, mayHaveLanded: true, error: undefined };
    const error = line ? this.#refusal(line, result) : this.#failure('push', result);
    // Status 128 was only ever seen before the objects were sent (docs/facts/git-at-scale.md §2).
    return { line, mayHaveLanded: !line && result.exitCode !== 128, error };
  }

  #refusal(line: PushLine, result: GitResult): RemoteError {
    const text = `${result.stderr}\n[remote rejected] (${line.reason})`;
    return (
      classifyFailure(text, this.#context()) ??
      new RemoteError('refused', 'Gitee refused the push; see the detail', { detail: detailOf(text) })
    );
  }

  #failure(command: string, result: GitResult): RemoteError {
    if (result.timedOut)
      return new RemoteError(
        'timeout',
        `git ${command} did not end within its time limit: it is tried again`,
        {
          detail: detailOf(result.stderr),
        },
      );
    // First: where our side is damaged, the connection breaks as a consequence.
    if (isLocalDamage(result.stderr)) throw new LocalDamageError(detailOf(result.stderr));
    const known = classifyFailure(result.stderr, this.#context());
    if (known) return known;
    return new RemoteError(
      'server-fault',
      `git ${command} failed (${result.exitCode ?? 'a signal'}): it is tried again`,
      {
        detail: detailOf(result.stderr),
      },
    );
  }

  /** Runs a command that needs the login; once more where the login is refused and a newer secret is there. */
  async #run(
    args: readonly string[],
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<GitResult> {
    const first = await this.#runOnce(args, timeoutMs, signal);
    if (first.exitCode === 0 || first.timedOut) return first;
    if (classifyFailure(first.stderr, this.#context())?.code !== 'unauthorized') return first;
    if (!(await this.settings.token.reload())) return first;
    this.settings.log.info('git: the login was refused, trying the newer token', { command: args[0] });
    return this.#runOnce(args, timeoutMs, signal);
  }

  async #runOnce(
    args: readonly string[],
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<GitResult> {
    const { url, token } = this.settings;
    const user = this.settings.user ?? 'oauth2';
    const secret = token.current();
    const config = [...loginConfig(url, user, secret), ...this.#transferConfig()];
    const result = await this.program.run(args, { config, timeoutMs, signal });
    return { ...result, stderr: withoutSecret(result.stderr, user, secret) };
  }

  #transferConfig(): ConfigEntry[] {
    const lowSpeedTimeS = Math.ceil((this.timeouts.lowSpeedTimeMs + this.#keysMs()) / 1000);
    return [
      ...(this.settings.caFile === undefined ? [] : [['http.sslCAInfo', this.settings.caFile] as const]),
      // While the server checks a push no byte moves, and that takes longer the more keys there are.
      ['http.lowSpeedLimit', String(this.timeouts.lowSpeedBytesPerSecond)],
      ['http.lowSpeedTime', String(lowSpeedTimeS)],
      // One POST with a length instead of a probe and a chunked one; Gitee's cap is 500 MB (docs/facts/gitee.md §3).
      ['http.postBuffer', '524288000'],
      ['push.recurseSubmodules', 'no'],
      ['push.followTags', 'false'],
    ];
  }

  #keysMs(): number {
    return Math.ceil((this.settings.keyCount() / 100_000) * this.timeouts.per100kKeysMs);
  }

  #context(): { repository: string; branch: string } {
    return { repository: withoutSecret(this.settings.url, '', ''), branch: this.settings.branch };
  }
}
