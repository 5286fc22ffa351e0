import { open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDurableDirectory } from '../disk/durable.js';
import { isNotFound, systemCode } from '../disk/failures.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { Oid } from '../format/ids.js';
import type { ChunkHome } from './paths.js';

/** A broken disk must not fill itself with evidence: beyond so many, copies that Gitee has too are deleted. */
const KEPT_FILES = 32;

/** Where files go whose bytes do not hash to their name: kept to look at, never read again. */
export class AsideShelf {
  #serial = 0;

  constructor(
    private readonly directory: string,
    private readonly log: Log,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Takes a wrong file out of the way; false where the name stands for another file by now (inode differs).
   * The only copy (unsent) is always kept.
   */
  async take(path: string, oid: Oid, inode: bigint, home: ChunkHome): Promise<boolean> {
    try {
      const s = await stat(path, { bigint: true });
      if (s.ino !== inode) return false;
      await makeDurableDirectory(this.directory);
      const kept = await readdir(this.directory);
      if (home !== 'unsent' && kept.length >= KEPT_FILES) await unlink(path);
      else await rename(path, await this.#freeName(oid));
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
    this.metrics.count('gateway_chunk_hash_failures_total', { where: home });
    this.log.error('a chunk file does not hash to its name and was moved aside', { oid, home });
    return true;
  }

  async #freeName(oid: Oid): Promise<string> {
    for (;;) {
      this.#serial += 1;
      const path = join(this.directory, `${oid}.${this.#serial}`);
      try {
        await (await open(path, 'wx', 0o600)).close();
        return path;
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') throw error;
      }
    }
  }
}
