/**
 * Where chunk files stand. State is nothing but this tree: no list, no database names a chunk file.
 *
 *   <root>/
 *     unsent/<bucket>/ab/abcd…   not yet on Gitee: the only copy (pinned)
 *     unsent/<bucket>/tmp/…      being written; emptied at start
 *     grace/<bucket>/ab/abcd…    on Gitee since the file's mtime; pinned for 24 h more
 *     cache/ab/abcd…             on Gitee; may be evicted at any time. Shared by all buckets: content is content
 *     cache/tmp/…                being downloaded; emptied at start
 *     cache/CACHEDIR.TAG         keeps backups away
 *     aside/<oid>.<n>            files whose bytes do not hash to their name, kept to look at
 *
 * A chunk file is named by the lower-case hex SHA-256 of its bytes, below a directory of its first two digits:
 * `cache/ab/abcd…` (64 digits). It moves unsent → grace → cache by rename, so all of <root> is one file system.
 */
import { join } from 'node:path';
import type { Oid } from '../format/ids.js';

/** The classes of chunk files, in the order in which a file moves. */
export type ChunkHome = 'unsent' | 'grace' | 'cache';

/** Path of a chunk file below the directory of its class: `ab/abcd…`. */
function chunkFileName(oid: Oid): string {
  return join(oid.slice(0, 2), oid);
}

/** Directories of the cache below the chunk root. */
export class CachePaths {
  readonly cache: string;
  readonly temporary: string;
  readonly aside: string;
  readonly tag: string;

  constructor(readonly root: string) {
    this.cache = join(root, 'cache');
    this.temporary = join(this.cache, 'tmp');
    this.aside = join(root, 'aside');
    this.tag = join(this.cache, 'CACHEDIR.TAG');
  }

  file(oid: Oid): string {
    return join(this.cache, chunkFileName(oid));
  }
}

/** Directories of one bucket's pinned chunks below the chunk root. */
export class PinnedPaths {
  readonly unsent: string;
  readonly grace: string;
  readonly temporary: string;

  /** @throws RangeError where the bucket's name cannot be one directory name. */
  constructor(
    readonly root: string,
    readonly bucket: string,
  ) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(bucket))
      throw new RangeError(`bucket ${JSON.stringify(bucket)} cannot name a directory`);
    this.unsent = join(root, 'unsent', bucket);
    this.grace = join(root, 'grace', bucket);
    this.temporary = join(this.unsent, 'tmp');
  }

  file(home: 'unsent' | 'grace', oid: Oid): string {
    return join(home === 'unsent' ? this.unsent : this.grace, chunkFileName(oid));
  }
}
