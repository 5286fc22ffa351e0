/**
 * What buckets that were made at run time leave on this disk. Each has a state of its own name, `<bucket>_<id>`: the
 * underscore is in no bucket's name, and the id is another one each time, so that a bucket which is made again
 * never meets what is left of an earlier one, whenever the process was killed.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../disk/durable.js';
import { unlessMissing } from '../disk/failures.js';
import type { ChangeLogs } from '../journal/change-log.js';
import { decodeRow, encodeRow, type CatalogueRow } from './catalogue.js';

const STATE_NAME = /^([a-z0-9.-]{3,63})_[0-9a-f]{16}$/;
const ROW_FILE = 'row.json';

export class RunTimeState {
  constructor(
    private readonly stateDirectory: string,
    private readonly logs: Pick<ChangeLogs, 'wipe'>,
  ) {}

  /** Name for a new state; it sorts after those that are there, also where the clock was set back since. */
  async newName(bucket: string, nowMs: number): Promise<string> {
    const last = (await this.list()).get(bucket)?.at(-1);
    const lastMs = last === undefined ? 0 : Number.parseInt(last.slice(bucket.length + 1).slice(0, 12), 16);
    const ms = Math.max(nowMs, lastMs + 1);
    return `${bucket}_${ms.toString(16).padStart(12, '0')}${randomBytes(2).toString('hex')}`;
  }

  /** States on disk by bucket, the oldest first. */
  async list(): Promise<Map<string, string[]>> {
    const states = new Map<string, string[]>();
    for (const parent of this.#parents()) {
      for (const entry of await entriesOf(parent)) {
        const bucket = STATE_NAME.exec(entry)?.[1];
        if (bucket === undefined) continue;
        const known = states.get(bucket) ?? [];
        if (!known.includes(entry)) states.set(bucket, [...known, entry].sort());
      }
    }
    return states;
  }

  /** The row that the bucket had when it was last served from this state; undefined: it never was. */
  async readRow(stateName: string): Promise<CatalogueRow | undefined> {
    const row = await unlessMissing(readFile(join(this.#directory(stateName), ROW_FILE)));
    return row === undefined ? undefined : decodeRow(row);
  }

  async writeRow(stateName: string, row: CatalogueRow): Promise<void> {
    await writeDurably(this.#directory(stateName), ROW_FILE, encodeRow(row).toString('utf8'));
  }

  /** Removes all of it. The directory that tells of it goes last, so that a wipe which was cut short is repeated. */
  async wipe(stateName: string): Promise<void> {
    await rm(join(this.#directory(stateName), ROW_FILE), { force: true });
    await this.logs.wipe(stateName);
    for (const parent of this.#parents().reverse())
      await rm(join(parent, stateName), { recursive: true, force: true, maxRetries: 3 });
  }

  #directory(stateName: string): string {
    return join(this.stateDirectory, 'buckets', stateName);
  }

  #parents(): string[] {
    const chunks = join(this.stateDirectory, 'chunks');
    return [join(this.stateDirectory, 'buckets'), join(chunks, 'unsent'), join(chunks, 'grace')];
  }
}

async function entriesOf(directory: string): Promise<string[]> {
  return (await unlessMissing(readdir(directory))) ?? [];
}
