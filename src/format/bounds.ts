/**
 * What a reader takes from a tree: docs/storage-format.md, "Bounds". Whoever can write to the branch can claim
 * anything there; what is beyond these bounds costs the one object that says it, and never reaches a row or an answer.
 */

/** Longest object, and longest chunk: rows of the index have 48 bits for it. */
export const OBJECT_BYTES_MAX = 2 ** 48 - 1;

/** A plain file over this size is somebody's own commit without LFS: a body must fit into memory. */
export const PLAIN_FILE_BYTES_MAX = 16 * 1024 * 1024;

/** Far more than a document of ours can have: 1,000 oids, 10,000 parts, 2 KiB of metadata. */
export const META_FILE_BYTES_MAX = 1024 * 1024;

/** `format.json` has some hundred bytes. */
export const FORMAT_FILE_BYTES_MAX = 1024 * 1024;

/** The last millisecond of the year 9999: neither HTTP nor S3's documents can write a later one. */
export const TIME_MS_MAX = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** The time that a commit claims, in whole milliseconds since 1970; 0 where nobody could write it down. */
export function boundedTimeMs(claimedMs: number): number {
  return claimedMs >= 0 && claimedMs <= TIME_MS_MAX ? Math.floor(claimedMs) : 0;
}
