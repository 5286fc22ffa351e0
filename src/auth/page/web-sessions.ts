/** Who is signed in on the login page. In memory: a restart asks people to sign in again, and nothing is lost. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../async/clock.js';
import { ExpiringMap } from '../expiring-map.js';
import type { RepositoryRight } from './sign-in.js';

export const SESSION_MS = 30 * 60_000;
/** Between the click that makes a password and the page that shows it. */
const SHOW_MS = 2 * 60_000;
const SESSIONS_MAX = 10_000;

export interface SignedIn {
  readonly login: string;
  readonly name: string;
  readonly giteeUserId: number;
  readonly rights: readonly RepositoryRight[];
}

/** One browser of one person. */
export interface WebSession extends SignedIn {
  /** Stands in every form; another site cannot read it. */
  readonly formToken: string;
}

export class WebSessions {
  readonly #sessions: ExpiringMap<WebSession>;
  /** Passwords that wait to be shown, by session id. */
  readonly #fresh: ExpiringMap<string>;

  constructor(clock: Clock) {
    this.#sessions = new ExpiringMap({ lifeMs: SESSION_MS, max: SESSIONS_MAX, clock });
    this.#fresh = new ExpiringMap({ lifeMs: SHOW_MS, max: SESSIONS_MAX, clock });
  }

  /** @returns the id, for a cookie. */
  begin(person: SignedIn): string {
    const id = randomBytes(32).toString('base64url');
    this.#sessions.set(id, { ...person, formToken: randomBytes(32).toString('base64url') });
    return id;
  }

  get(id: string | undefined): WebSession | undefined {
    return id === undefined ? undefined : this.#sessions.get(id);
  }

  end(id: string | undefined): void {
    if (id === undefined) return;
    this.#sessions.take(id);
    this.#fresh.take(id);
  }

  /** Every browser of this person. */
  endAll(login: string): void {
    this.#sessions.removeWhere((session) => session.login.toLowerCase() === login.toLowerCase());
  }

  /** Keeps a new password until it is shown. */
  putPassword(id: string, password: string): void {
    this.#fresh.set(id, password);
  }

  /** Once. */
  takePassword(id: string): string | undefined {
    return this.#fresh.take(id);
  }
}

/** Whether a form came from a page of this session. */
export function isFormOf(session: WebSession, formToken: unknown): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return typeof formToken === 'string' && timingSafeEqual(digest(formToken), digest(session.formToken));
}
