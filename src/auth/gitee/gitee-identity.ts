/**
 * Who somebody is and what they may do, as Gitee's API says it. Whatever Gitee leaves open is read as the lesser
 * right: a doubt must not let a stranger push.
 */
import { withDeadline } from '../../async/deadline.js';
import type { Log } from '../../async/log.js';
import type { GiteeApi } from '../../gitee/api/gitee-api.js';
import type { Repository } from '../../gitee/api/schema.js';
import { RemoteError } from '../../gitee/errors.js';
import type { GiteeIdentity, RepositoryPermission } from '../identity.js';

/** Docker gives a login up after 30 s, and one login may need three of these calls. */
const DEADLINE_MS = 8_000;

/**
 * Words of `collaborators/{login}/permission`. `PUT` of the same address takes pull, push and admin; the others
 * are those of GitHub, whose API Gitee's follows.
 */
const WORDS: Readonly<Record<string, RepositoryPermission>> = {
  pull: 'pull',
  read: 'pull',
  push: 'push',
  write: 'push',
  admin: 'admin',
  none: 'none',
};

export interface GiteeApiIdentityDeps {
  /** With the gateway's own token. */
  readonly api: GiteeApi;
  readonly log: Log;
  /** Of one question, its repetitions included. */
  readonly deadlineMs?: number;
}

/** GiteeIdentity by API v5. Tokens live as long as the call they came with. */
export class GiteeApiIdentity implements GiteeIdentity {
  constructor(private readonly deps: GiteeApiIdentityDeps) {}

  user(token: string, signal: AbortSignal): Promise<{ id: number; login: string; name: string }> {
    return this.#within('GET /user', signal, async (deadline) => {
      const { id, login, name } = await this.deps.api.as(token).user(deadline);
      return { id, login, name: name ?? login };
    });
  }

  permission(token: string, repository: string, signal: AbortSignal): Promise<RepositoryPermission> {
    const [owner, name] = parts(repository);
    return this.#within(`the rights in ${repository}`, signal, async (deadline) => {
      const api = this.deps.api.as(token);
      const found = await unlessHidden(() => api.repository(owner, name, deadline));
      if (!found) return 'none';
      const told = flags(found);
      if (told) return told === 'none' && isOpen(found) ? 'pull' : told;
      // Swagger calls `permission` just "object": where it does not come, Gitee is asked for the word.
      const { login } = await api.user(deadline);
      const word = await unlessHidden(() => api.collaboratorPermission(owner, name, login, deadline));
      const meant = word === undefined ? 'none' : WORDS[word.toLowerCase()];
      if (meant === undefined)
        this.deps.log.warn('Gitee has a word for a permission that is not known here', {
          repository,
          word: word?.slice(0, 40),
        });
      // Being shown a private repository is not yet the right to read its code: enterprises have reporters.
      return meant === undefined || meant === 'none' ? (isOpen(found) ? 'pull' : 'none') : meant;
    });
  }

  isPublic(repository: string, signal: AbortSignal): Promise<boolean> {
    const [owner, name] = parts(repository);
    return this.#within(`whether ${repository} is public`, signal, async (deadline) => {
      const found = await unlessHidden(() => this.deps.api.repository(owner, name, deadline));
      return found !== undefined && isOpen(found);
    });
  }

  #within<T>(what: string, signal: AbortSignal, ask: (deadline: AbortSignal) => Promise<T>): Promise<T> {
    const timeoutMs = this.deps.deadlineMs ?? DEADLINE_MS;
    return withDeadline(
      timeoutMs,
      signal,
      ask,
      () => new RemoteError('timeout', `Gitee did not say within ${timeoutMs / 1000} s: ${what}`),
    );
  }
}

/** undefined: 404 and 403, which Gitee answers alike where one has no right (docs/facts/gitee.md §1.1). */
async function unlessHidden<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    const hidden =
      error instanceof RemoteError &&
      (error.status === 404 || error.status === 403) &&
      // A 403 may also be the rate limit: that says nothing about rights.
      !error.isTransient;
    if (hidden) return undefined;
    throw error;
  }
}

/** undefined: the answer does not tell. */
function flags({ permission }: Repository): RepositoryPermission | undefined {
  if (!permission) return undefined;
  const { pull, push, admin } = permission;
  if (admin === true) return 'admin';
  if (push === true) return 'push';
  if (pull === true) return 'pull';
  return [pull, push, admin].some((flag) => flag === false) ? 'none' : undefined;
}

/** Everybody may read it, without any account. */
function isOpen(repository: Repository): boolean {
  if (typeof repository.public === 'boolean') return repository.public;
  return repository.private === false && repository.internal !== true;
}

function parts(repository: string): [string, string] {
  const [owner, name, more] = repository.split('/');
  if (!owner || !name || more !== undefined) throw new RangeError(`${repository} is not owner/name`);
  return [owner, name];
}
