/**
 * What people granted this gateway at Gitee: one row a login, its tokens sealed with the login as context. Gitee
 * gives a new refresh token with every use of the old one (docs/facts/gitee.md §4: not known, so assumed): the new one
 * is on disk before its access token is used, and two refreshes never run with the same one.
 */
import { z } from 'zod';
import type { Audit } from '../../async/audit.js';
import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import type { Log } from '../../async/log.js';
import type { Metrics } from '../../async/metrics.js';
import { SingleFlight } from '../../async/single-flight.js';
import { RemoteError } from '../../gitee/errors.js';
import { OAuthGrantRefused, type GiteeOAuth, type OAuthTokens } from '../../gitee/oauth.js';
import type { KeyValueStore } from '../../index/key-value-store.js';
import type { OAuthGrants } from '../identity.js';
import type { Sealer } from '../sealer.js';

/**
 * A token that ends within this time is renewed while the old one still holds, in case Gitee is down later; of a
 * host with shorter lives, within this part of it.
 */
const EARLY_MS = 2 * 3600_000;
const EARLY_PART = 0.25;
/** A token is not handed out so shortly before its end: the caller still has to use it. */
const LAST_USE_MS = 60_000;
const REFRESH_MS = 12_000;
/** After a refresh that failed while the old token held, how long the next one waits. */
const PAUSE_MS = 60_000;

const rowSchema = z.object({
  login: z.string(),
  giteeUserId: z.number(),
  access: z.string(),
  accessExpiresAtMs: z.number(),
  renewFromMs: z.number(),
  refresh: z.string().optional(),
  grantedAtMs: z.number(),
});
type Row = z.infer<typeof rowSchema>;

export interface StoredGrantsDeps {
  readonly store: KeyValueStore;
  readonly sealer: Sealer;
  readonly oauth: Pick<GiteeOAuth, 'refresh'>;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

interface Found {
  readonly row: Row;
  readonly bytes: Uint8Array;
}

/** Logins are compared without case, as Gitee does. */
export class StoredGrants implements OAuthGrants {
  readonly #refreshes = new SingleFlight<string, string | undefined>();
  /** Steady milliseconds, by login. */
  readonly #pausedUntilMs = new Map<string, number>();

  constructor(private readonly deps: StoredGrantsDeps) {}

  /** @throws RemoteError where Gitee cannot be asked and no token is left that holds. */
  async accessToken(login: string, signal: AbortSignal): Promise<string | undefined> {
    const found = await this.#read(login);
    if (!found) return undefined;
    const { accessExpiresAtMs, renewFromMs } = found.row;
    const nowMs = this.deps.clock.nowMs();
    const token = accessExpiresAtMs - nowMs > LAST_USE_MS ? this.#opened(found.row, 'access') : undefined;
    if (token !== undefined && (nowMs < renewFromMs || this.#paused(login))) return token;
    return this.#renew(login, signal, token);
  }

  /** Replaces what this login had. Durable when it resolves. */
  async keep(login: string, giteeUserId: number, tokens: OAuthTokens): Promise<void> {
    const row = this.#row({ login, giteeUserId, grantedAtMs: this.deps.clock.nowMs() }, tokens);
    this.#pausedUntilMs.delete(folded(login));
    await this.deps.store.commit([], [{ key: keyOf(login), value: bytesOf(row) }]);
  }

  /** Forgets the grant; at Gitee it stays until its owner ends it there. Doing it twice is fine. */
  async drop(login: string): Promise<void> {
    this.#pausedUntilMs.delete(folded(login));
    await this.deps.store.commit([], [{ key: keyOf(login), value: undefined }]);
  }

  async #renew(
    login: string,
    signal: AbortSignal,
    stillGood: string | undefined,
  ): Promise<string | undefined> {
    // The refresh is everybody's: a caller that goes away ends its own waiting, never the refresh.
    const refresh = this.#refreshes.run(folded(login), () => this.#refresh(login));
    try {
      return await withDeadline(REFRESH_MS + 1_000, signal, () => refresh, tooSlow);
    } catch (error) {
      if (stillGood === undefined || signal.aborted || !(error instanceof RemoteError)) throw error;
      this.#pausedUntilMs.set(folded(login), this.deps.clock.steadyMs() + PAUSE_MS);
      return stillGood;
    }
  }

  async #refresh(login: string): Promise<string | undefined> {
    const { oauth, log } = this.deps;
    const found = await this.#read(login);
    if (!found) return undefined;
    const refreshToken = this.#opened(found.row, 'refresh');
    if (refreshToken === undefined)
      return this.#end(found, found.row.refresh === undefined ? 'no-refresh-token' : 'other-encryption-key');
    let tokens: OAuthTokens;
    try {
      tokens = await withDeadline(
        REFRESH_MS,
        undefined,
        (deadline) => oauth.refresh(refreshToken, deadline),
        tooSlow,
      );
    } catch (error) {
      if (error instanceof OAuthGrantRefused) return this.#end(found, 'withdrawn-or-expired');
      this.#count('failed');
      log.warn('a grant could not be renewed', { login, error });
      throw error;
    }
    const row = this.#row(found.row, tokens);
    const key = keyOf(login);
    if (await this.deps.store.commit([{ key, value: found.bytes }], [{ key, value: bytesOf(row) }])) {
      this.#count('ok');
      return tokens.accessToken;
    }
    // Meanwhile its owner signed in again, or ended everything: that counts, and our new tokens do not.
    const newer = await this.#read(login);
    return newer && this.#opened(newer.row, 'access');
  }

  /** The row goes, so that nobody asks again and again with what is dead. */
  async #end({ row, bytes }: Found, reason: string): Promise<undefined> {
    const key = keyOf(row.login);
    const gone = await this.deps.store.commit([{ key, value: bytes }], [{ key, value: undefined }]);
    if (!gone) return undefined;
    this.#count('refused');
    await this.deps.audit.record({
      who: row.login,
      action: 'oauth.grant.end',
      subject: '',
      from: 'local',
      result: 'refused',
      detail: { reason },
    });
    return undefined;
  }

  async #read(login: string): Promise<Found | undefined> {
    const bytes = await this.deps.store.get(keyOf(login));
    return bytes && { row: rowSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8'))), bytes };
  }

  #row(
    of: { readonly login: string; readonly giteeUserId: number; readonly grantedAtMs: number },
    tokens: OAuthTokens,
  ): Row {
    const { login, giteeUserId, grantedAtMs } = of;
    const { sealer, clock } = this.deps;
    const lifeMs = tokens.expiresAtMs - clock.nowMs();
    return {
      login,
      giteeUserId,
      grantedAtMs,
      access: sealer.seal(tokens.accessToken, contextOf(login, 'access')),
      accessExpiresAtMs: tokens.expiresAtMs,
      renewFromMs: tokens.expiresAtMs - Math.min(EARLY_MS, lifeMs * EARLY_PART),
      ...(tokens.refreshToken === undefined
        ? {}
        : { refresh: sealer.seal(tokens.refreshToken, contextOf(login, 'refresh')) }),
    };
  }

  /** undefined: there is none, or auth.encryption_key is another one by now. */
  #opened(row: Row, which: 'access' | 'refresh'): string | undefined {
    const sealed = row[which];
    return sealed === undefined ? undefined : this.deps.sealer.open(sealed, contextOf(row.login, which));
  }

  #paused(login: string): boolean {
    return (this.#pausedUntilMs.get(folded(login)) ?? 0) > this.deps.clock.steadyMs();
  }

  #count(result: 'ok' | 'refused' | 'failed'): void {
    this.deps.metrics.count('gateway_oauth_steps_total', { step: 'refresh', result });
  }
}

function tooSlow(): RemoteError {
  return new RemoteError('timeout', `Gitee did not renew a grant within ${REFRESH_MS / 1000} s`);
}

function folded(login: string): string {
  return login.toLowerCase();
}

function contextOf(login: string, which: 'access' | 'refresh'): string {
  return `oauth-${which}:${folded(login)}`;
}

function keyOf(login: string): Buffer {
  return Buffer.from(`oauth-grant/${folded(login)}`);
}

function bytesOf(row: Row): Buffer {
  return Buffer.from(JSON.stringify(row));
}
