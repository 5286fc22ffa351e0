/**
 * Buckets made by request. Which there are stands in the catalogue (src/buckets/catalogue.ts) and nowhere
 * else; what is open here is brought into line with it at the start, and whenever its head moved.
 *
 *   CreateBucket   state opened -> branch looked at -> row in the catalogue -> acknowledged
 *   DeleteBucket   empty here and on Gitee -> row out of the catalogue -> state removed -> acknowledged
 *
 * Only the row decides: a process killed between any two steps leaves a state without a row, which the next start
 * removes, or a row without a state, for which it opens one. One promise stands above the catalogue: what was
 * acknowledged is never lost. Where another gateway took the row of a bucket away in which this one has objects or
 * waiting changes, the row is put back. Step by step: docs/decisions/run-time-buckets.md.
 */
import { KeyLock } from '../async/key-lock.js';
import type { TreePath } from '../format/ids.js';
import type { Bucket, RunTimeBuckets } from '../objects/bucket.js';
import { ObjectError } from '../objects/errors.js';
import { BucketCatalogue, type CatalogueRow } from './catalogue.js';
import type { BucketParts } from './parts.js';
import type { BucketPlace } from './place.js';
import type { RunTimeBucket } from './run-time-bucket.js';
import { RunTimeOpener, type RunTimeOpenerDeps } from './run-time-opener.js';

/** Name of the internal bucket, which no request can name: S3 has no underscores. */
const CATALOGUE = 'bucket_catalogue';
const CATALOGUE_DIRECTORY = '_catalogue';
const ROW_BYTES_MAX = 64 * 1024;
const LOOK_INTERVAL_MS = 1000;
/** Until the catalogue was read for the first time: everything waits for it. */
const FIRST_LOOK_INTERVAL_MS = 50;
/** After what needs an operator, or Gitee, to be mended. */
const RETRY_MS = 30_000;

export interface RunTimeBucketsDeps extends RunTimeOpenerDeps {
  /** Names in the configuration: one made by request is hidden by such a one. */
  readonly configured: ReadonlySet<string>;
  readonly max: number;
  /** Drops what was measured of a bucket that is gone. */
  readonly forgetMetrics: (bucket: string) => Promise<void>;
}

export class RunTimeBucketSet implements RunTimeBuckets {
  readonly #catalogue: BucketCatalogue;
  readonly #states: RunTimeOpener;
  /** Open ones by name; those without a row are not shown. */
  readonly #open = new Map<string, RunTimeBucket>();
  /** Names in the catalogue that cannot be served, and why. */
  readonly #broken = new Map<string, string>();
  /** Names that a request is making or deleting now. */
  readonly #busy = new Set<string>();
  readonly #locks = new KeyLock();
  readonly #stop = new AbortController();
  #isKnown = false;
  #isStarted = false;
  #seenHead: string | null = null;
  /** When to look at the catalogue again although its head stands still; undefined: there is no need. */
  #lookAgainMs: number | undefined = 0;
  #running: Promise<void> | undefined;

  private constructor(
    private readonly deps: RunTimeBucketsDeps,
    private readonly catalogueParts: BucketParts,
  ) {
    this.#catalogue = new BucketCatalogue(catalogueParts.open.state);
    this.#states = new RunTimeOpener(deps);
  }

  /** Opens what is known on this disk; asks Gitee nothing. */
  static async open(deps: RunTimeBucketsDeps): Promise<RunTimeBucketSet> {
    const set = new RunTimeBucketSet(deps, await deps.opener.open(cataloguePlace(deps)));
    try {
      await set.#states.look();
      if (set.#catalogue.isKnown) await set.#reconcile();
    } catch (error) {
      // The buckets of the configuration have nothing to do with it; these answer 503 until it is mended.
      deps.log.error('the list of buckets made at run time cannot be read', { error });
    }
    return set;
  }

  /** Everything that has a branch to follow: the catalogue, then the buckets. */
  parts(): BucketParts[] {
    return [this.catalogueParts, ...[...this.#open.values()].map((one) => one.parts)];
  }

  /** For a hook that tells of a push: they all lie on one branch. */
  hooked(): { name: string; repository: string; branch: string; hint: () => void } {
    const { repository, branch } = this.deps.group;
    const hint = () => {
      for (const { open } of this.parts()) open.hint();
    };
    return { name: CATALOGUE, repository, branch, hint };
  }

  problems(): { name: string; detail: string }[] {
    const problems = [...this.#broken].map(([name, detail]) => ({ name: `bucket:${name}`, detail }));
    if (!this.#isKnown)
      problems.push({
        name: 'buckets',
        detail: 'the list of buckets made at run time is being read from Gitee',
      });
    return problems;
  }

  all(): Bucket[] {
    return [...this.#open.values()].filter((one) => one.row).map((one) => one.bucket);
  }

  checkKnown(): void {
    if (this.#isKnown) return;
    throw new ObjectError('unavailable', 'the list of buckets is being read from Gitee', {
      retryAfterMs: 2000,
    });
  }

  get(name: string): Bucket | undefined {
    const open = this.#open.get(name);
    if (open?.row) return open.bucket;
    const broken = this.#broken.get(name);
    if (broken !== undefined) throw new ObjectError('unavailable', `bucket ${name}: ${broken}`);
    return undefined;
  }

  ownerOf(bucket: string): string | undefined {
    if (this.deps.configured.has(bucket)) return undefined;
    const row = this.#open.get(bucket)?.row;
    if (!row) this.checkKnown();
    return row?.owner;
  }

  async create(name: string, owner: string, signal: AbortSignal): Promise<void> {
    await this.#alone(name, signal, () => this.#create(name, owner, signal));
  }

  async delete(name: string, signal: AbortSignal): Promise<void> {
    await this.#alone(name, signal, () => this.#delete(name, signal));
  }

  start(): void {
    this.#isStarted = true;
    this.catalogueParts.open.start();
    for (const one of this.#open.values()) one.start();
    this.#running = this.#loop(this.#stop.signal);
  }

  /** Commits what is pending within the grace time; reads go on until close(). */
  async stop(graceMs: number): Promise<void> {
    this.#stop.abort(new Error('the gateway stops'));
    await this.#running;
    await Promise.all(this.parts().map(({ open }) => open.stop(graceMs)));
  }

  async close(): Promise<void> {
    for (const part of this.parts()) await part.close();
  }

  async #create(name: string, owner: string, signal: AbortSignal): Promise<void> {
    this.checkKnown();
    if (this.get(name) || (await this.#catalogue.get(name)))
      throw new ObjectError('bucket-already-exists', `there is a bucket ${name}`);
    if (this.#open.has(name))
      throw new ObjectError('unavailable', `an earlier bucket ${name} is being removed`, {
        retryAfterMs: 2000,
      });
    this.#refuseTooMany();
    // Before the branch is looked at: what was removed here and lands meanwhile is nobody else's.
    const path = await this.#catalogue.pathOnBranch(name);
    const { clock, failpoints, log } = this.deps;
    const row: CatalogueRow = { name, createdMs: clock.nowMs(), owner };
    const made = await this.#states.openNew(name, row.createdMs);
    try {
      await failpoints.hit('buckets.stateOpened');
      await made.follow(signal);
      signal.throwIfAborted();
      await this.#refuseMade(made, path);
      await this.#catalogue.put(row);
    } catch (error) {
      // Should the row stand there all the same, the next look at the catalogue opens the bucket.
      this.#lookAgain(LOOK_INTERVAL_MS);
      await this.#discard(made);
      throw error;
    }
    await failpoints.hit('buckets.rowWritten');
    this.#serve(made, row);
    await this.#noteRow(made, row);
    this.catalogueParts.open.committer.flush();
    log.info('made a bucket', { bucket: name, owner });
  }

  async #delete(name: string, signal: AbortSignal): Promise<void> {
    this.checkKnown();
    const one = this.#open.get(name);
    if (!one?.row) {
      this.get(name);
      throw new ObjectError('no-such-bucket', `there is no bucket ${name} on this gateway`);
    }
    const { failpoints, log } = this.deps;
    await one.closeEmpty(() => this.#catalogue.remove(name), signal);
    this.#open.delete(name);
    this.catalogueParts.open.committer.flush();
    log.info('deleted a bucket', { bucket: name });
    await failpoints.hit('buckets.rowRemoved');
    await this.#discard(one);
  }

  /** Another gateway may have made it since the list was read last: the branch was just looked at for the new one. */
  async #refuseMade({ name, parts }: RunTimeBucket, path: TreePath | undefined): Promise<void> {
    const { head } = parts.open.state.status();
    if (head === null || path === undefined) return;
    if ((await this.catalogueParts.head.fileId(head, path)) === undefined) return;
    this.catalogueParts.open.hint();
    throw new ObjectError('bucket-already-exists', `there is a bucket ${name}, made by another gateway`);
  }

  #refuseTooMany(): void {
    const { max } = this.deps;
    // Those that are being made count, or many requests at once would pass together.
    const names = new Set([...this.#open.keys(), ...this.#broken.keys(), ...this.#busy]);
    if (names.size > max)
      throw new ObjectError(
        'too-many-buckets',
        `There may be ${max} buckets made by request (create_buckets.max): delete some, or raise it.`,
      );
  }

  /** One request or look at the catalogue per name. */
  async #alone(name: string, signal: AbortSignal, run: () => Promise<void>): Promise<void> {
    await this.#locks.run(
      name,
      async () => {
        this.#busy.add(name);
        try {
          await run();
        } finally {
          this.#busy.delete(name);
        }
      },
      signal,
    );
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.deps;
    while (!signal.aborted) {
      try {
        if (this.#catalogue.isKnown && this.#mustLook()) await this.#reconcile();
      } catch (error) {
        this.#lookAgain(RETRY_MS);
        log.warn('could not compare the buckets with the catalogue, trying again', { error });
      }
      const waitMs = this.#isKnown ? LOOK_INTERVAL_MS : FIRST_LOOK_INTERVAL_MS;
      await clock.sleep(waitMs, signal).catch(() => {}); // the only reason is the stop, seen above
    }
  }

  #mustLook(): boolean {
    const isDue = this.#lookAgainMs !== undefined && this.#lookAgainMs <= this.deps.clock.steadyMs();
    return isDue || this.#catalogue.head !== this.#seenHead;
  }

  #lookAgain(afterMs: number): void {
    this.#lookAgainMs = Math.min(this.#lookAgainMs ?? Infinity, this.deps.clock.steadyMs() + afterMs);
  }

  /** Opens what the catalogue has, and removes what it does not have any more. */
  async #reconcile(): Promise<void> {
    this.#seenHead = this.#catalogue.head;
    this.#lookAgainMs = undefined;
    const names = new Set([
      ...(await this.#catalogue.entries()).keys(),
      ...this.#open.keys(),
      ...this.#states.leftNames(),
    ]);
    for (const name of names) {
      if (this.#busy.has(name)) {
        this.#lookAgain(LOOK_INTERVAL_MS);
        continue;
      }
      await this.#locks.run(name, () => this.#reconcileOne(name));
    }
    for (const name of this.#broken.keys()) if (!names.has(name)) this.#broken.delete(name);
    this.#isKnown = true;
  }

  async #reconcileOne(name: string): Promise<void> {
    const { log } = this.deps;
    this.#broken.delete(name);
    // A bucket of the configuration hides one of that name; its state is kept.
    if (this.deps.configured.has(name)) return;
    try {
      const entry = await this.#catalogue.get(name);
      if (entry === 'unreadable') {
        this.#broken.set(name, 'its row in the catalogue is of a newer gateway, or damaged');
      } else if (entry) {
        const one = this.#open.get(name) ?? (await this.#openLeftover(name)) ?? (await this.#openNew(name));
        this.#serve(one, entry);
        await this.#noteRow(one, entry);
      } else {
        const one = this.#open.get(name) ?? (await this.#openLeftover(name));
        if (one) await this.#retire(one);
      }
    } catch (error) {
      this.#lookAgain(RETRY_MS);
      this.#broken.set(name, error instanceof Error ? error.message : String(error));
      log.error('a bucket made at run time cannot be opened', { bucket: name, error });
    }
  }

  /** The row is gone, by another gateway or before a kill: so the bucket goes, unless something would be lost. */
  async #retire(one: RunTimeBucket): Promise<void> {
    const row = await this.#states.rowOf(one);
    const seen = this.#catalogue.head;
    let lost = false;
    const isClosed = await one.closeIf(async () => {
      // Without a row it never was acknowledged, and nothing in it.
      if (!row) return !one.hasUnsettled;
      const contents = await one.contents(seen);
      lost = contents === 'some';
      return contents === 'none';
    });
    if (isClosed) {
      this.#open.delete(one.name);
      await this.#discard(one);
      return;
    }
    this.#lookAgain(LOOK_INTERVAL_MS);
    // It is not known yet what others have deleted.
    if (!lost) one.parts.open.hint();
    if (!lost || !row) return;
    this.deps.log.warn('another gateway deleted a bucket that has objects: it is put back', {
      bucket: one.name,
    });
    await this.#catalogue.put(row);
    this.#serve(one, row);
  }

  /** The newest state that earlier runs left for the name, opened; older ones are removed. */
  async #openLeftover(name: string): Promise<RunTimeBucket | undefined> {
    const found = await this.#states.openLeftover(name);
    if (!found) return undefined;
    this.#adopt(found.newest);
    await this.#states.removeOlder(name, found.older);
    return found.newest;
  }

  async #openNew(name: string): Promise<RunTimeBucket> {
    const one = await this.#states.openNew(name, this.deps.clock.nowMs());
    this.#adopt(one);
    return one;
  }

  #adopt(one: RunTimeBucket): void {
    this.#open.set(one.name, one);
    if (this.#isStarted) one.start();
  }

  #serve(one: RunTimeBucket, row: CatalogueRow): void {
    one.show(row);
    if (this.#open.get(one.name) !== one) this.#adopt(one);
  }

  /** Beside the state, for the day when the row is gone. */
  async #noteRow(one: RunTimeBucket, row: CatalogueRow): Promise<void> {
    try {
      await this.#states.noteRow(one, row);
    } catch (error) {
      // The catalogue has the row; the next look writes it.
      this.#lookAgain(RETRY_MS);
      this.deps.log.warn('could not note the row of a bucket', { bucket: one.name, error });
    }
  }

  async #discard(one: RunTimeBucket): Promise<void> {
    if ((await this.#states.discard(one)) && !this.#open.has(one.name))
      await this.deps.forgetMetrics(one.name);
  }
}

/** Rows are files, whatever the operator wants of objects. */
function cataloguePlace({ group, placeOf }: RunTimeBucketsDeps): BucketPlace {
  const pathPrefix = `${group.pathPrefix}/${CATALOGUE_DIRECTORY}`;
  const place = placeOf({ ...group, name: CATALOGUE, pathPrefix });
  return { ...place, layout: { ...place.layout, inlineLimitBytes: ROW_BYTES_MAX } };
}
