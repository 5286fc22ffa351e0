/** What can go wrong with the git program itself; none of it leaves this folder but as a RemoteError. */
import { UnintendedChangeError } from '../errors.js';

/** git ended with a status that the caller did not expect. `stderr` is bounded and may hold the server's words. */
export class GitFailedError extends Error {
  override readonly name = 'GitFailedError';

  constructor(
    /** The git command, without its arguments. */
    readonly command: string,
    /** null: ended by a signal. */
    readonly exitCode: number | null,
    readonly stderr: string,
  ) {
    super(`git ${command} ended with ${exitCode ?? 'a signal'}: ${stderr.trim().slice(-300)}`);
  }
}

/**
 * The local repository cannot be trusted: an object is empty, a reference broken, a lock left over. It is only
 * a cache, so the answer is always the same: drop it and fetch anew (docs/facts/git-at-scale.md §5).
 */
export class LocalDamageError extends Error {
  override readonly name = 'LocalDamageError';

  constructor(what: string, cause?: unknown) {
    super(`the local git repository cannot be used: ${what}`, cause === undefined ? undefined : { cause });
  }
}

/** What a repository that is fetched anew may mend: trees that have rotted here give another commit, too. */
export function isDamage(e: unknown): e is Error {
  return e instanceof LocalDamageError || e instanceof GitFailedError || e instanceof UnintendedChangeError;
}
