/** Gitee's LFS space has no room, and writes are to be refused then. */
export class QuotaFullError extends Error {
  override readonly name = 'QuotaFullError';
  readonly code = 'quota-full';
}
