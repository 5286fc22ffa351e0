/**
 * A file that takes up room for nothing, so that there is room when the disk is full: it is given up then, and
 * deletions and commits, which make room, go on. Clients' writes are refused meanwhile, and until it is there again.
 *
 * Whatever fills the disk, somebody else's log included, can't take these bytes before. What DiskReserve keeps free
 * anybody can.
 */
import { randomBytes } from 'node:crypto';
import { open, stat, unlink } from 'node:fs/promises';
import { writeAll } from '../disk/durable.js';
import { isNoSpace, isNotFound } from '../disk/failures.js';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { FreeBytes } from './disk-reserve.js';

const MAX_BYTES = 16 * 1024 * 1024;
/** The rest of the reserve stays what chunks leave free for everything else. */
const SHARE_OF_RESERVE = 4;
const WRITE_BYTES = 1024 * 1024;
const LOOK_MS = 1_000;
/** What a change takes beside its bytes: pages of the journal that are written anew. */
const CHANGE_BYTES = 16 * 1024;

export interface DiskBallastDeps {
  /** In the directory whose disk it is for. */
  readonly path: string;
  readonly directory: string;
  readonly reserveBytes: number;
  readonly freeBytes: FreeBytes;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

export class DiskBallast {
  readonly sizeBytes: number;
  readonly #stop = new AbortController();
  #isHeld = false;
  #isGivenUp = false;
  #free = { bytes: 0, askedMs: Number.NEGATIVE_INFINITY };
  #giving: Promise<boolean> | undefined;
  #running: Promise<void> | undefined;

  constructor(private readonly deps: DiskBallastDeps) {
    this.sizeBytes = Math.min(MAX_BYTES, Math.floor(deps.reserveBytes / SHARE_OF_RESERVE));
  }

  /** True from when it was given up until it is there again. */
  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /** Finds what an earlier process has left. */
  async open(): Promise<void> {
    try {
      const { size } = await stat(this.deps.path);
      this.#isHeld = size === this.sizeBytes;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    this.#report();
  }

  /** Makes it where it is missing, and from now on gives it up and makes it again as the disk has room. */
  start(): void {
    this.#running ??= this.#watch(this.#stop.signal);
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the gateway stops'));
    await this.#running;
  }

  /**
   * True where a client's write of so many bytes, which frees nothing, leaves enough for deletions and commits. While
   * the ballast is given up there must be room to make it again as well.
   */
  async admits(bytes: number): Promise<boolean> {
    const { clock } = this.deps;
    if (clock.steadyMs() - this.#free.askedMs >= LOOK_MS) await this.#ask();
    const wanted = bytes + CHANGE_BYTES;
    const floor = this.#isGivenUp ? 2 * this.sizeBytes : this.sizeBytes;
    if (this.#free.bytes - wanted < floor) return false;
    this.#free.bytes -= wanted;
    return true;
  }

  /** Gives the room back now. True where there was any. */
  giveUp(): Promise<boolean> {
    this.#giving ??= this.#giveUp().finally(() => {
      this.#giving = undefined;
    });
    return this.#giving;
  }

  async #giveUp(): Promise<boolean> {
    this.#free.askedMs = Number.NEGATIVE_INFINITY;
    const wasHeld = this.#isHeld;
    this.#isHeld = false;
    this.#isGivenUp = true;
    if (wasHeld) {
      await this.#remove();
      this.deps.log.error(
        'the disk of the state directory is full: its ballast was given up; deletions and commits go on, other writes are refused',
        { bytes: this.sizeBytes },
      );
    }
    this.#report();
    return wasHeld;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#look();
      } catch (error) {
        this.deps.log.warn('the ballast of the disk could not be looked after', { error });
      }
      await this.deps.clock.sleep(LOOK_MS, signal).catch(() => {});
    }
  }

  async #look(): Promise<void> {
    await this.#ask();
    const free = this.#free.bytes;
    if (this.#isHeld && free < this.sizeBytes / 4) await this.giveUp();
    else if (!this.#isHeld && free >= 3 * this.sizeBytes) await this.#make();
  }

  async #make(): Promise<void> {
    try {
      await this.#write();
    } catch (error) {
      await this.#remove();
      if (isNoSpace(error)) return; // somebody was faster
      throw error;
    }
    if (this.#isGivenUp) this.deps.log.info('the disk has room again: writes are taken');
    this.#isHeld = true;
    this.#isGivenUp = false;
    this.#report();
  }

  /** Random bytes: a file system may keep no room for zeros. */
  async #write(): Promise<void> {
    const file = await open(this.deps.path, 'w', 0o600);
    try {
      for (let left = this.sizeBytes; left > 0; left -= WRITE_BYTES)
        await writeAll(file, randomBytes(Math.min(left, WRITE_BYTES)));
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #remove(): Promise<void> {
    await unlink(this.deps.path).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }

  async #ask(): Promise<void> {
    const { clock, directory, freeBytes } = this.deps;
    this.#free = { bytes: await freeBytes(directory), askedMs: clock.steadyMs() };
  }

  #report(): void {
    this.deps.metrics.set('gateway_disk_ballast_bytes', this.#isHeld ? this.sizeBytes : 0);
  }
}
