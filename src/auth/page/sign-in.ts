/**
 * The way to Gitee and back (RFC 6749 §4.1, RFC 9700 §2.1). A state is known to one browser, holds ten minutes and
 * is good once; who has no right in any repository of the mapping is sent away before anything is kept.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../async/clock.js';
import { Semaphore } from '../../async/semaphore.js';
import { OAuthGrantRefused, type GiteeOAuth, type OAuthTokens } from '../../gitee/oauth.js';
import { ExpiringMap } from '../expiring-map.js';
import type { GiteeIdentity, RepositoryPermission } from '../identity.js';

export const SIGN_IN_MS = 10 * 60_000;
/** Sign-ins on their way; more push out the oldest. */
const PENDING_MAX = 10_000;
const PARALLEL = 4;

export interface RepositoryRight {
  readonly repository: string;
  readonly permission: RepositoryPermission;
}

/** What the browser brings back. */
export interface Callback {
  readonly state: string | undefined;
  readonly code: string | undefined;
  /** Instead of a code. */
  readonly error: string | undefined;
  /** The state that this browser was given. */
  readonly cookie: string | undefined;
}

export type Outcome =
  | {
      readonly kind: 'signed-in';
      readonly user: { readonly id: number; readonly login: string; readonly name: string };
      readonly rights: readonly RepositoryRight[];
      readonly tokens: OAuthTokens;
    }
  /** Another browser's link, an old one, or one that was used already. */
  | { readonly kind: 'stale' }
  /** The person said no. */
  | { readonly kind: 'denied' }
  /** Gitee said something else than a code. */
  | { readonly kind: 'gitee-error'; readonly error: string }
  /** Gitee does not take its own code any more. */
  | { readonly kind: 'code-refused' }
  | { readonly kind: 'no-right'; readonly login: string };

export interface SignInDeps {
  readonly oauth: Pick<GiteeOAuth, 'authorizeUrl' | 'exchange'>;
  readonly identity: GiteeIdentity;
  /** Those of the mapping of images, as owner/name. */
  readonly repositories: readonly string[];
  readonly clock: Clock;
}

export class SignIn {
  /** The verifier of RFC 7636, by the digest of the state: what lies in memory opens nothing. */
  readonly #pending: ExpiringMap<string>;

  constructor(private readonly deps: SignInDeps) {
    this.#pending = new ExpiringMap({ lifeMs: SIGN_IN_MS, max: PENDING_MAX, clock: deps.clock });
  }

  /** Where the browser goes, and the state that it keeps in a cookie. */
  start(): { readonly url: string; readonly state: string } {
    const [state, verifier] = [randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')];
    this.#pending.set(digest(state).toString('hex'), verifier);
    return { url: this.deps.oauth.authorizeUrl(state, verifier), state };
  }

  /** @throws RemoteError where Gitee cannot be asked. */
  async finish(callback: Callback, signal: AbortSignal): Promise<Outcome> {
    const { state, cookie, code, error } = callback;
    if (!state || !cookie || !timingSafeEqual(digest(state), digest(cookie))) return { kind: 'stale' };
    // Taken only after the cookie fits: nobody else can use up somebody's state.
    const verifier = this.#pending.take(digest(state).toString('hex'));
    if (verifier === undefined) return { kind: 'stale' };
    if (error === 'access_denied') return { kind: 'denied' };
    if (error !== undefined || !code)
      return { kind: 'gitee-error', error: /^\w{1,60}$/.test(error ?? '') ? (error ?? '') : 'no code' };
    let tokens: OAuthTokens;
    try {
      tokens = await this.deps.oauth.exchange(code, verifier, signal);
    } catch (refusal) {
      if (refusal instanceof OAuthGrantRefused) return { kind: 'code-refused' };
      throw refusal;
    }
    const user = await this.deps.identity.user(tokens.accessToken, signal);
    const rights = await this.#rights(tokens.accessToken, signal);
    if (rights.length === 0) return { kind: 'no-right', login: user.login };
    return { kind: 'signed-in', user, rights, tokens };
  }

  async #rights(token: string, signal: AbortSignal): Promise<RepositoryRight[]> {
    const line = new Semaphore(PARALLEL);
    const { identity, repositories } = this.deps;
    const asked = repositories.map((repository) =>
      line.run(
        async () => ({ repository, permission: await identity.permission(token, repository, signal) }),
        signal,
      ),
    );
    return (await Promise.all(asked)).filter(({ permission }) => permission !== 'none');
  }
}

/** Digests are of equal length, which timingSafeEqual asks for. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
