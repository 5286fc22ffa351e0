/**
 * Gitee's OAuth (RFC 6749, docs/facts/gitee.md §4): authorization code, with PKCE (RFC 7636) where the host takes it,
 * and refresh. Invariant 7, this file's share: secrets, codes and tokens travel in the body of one POST to Gitee
 * itself, never in an address, and no redirect takes them elsewhere.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../async/clock.js';
import type { Metrics } from '../async/metrics.js';
import { RemoteError } from './errors.js';
import { readErrorText, readText } from './http/answer.js';
import type { HttpClient } from './http/client.js';
import { statusFailure } from './http/status-failure.js';
import type { CallTimeouts } from './http/watch.js';

/** What an answer without `expires_in` is taken to mean: Gitee's day. */
const LIFETIME_SECONDS = 86_400;
const ANSWER_MAX_BYTES = 64 * 1024;
/** Docker gives a login up after 30 s: one call for a token must leave time for the rest. */
const TIMEOUTS: CallTimeouts = { idleMs: 8_000, totalMs: 10_000 };

const tokensSchema = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).nullish(),
  expires_in: z.number().positive().nullish(),
  scope: z.string().nullish(),
});
const refusalSchema = z.object({ error: z.string(), error_description: z.string().nullish() });

export interface OAuthTokens {
  readonly accessToken: string;
  /** undefined: the host gave none, so the person signs in again when the access token ends. */
  readonly refreshToken: string | undefined;
  readonly expiresAtMs: number;
  readonly scopes: readonly string[];
}

/** The code or refresh token is no longer any good: used, expired, or withdrawn at Gitee. Ask the person again. */
export class OAuthGrantRefused extends Error {
  override readonly name = 'OAuthGrantRefused';
}

export interface GiteeOAuthDeps {
  readonly http: HttpClient;
  /** `https://gitee.com` */
  readonly giteeUrl: string;
  readonly clientId: string;
  /** Asked for at each call: it may have been rotated. */
  readonly clientSecret: () => string;
  /** By spaces: `user_info projects`. */
  readonly scope: string;
  /** Where this gateway is registered to be called back. */
  readonly redirectUri: string;
  /** Sends a code challenge. Whether gitee.com reads it is not known; hosts that do not must ignore it. */
  readonly pkce: boolean;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly timeouts?: CallTimeouts;
}

export class GiteeOAuth {
  constructor(private readonly deps: GiteeOAuthDeps) {}

  /** Where the browser goes. `verifier`: 43 to 128 unreserved characters, kept for `exchange`. */
  authorizeUrl(state: string, verifier: string): string {
    const { clientId, redirectUri, scope, pkce } = this.deps;
    const url = new URL('/oauth/authorize', this.deps.giteeUrl);
    url.search = new URLSearchParams({
      client_id: clientId,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope,
      state,
      ...(pkce ? { code_challenge: challengeOf(verifier), code_challenge_method: 'S256' } : {}),
    }).toString();
    return url.href;
  }

  /**
   * Tokens for a code, once.
   * @throws OAuthGrantRefused, RemoteError
   */
  exchange(code: string, verifier: string, signal: AbortSignal): Promise<OAuthTokens> {
    const { redirectUri, pkce } = this.deps;
    return this.#token(
      {
        grant_type: 'authorization_code',
        code,
        redirect_uri: redirectUri,
        ...(pkce ? { code_verifier: verifier } : {}),
      },
      signal,
    );
  }

  /**
   * New tokens. The refresh token given is used up by it, so never two calls with the same one, and no repetition
   * either: the answer may be lost and the new token with it.
   * @throws OAuthGrantRefused, RemoteError
   */
  refresh(refreshToken: string, signal: AbortSignal): Promise<OAuthTokens> {
    return this.#token({ grant_type: 'refresh_token', refresh_token: refreshToken }, signal);
  }

  async #token(fields: Readonly<Record<string, string>>, signal: AbortSignal): Promise<OAuthTokens> {
    const { metrics } = this.deps;
    try {
      const tokens = await this.#post(fields, signal);
      metrics.count('gateway_gitee_api_requests_total', { result: 'ok' });
      return tokens;
    } catch (error) {
      if (error instanceof RemoteError) {
        metrics.count('gateway_gitee_api_requests_total', { result: error.code });
        metrics.count('gateway_gitee_errors_total', { cause: error.code });
      }
      throw error;
    }
  }

  async #post(fields: Readonly<Record<string, string>>, signal: AbortSignal): Promise<OAuthTokens> {
    const { http, giteeUrl, clientId, clientSecret, clock, timeouts } = this.deps;
    const what = `the call for a token (${fields['grant_type']})`;
    const secret = clientSecret();
    const askedAtMs = clock.nowMs();
    const answer = await http.send({
      what,
      method: 'POST',
      url: new URL('/oauth/token', giteeUrl),
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' },
      body: new URLSearchParams({ ...fields, client_id: clientId, client_secret: secret }).toString(),
      timeouts: timeouts ?? TIMEOUTS,
      redirects: 'stay',
      signal,
    });
    const { status, headers } = answer;
    if (status >= 300) {
      const text = await readErrorText(answer);
      const refusal = refusalSchema.safeParse(json(text));
      // RFC 6749 §5.2 says 400, Doorkeeper (which Gitee looks like) says 401 in its older versions: the word decides.
      if (status < 500 && refusal.success && refusal.data.error === 'invalid_grant')
        throw new OAuthGrantRefused(`${what} was refused: the grant is used up, expired or withdrawn`);
      throw statusFailure(
        // A server may echo what it was sent.
        { status, headers, text: masked(text, [secret, ...secretsOf(fields)]) },
        // Without an OAuth error in it a 400, 401 or 403 comes from something in between.
        { what, nowMs: clock.nowMs(), meaning: refusal.success ? OF_THE_CLIENT : OF_SOMETHING_BETWEEN },
      );
    }
    const { text, truncated } = await readText(answer, ANSWER_MAX_BYTES);
    const found = truncated ? undefined : tokensSchema.safeParse(json(text));
    // The text is not quoted: it may hold a token.
    if (!found?.success)
      throw new RemoteError('server-fault', `${what} was answered with something else`, { status });
    return {
      accessToken: found.data.access_token,
      refreshToken: found.data.refresh_token ?? undefined,
      expiresAtMs: askedAtMs + (found.data.expires_in ?? LIFETIME_SECONDS) * 1000,
      scopes: (found.data.scope ?? '').split(' ').filter((scope) => scope !== ''),
    };
  }
}

/** Our own registration is wrong (`invalid_client`, `redirect_uri` …): an operator must act. */
const OF_THE_CLIENT = { 400: 'refused', 401: 'refused', 403: 'refused' } as const;
const OF_SOMETHING_BETWEEN = {
  400: 'server-fault',
  401: 'server-fault',
  403: 'server-fault',
  404: 'server-fault',
} as const;

/** RFC 7636 §4.2. */
function challengeOf(verifier: string): string {
  return createHash('sha256').update(verifier, 'ascii').digest('base64url');
}

function secretsOf(fields: Readonly<Record<string, string>>): string[] {
  return ['code', 'refresh_token', 'code_verifier'].map((name) => fields[name] ?? '');
}

function masked(text: string, secrets: readonly string[]): string {
  return secrets.reduce((all, secret) => (secret === '' ? all : all.replaceAll(secret, '***')), text);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The schema then says that it is something else.
    return undefined;
  }
}
