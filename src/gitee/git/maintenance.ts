/**
 * Keeps the local repository small beside pushes, never instead of them: nothing here holds the turn, and every step
 * leaves what others need. `git repack` puts the new pack in place before it takes the old ones away, looks at no pack
 * whose commit is on its way (`.keep`), and a git that misses an object looks for new packs by itself.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommitId } from '../../format/ids.js';
import { discardPack, landedPack, PENDING_SUFFIX } from './commit-pack.js';
import { GitFailedError } from './failures.js';
import type { LocalRepository } from './local-repository.js';
import type { GitBranchSettings } from './settings.js';

/** Packs, each push one, from which they are joined: every git opens the index of each. */
const JOIN_FROM_PACKS = 50;
const PACK_FROM_LOOSE = 1_000;
/** A pack that is pending for longer belongs to no push that runs: its commit is looked for. */
const PENDING_GRACE_MS = 3_600_000;
/** Loose objects that nothing reaches go when they are this old; nothing that runs has them in hand by then. */
const PRUNE_AGE = '2.hours.ago';
/** After a run that failed. */
const RETRY_MS = 600_000;
/** What takes longer is said in the log. */
const SLOW_MS = 10_000;

export class Maintenance {
  #running: Promise<void> | undefined;
  #notBeforeMs = 0;
  /** What the folder of packs had when it was counted last and nothing was to be done. */
  #quietNames: string | undefined;

  constructor(
    private readonly local: LocalRepository,
    private readonly settings: GitBranchSettings,
    private readonly isAncestor: (ancestor: CommitId, head: CommitId) => Promise<boolean>,
  ) {}

  /** Begins to tidy up where there is something to do and nobody is at it; resolves when that is over. */
  run(signal: AbortSignal): Promise<void> {
    this.#running ??= this.#measured(signal).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Resolves when nothing runs. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => {});
  }

  async #measured(signal: AbortSignal): Promise<void> {
    if (this.settings.clock.steadyMs() < this.#notBeforeMs) return;
    await this.#settlePending();
    const names = (await this.#packNames()).join(' ');
    // Nothing was pushed or fetched since: no program is needed to say so.
    if (names === this.#quietNames) return;
    const before = await this.#count();
    const { joinFromPacks = JOIN_FROM_PACKS, packFromLooseObjects = PACK_FROM_LOOSE } = this.settings;
    if (before.loose < packFromLooseObjects && before.packs < joinFromPacks) {
      this.#quietNames = names;
      return;
    }
    const { clock, log, metrics } = this.settings;
    const startMs = clock.steadyMs();
    let result = 'ok';
    try {
      await this.#pack(before.loose >= packFromLooseObjects, signal);
    } catch (e) {
      result = 'error';
      this.#notBeforeMs = clock.steadyMs() + RETRY_MS;
      throw e;
    } finally {
      const ms = clock.steadyMs() - startMs;
      metrics.count('gateway_git_packing_runs_total', { result });
      metrics.observe('gateway_git_packing_duration_seconds', ms / 1000);
      if (ms >= SLOW_MS && !signal.aborted)
        log.info('git: packing the local repository took long; pushes went on beside it', {
          seconds: Math.round(ms / 1000),
          ...before,
        });
    }
    await this.#count();
  }

  /** Joins small packs and loose objects; a pack is left alone while it has twice the objects of the smaller ones. */
  async #pack(hasLoose: boolean, signal: AbortSignal): Promise<void> {
    if (hasLoose) await this.#git(['prune', `--expire=${PRUNE_AGE}`], signal);
    await this.#git(['repack', '--geometric=2', '-d', '-q'], signal);
  }

  async #git(args: readonly string[], signal: AbortSignal): Promise<void> {
    const config = [
      ['pack.threads', '1'],
      ['pack.windowMemory', '64m'],
      ['pack.deltaCacheSize', '32m'],
      ['repack.writeBitmaps', 'false'],
    ] as const;
    const result = await this.local.program.run(args, { config, signal, background: true });
    if (result.exitCode !== 0) throw new GitFailedError(args[0]!, result.exitCode, result.stderr);
  }

  get #packFolder(): string {
    return join(this.local.directory, 'objects', 'pack');
  }

  async #packNames(): Promise<string[]> {
    return readdir(this.#packFolder).catch(() => []);
  }

  /** What `git count-objects -v` tells, also as gauges. */
  async #count(): Promise<{ loose: number; packs: number }> {
    const { stdout } = await this.local.program.run(['count-objects', '-v']);
    const value = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0);
    const found = { loose: value('count'), packs: value('packs') };
    const { metrics, gatewayId: bucket } = this.settings;
    metrics.set('gateway_git_packs', found.packs, { bucket });
    metrics.set('gateway_git_loose_objects', found.loose, { bucket });
    metrics.set('gateway_git_local_bytes', (value('size') + value('size-pack')) * 1024, { bucket });
    return found;
  }

  /**
   * Packs whose push had no clear end, or was cut off by a kill: those whose commit the branch has are like any other
   * now, the rest goes.
   */
  async #settlePending(): Promise<void> {
    const folder = this.#packFolder;
    const names = await this.#packNames();
    for (const name of names.filter((each) => each.endsWith(PENDING_SUFFIX))) {
      const path = join(folder, name);
      const stem = path.slice(0, -PENDING_SUFFIX.length);
      const written = await stat(path).catch(() => undefined);
      if (!written || this.settings.clock.nowMs() - written.mtimeMs < PENDING_GRACE_MS) continue;
      const commit = (await readFile(path, 'latin1').catch(() => '')).trim() as CommitId;
      const head = this.local.known;
      // git marks what it fetches in the same way, with other words: that is kept.
      const isOurs = /^[0-9a-f]{40}$/.test(commit);
      if (!isOurs || (head !== null && (await this.isAncestor(commit, head)))) await landedPack({ stem });
      else await discardPack(stem);
    }
  }
}
