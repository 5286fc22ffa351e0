/** Who somebody is and what they may do, as Gitee says, remembered for a while. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../../async/clock.js';
import type { Metrics } from '../../async/metrics.js';
import { RemoteError } from '../../gitee/errors.js';
import type { GiteeLine } from './gitee-line.js';
import type { GiteeIdentity, RepositoryPermission } from '../identity.js';
import { VerdictCache, type VerdictTimes } from './verdict-cache.js';

/** Something that acts with a Gitee token. */
export interface GiteeCredential {
  /** Equal for equal credentials; from fingerprint(). */
  readonly fingerprint: string;
  /** undefined: there is none any more. Rejects with RemoteError. */
  token(signal: AbortSignal): Promise<string | undefined>;
}

export interface GiteeUser {
  readonly id: number;
  readonly login: string;
}

export interface GiteeVerdictsDeps {
  readonly identity: GiteeIdentity;
  readonly line: GiteeLine;
  readonly times: VerdictTimes;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export class GiteeVerdicts {
  /** Of this process only: what the cache is keyed by is worth nothing elsewhere. */
  readonly #key = randomBytes(32);
  readonly #users: VerdictCache<GiteeUser | 'refused'>;
  readonly #permissions: VerdictCache<RepositoryPermission | 'refused'>;
  readonly #public: VerdictCache<boolean>;

  constructor(private readonly deps: GiteeVerdictsDeps) {
    this.#users = new VerdictCache({ ...deps, isNegative: (user) => user === 'refused' });
    this.#permissions = new VerdictCache({
      ...deps,
      isNegative: (permission) => permission === 'refused' || permission === 'none',
    });
    this.#public = new VerdictCache({ ...deps, isNegative: (isPublic) => !isPublic });
  }

  /** Stands for a secret in the cache. */
  fingerprint(secret: string): string {
    return createHmac('sha256', this.#key).update(secret).digest('base64');
  }

  /** A credential that is a Gitee token itself. */
  credential(token: string): GiteeCredential {
    return { fingerprint: this.fingerprint(`token ${token}`), token: () => Promise.resolve(token) };
  }

  /** `refused`: Gitee does not take the token. @throws AuthError `unavailable` */
  user(credential: GiteeCredential): Promise<GiteeUser | 'refused'> {
    return this.#users.verdict(credential.fingerprint, (signal) =>
      withToken(credential, signal, async (token) => {
        const { id, login } = await this.deps.identity.user(token, signal);
        return { id, login };
      }),
    );
  }

  /** `refused`: Gitee does not take the token. @throws AuthError `unavailable` */
  permission(credential: GiteeCredential, repository: string): Promise<RepositoryPermission | 'refused'> {
    // Names on Gitee are the same in any case.
    return this.#permissions.verdict(`${credential.fingerprint} ${repository.toLowerCase()}`, (signal) =>
      withToken(credential, signal, (token) => this.deps.identity.permission(token, repository, signal)),
    );
  }

  /** @throws AuthError `unavailable` */
  isPublic(repository: string): Promise<boolean> {
    return this.#public.verdict(repository.toLowerCase(), async (signal) => {
      try {
        return await this.deps.identity.isPublic(repository, signal);
      } catch (error) {
        // The gateway's own token is at fault: that says nothing about the repository, and is no refusal.
        if (isRefusal(error)) throw new RemoteError('server-fault', error.message, { cause: error });
        throw error;
      }
    });
  }
}

async function withToken<T>(
  credential: GiteeCredential,
  signal: AbortSignal,
  ask: (token: string) => Promise<T>,
): Promise<T | 'refused'> {
  try {
    const token = await credential.token(signal);
    return token === undefined ? 'refused' : await ask(token);
  } catch (error) {
    if (isRefusal(error)) return 'refused';
    throw error;
  }
}

function isRefusal(error: unknown): error is RemoteError {
  return error instanceof RemoteError && (error.code === 'unauthorized' || error.code === 'forbidden');
}
