/**
 * Answers one request for a token: who asks, what they get, a signed token, and a record of all that. The promise:
 * an answer within 10 s whatever Gitee does, and never "wrong password" because Gitee was not there.
 */
import type { Audit, AuditEvent } from '../../async/audit.js';
import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import type { Log } from '../../async/log.js';
import type { Metrics } from '../../async/metrics.js';
import type { Authenticator, Subject } from './authenticator.js';
import { AuthError, type AuthCode } from '../errors.js';
import type { Lockout } from '../lockout.js';
import type { RegistryTokens } from './registry-token.js';
import type { Rights } from './rights.js';
import { formatScope, parseScopes, type ResourceScope } from './scopes.js';
import type { Sessions } from '../accounts/sessions.js';

const ANSWER_MS = 9_000;
const RETRY_AFTER_MS = 15_000;
const AUDITED_SCOPES_CHARACTERS_MAX = 500;
/** A disk that stalls under the audit log must not keep anybody from their images. */
const AUDIT_WAIT_MS = 1_000;

export type Credentials =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'session'; readonly refreshToken: string };

/** A request of the token protocol, read but not judged. */
export interface TokenRequest {
  readonly credentials: Credentials;
  readonly service: string | undefined;
  /** Values of the `scope` parameters. */
  readonly scopes: readonly string[];
  /** Does the client want a refresh token. */
  readonly offline: boolean;
  /** `client_id`; '' where it does not say. */
  readonly client: string;
  readonly address: string;
  readonly requestId: string;
}

export interface TokenAnswer {
  readonly token: string;
  readonly expiresInSeconds: number;
  readonly issuedMs: number;
  /** Only where it was asked for. */
  readonly refreshToken?: string;
  readonly granted: readonly ResourceScope[];
}

export interface TokenServiceDeps {
  readonly authenticator: Authenticator;
  readonly rights: Rights;
  readonly tokens: RegistryTokens;
  readonly sessions: Sessions;
  readonly lockout: Lockout;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

const RESULTS: Record<AuthCode, string> = {
  refused: 'refused',
  'session-ended': 'refused',
  'login-needed': 'refused',
  locked: 'locked',
  unavailable: 'unavailable',
  busy: 'busy',
  'bad-request': 'bad-request',
};

export class TokenService {
  constructor(private readonly deps: TokenServiceDeps) {}

  /** @throws AuthError for everything that a client may be told. */
  async answer(request: TokenRequest): Promise<TokenAnswer> {
    const { clock, log, metrics } = this.deps;
    const startedMs = clock.steadyMs();
    let result = 'failed';
    try {
      const late = () => new AuthError('unavailable', 'no answer in time', RETRY_AFTER_MS);
      const answer = await withDeadline(ANSWER_MS, undefined, () => this.#answer(request), late);
      result = 'granted';
      return answer;
    } catch (error) {
      if (error instanceof AuthError) {
        result = RESULTS[error.code];
        if (error.code === 'unavailable')
          log.warn('a token could not be given: Gitee does not answer', {
            requestId: request.requestId,
            error: error.cause ?? error,
          });
      }
      throw error;
    } finally {
      metrics.count('gateway_token_requests_total', { result });
      metrics.observe('gateway_token_request_duration_seconds', (clock.steadyMs() - startedMs) / 1000);
    }
  }

  async #answer(request: TokenRequest): Promise<TokenAnswer> {
    if (request.service !== this.deps.tokens.service)
      throw new AuthError(
        'bad-request',
        `service must be ${this.deps.tokens.service}, as auth.service of the gateway has it`,
      );
    const asked = parseScopes(request.scopes);
    const subject = await this.#subject(request);
    const granted = await this.#granted(request, subject, asked);
    if (subject.kind === 'anonymous' && granted.length === 0)
      throw new AuthError('login-needed', 'nothing that was asked for is open to everybody');
    const refreshToken = await this.#refreshToken(request, subject);
    const { token, issuedMs, expiresInSeconds } = this.deps.tokens.issue(subject.account, granted);
    await this.#recordGrant(request, subject, asked, granted);
    return {
      token,
      issuedMs,
      expiresInSeconds,
      granted,
      ...(refreshToken === undefined ? {} : { refreshToken }),
    };
  }

  async #subject(request: TokenRequest): Promise<Subject> {
    const { credentials } = request;
    if (credentials.kind === 'anonymous') return { kind: 'anonymous', account: '' };
    if (credentials.kind === 'password') return this.#byPassword(request, credentials);
    try {
      // Refresh tokens are not counted against guessing: nobody guesses 192 bits, and a client that was logged out
      // asks again and again with its old one.
      return (await this.deps.authenticator.bySession(credentials.refreshToken)).subject;
    } catch (error) {
      if (error instanceof AuthError && error.code === 'session-ended')
        await this.#record(request, { who: 'unknown', action: 'login', result: 'refused' }, 'session');
      throw error;
    }
  }

  async #byPassword(
    request: TokenRequest,
    { user, password }: { user: string; password: string },
  ): Promise<Subject> {
    const { authenticator, lockout } = this.deps;
    const { address } = request;
    this.#refuseLocked(user, address);
    try {
      const subject = await authenticator.byPassword(user, password);
      // Looked at again: of a thousand guesses at once, those that end after the lock tell nothing.
      this.#refuseLocked(user, address);
      lockout.succeeded(user, address);
      const isLogin = request.scopes.length === 0 || request.offline;
      if (isLogin)
        await this.#record(request, { who: subject.account, action: 'login', result: 'ok' }, subject.kind);
      return subject;
    } catch (error) {
      if (error instanceof AuthError && error.code === 'refused') await this.#failed(request, user);
      throw error;
    }
  }

  #refuseLocked(user: string, address: string): void {
    const lockedForMs = this.deps.lockout.lockedForMs(user, address);
    if (lockedForMs !== undefined) throw new AuthError('locked', 'too many failed logins', lockedForMs);
  }

  async #failed(request: TokenRequest, user: string): Promise<void> {
    const who = shownName(user);
    const locked = this.deps.lockout.failed(user, request.address);
    for (const scope of locked) this.deps.metrics.count('gateway_login_lockouts_total', { scope });
    await Promise.all([
      this.#record(request, { who, action: 'login', result: 'refused' }, 'password'),
      ...locked.map((scope) =>
        this.#record(request, { who, action: 'login.lockout', result: 'refused' }, scope),
      ),
    ]);
    this.#refuseLocked(user, request.address);
  }

  async #granted(
    request: TokenRequest,
    subject: Subject,
    asked: readonly ResourceScope[],
  ): Promise<ResourceScope[]> {
    try {
      return await this.deps.rights.grant(subject, asked);
    } catch (error) {
      const { credentials } = request;
      if (!(error instanceof AuthError) || error.code !== 'refused') throw error;
      // The token was taken back between the two questions: no guess, so no step towards a lock.
      await this.#record(request, { who: subject.account, action: 'login', result: 'refused' }, subject.kind);
      if (credentials.kind !== 'session') throw error;
      await this.deps.sessions.end(credentials.refreshToken);
      throw new AuthError('session-ended', 'the session has ended', undefined, { cause: error });
    }
  }

  async #refreshToken(request: TokenRequest, subject: Subject): Promise<string | undefined> {
    // A session does not beget another: docker keeps the refresh token that it has.
    if (!request.offline || request.credentials.kind !== 'password' || subject.kind === 'anonymous')
      return undefined;
    return this.deps.sessions.start({
      ...this.deps.authenticator.sessionOf(subject),
      client: request.client.slice(0, 64),
      address: request.address,
    });
  }

  async #recordGrant(
    request: TokenRequest,
    subject: Subject,
    asked: readonly ResourceScope[],
    granted: readonly ResourceScope[],
  ): Promise<void> {
    if (asked.length === 0) return;
    const texts = (scopes: readonly ResourceScope[]) =>
      scopes.map(formatScope).join(' ').slice(0, AUDITED_SCOPES_CHARACTERS_MAX);
    await this.#write({
      who: subject.kind === 'anonymous' ? 'anonymous' : subject.account,
      action: 'token.grant',
      subject: [...new Set(asked.map(({ name }) => name))].join(' ').slice(0, AUDITED_SCOPES_CHARACTERS_MAX),
      from: request.address,
      result: granted.length > 0 ? 'ok' : 'refused',
      requestId: request.requestId,
      detail: { asked: texts(asked), granted: texts(granted), as: subject.kind },
    });
  }

  async #record(
    request: TokenRequest,
    event: Pick<AuditEvent, 'who' | 'action' | 'result'>,
    by: string,
  ): Promise<void> {
    const { address, client, requestId } = request;
    const detail = { by, ...(client === '' ? {} : { client: client.slice(0, 64) }) };
    await this.#write({ ...event, subject: '', from: address, requestId, detail });
  }

  async #write(event: AuditEvent): Promise<void> {
    const written = this.deps.audit.record(event);
    const late = () => new Error(`the audit log took over ${AUDIT_WAIT_MS} ms`);
    try {
      await withDeadline(AUDIT_WAIT_MS, undefined, () => written, late);
    } catch (error) {
      // The event stays with the audit log, which writes it when it can.
      this.deps.log.warn('the audit log is slow: a login did not wait for it', { error });
    }
  }
}

/** People paste passwords into the field for the name: what is no login, or looks like a token, is not written down. */
function shownName(user: string): string {
  if (!/^(?:robot\$)?[\w.-]{1,64}$/.test(user)) return '(no login)';
  return /^[0-9a-f]{32,}$/i.test(user) || /^g[drs][pst]_/.test(user) ? '(looks like a token)' : user;
}
