import type { Clock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import type { Log } from '../async/log.js';
import type { CatalogueRow } from './catalogue.js';
import type { BucketOpener } from './parts.js';
import type { BucketPlace, Location } from './place.js';
import { RunTimeBucket } from './run-time-bucket.js';
import type { RunTimeState } from './run-time-state.js';

export interface RunTimeOpenerDeps {
  readonly opener: BucketOpener;
  /** What is on this disk. */
  readonly files: RunTimeState;
  /** The directory in which each bucket has one of its own. */
  readonly group: Location;
  /** How a bucket is kept of which nothing but this is said. */
  readonly placeOf: (where: Location & { readonly name: string }) => BucketPlace;
  readonly clock: Clock;
  readonly log: Log;
  readonly failpoints: Failpoints;
}

/** Opens and removes the states of buckets made at run time; which of them there ought to be is not decided here. */
export class RunTimeOpener {
  /** States of earlier runs that nobody has looked at yet, by bucket, the oldest first. */
  #leftovers = new Map<string, string[]>();

  constructor(private readonly deps: RunTimeOpenerDeps) {}

  /** Finds what earlier runs left. */
  async look(): Promise<void> {
    this.#leftovers = await this.deps.files.list();
  }

  /** Buckets of which earlier runs left a state. */
  leftNames(): Iterable<string> {
    return this.#leftovers.keys();
  }

  async openNew(name: string, nowMs: number): Promise<RunTimeBucket> {
    return this.#openState(name, await this.deps.files.newName(name, nowMs));
  }

  /** The newest state that earlier runs left for the name; once. The names of older ones are for removeOlder(). */
  async openLeftover(name: string): Promise<{ newest: RunTimeBucket; older: string[] } | undefined> {
    const states = this.#leftovers.get(name);
    const newest = states?.at(-1);
    if (states === undefined || newest === undefined) return undefined;
    const opened = await this.#openState(name, newest);
    this.#leftovers.delete(name);
    return { newest: opened, older: states.slice(0, -1) };
  }

  async removeOlder(name: string, states: readonly string[]): Promise<void> {
    for (const state of states) {
      const old = await this.#openState(name, state);
      if (old.hasUnsettled) {
        this.deps.log.error('kept a state with changes that are not on Gitee', { state });
        await old.close();
      } else await this.discard(old);
    }
  }

  /** The row that the bucket had when it was last served; undefined: it never was. */
  async rowOf(one: RunTimeBucket): Promise<CatalogueRow | undefined> {
    return one.row ?? (await this.deps.files.readRow(one.stateName));
  }

  /** Keeps the row beside the state. */
  async noteRow({ stateName }: RunTimeBucket, row: CatalogueRow): Promise<void> {
    const noted = await this.deps.files.readRow(stateName);
    if (noted?.createdMs === row.createdMs && noted.owner === row.owner) return;
    await this.deps.files.writeRow(stateName, row);
  }

  /** Closes it and removes its state; true if all of it is gone. What fails here is done again at the next start. */
  async discard(one: RunTimeBucket): Promise<boolean> {
    const { failpoints, files, log } = this.deps;
    try {
      await one.close();
      await failpoints.hit('buckets.stateClosed');
      await files.wipe(one.stateName);
      await failpoints.hit('buckets.stateRemoved');
      return true;
    } catch (error) {
      log.warn('the state of a deleted bucket is left to the next start', { state: one.stateName, error });
      return false;
    }
  }

  #openState(name: string, stateName: string): Promise<RunTimeBucket> {
    const { group, placeOf } = this.deps;
    const place = placeOf({ ...group, name, pathPrefix: `${group.pathPrefix}/${name}` });
    return RunTimeBucket.open(this.deps, place, stateName);
  }
}
