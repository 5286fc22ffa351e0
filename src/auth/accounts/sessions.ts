/**
 * Clients that are logged in by a refresh token (docker keeps it as `identitytoken`), so that no Gitee token stays
 * in their configuration. Kept by a hash of the refresh token; the Gitee token that a session acts with is sealed.
 */
import { z } from 'zod';
import type { Clock } from '../../async/clock.js';
import { KeyLock } from '../../async/key-lock.js';
import type { KeyValueStore } from '../../index/key-value-store.js';
import { newId, newSecret, secretDigest } from './new-secret.js';
import { Rows } from './rows.js';
import type { Sealer } from '../sealer.js';

/** The time of the last use is written at most so often: each write is an fsync. */
const TOUCH_MS = 3_600_000;

const sessionSchema = z.object({
  id: z.string(),
  account: z.string(),
  kind: z.enum(['gitee', 'docker-password', 'robot']),
  /** Of the docker password or the robot that it began with; '' for a Gitee token. */
  credentialId: z.string(),
  sealedToken: z.string().optional(),
  client: z.string(),
  address: z.string(),
  createdMs: z.number(),
  usedMs: z.number(),
});
type Row = z.infer<typeof sessionSchema>;
const ownerSchema = z.object({ usedMs: z.number() });

/** A session, as it is shown. */
export type SessionView = Omit<Row, 'sealedToken' | 'credentialId'>;

/** A session that a client just showed the refresh token of. */
export interface LiveSession {
  readonly id: string;
  readonly account: string;
  readonly kind: Row['kind'];
  readonly credentialId: string;
  /** undefined for the kinds without one. */
  readonly token: string | undefined;
}

export interface NewSession extends Omit<LiveSession, 'id'> {
  readonly client: string;
  readonly address: string;
}

export interface SessionLimits {
  readonly sessionsMax: number;
  readonly ttlMs: number;
}

export class Sessions {
  readonly #rows: Rows<Row>;
  readonly #owners: Rows<{ usedMs: number }>;
  readonly #locks = new KeyLock();

  constructor(
    private readonly store: KeyValueStore,
    private readonly sealer: Sealer,
    private readonly limits: SessionLimits,
    private readonly clock: Clock,
  ) {
    this.#rows = new Rows(store, 'session', sessionSchema);
    this.#owners = new Rows(store, 'session-of', ownerSchema);
  }

  /** The oldest sessions of the account end where there are too many. @returns the refresh token. */
  async start(session: NewSession): Promise<string> {
    const refreshToken = newSecret('session');
    const digest = secretDigest(refreshToken);
    const nowMs = this.clock.nowMs();
    const { token, ...rest } = session;
    const row: Row = {
      ...rest,
      id: newId(),
      createdMs: nowMs,
      usedMs: nowMs,
      ...(token === undefined ? {} : { sealedToken: this.sealer.seal(token, sealContext(digest)) }),
    };
    await this.#locks.run(ownerName(session.account), async () => {
      const others = await this.#digestsOf(session.account);
      const surplus = others.slice(0, Math.max(0, others.length - this.limits.sessionsMax + 1));
      await this.store.commit(
        [],
        [
          ...surplus.flatMap((old) => this.#removal(session.account, old)),
          this.#rows.write(digest, row),
          this.#owners.write(ownerKey(session.account, digest), { usedMs: nowMs }),
        ],
      );
    });
    return refreshToken;
  }

  /** undefined: there is none, it ended, or it was sealed with another key. */
  async resume(refreshToken: string): Promise<LiveSession | undefined> {
    const digest = secretDigest(refreshToken);
    const row = await this.#rows.get(digest);
    if (!row) return undefined;
    const nowMs = this.clock.nowMs();
    const token =
      row.sealedToken === undefined ? undefined : this.sealer.open(row.sealedToken, sealContext(digest));
    const readable = (token === undefined) === (row.sealedToken === undefined);
    if (!readable || this.#isOver(row, nowMs)) {
      await this.#remove(row.account, digest);
      return undefined;
    }
    if (nowMs - row.usedMs >= TOUCH_MS) await this.#touch(digest, row.account, nowMs);
    const { id, account, kind, credentialId } = row;
    return { id, account, kind, credentialId, token };
  }

  /** Doing it twice is fine. */
  async end(refreshToken: string): Promise<void> {
    const digest = secretDigest(refreshToken);
    const row = await this.#rows.get(digest);
    if (row) await this.#remove(row.account, digest);
  }

  /** Sessions that are not over. */
  async list(): Promise<SessionView[]> {
    const nowMs = this.clock.nowMs();
    const views: SessionView[] = [];
    for await (const { row } of this.#rows.all()) {
      if (this.#isOver(row, nowMs)) continue;
      const { sealedToken: _token, credentialId: _id, ...view } = row;
      views.push(view);
    }
    return views.sort((a, b) => a.account.localeCompare(b.account) || a.createdMs - b.createdMs);
  }

  /** Ends all that `which` names. @returns those that ended. */
  async endAll(which: (session: SessionView) => boolean): Promise<SessionView[]> {
    const ended: SessionView[] = [];
    for await (const { name, row } of this.#rows.all()) {
      if (!which(row)) continue;
      await this.#remove(row.account, name);
      ended.push(row);
    }
    return ended;
  }

  /** Drops what is over. */
  async sweep(): Promise<void> {
    const nowMs = this.clock.nowMs();
    for await (const { name, row } of this.#rows.all())
      if (this.#isOver(row, nowMs)) await this.#remove(row.account, name);
  }

  #isOver(row: Row, nowMs: number): boolean {
    return nowMs - row.usedMs >= this.limits.ttlMs;
  }

  /** Longest unused first. */
  async #digestsOf(account: string): Promise<string[]> {
    const found: { digest: string; usedMs: number }[] = [];
    const start = `${ownerName(account)}/`;
    for await (const { name, row } of this.#owners.all(start))
      found.push({ digest: name.slice(start.length), usedMs: row.usedMs });
    return found.sort((a, b) => a.usedMs - b.usedMs).map(({ digest }) => digest);
  }

  /** Under the lock, and on a fresh row: a session that was ended meanwhile must not come back. */
  async #touch(digest: string, account: string, nowMs: number): Promise<void> {
    await this.#locks.run(ownerName(account), async () => {
      const row = await this.#rows.get(digest);
      if (!row) return;
      await this.store.commit(
        [],
        [
          this.#rows.write(digest, { ...row, usedMs: nowMs }),
          this.#owners.write(ownerKey(account, digest), { usedMs: nowMs }),
        ],
      );
    });
  }

  async #remove(account: string, digest: string): Promise<void> {
    await this.#locks.run(ownerName(account), async () => {
      await this.store.commit([], this.#removal(account, digest));
    });
  }

  #removal(account: string, digest: string) {
    return [this.#rows.write(digest, undefined), this.#owners.write(ownerKey(account, digest), undefined)];
  }
}

/** A sealed token opens in its own session only. */
const sealContext = (digest: string) => `session ${digest}`;
const ownerName = (account: string) => encodeURIComponent(account.toLowerCase());
const ownerKey = (account: string, digest: string) => `${ownerName(account)}/${digest}`;
