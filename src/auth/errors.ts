/** Why the token service gives no token; src/auth/token/refusal.ts says it to clients. */
export type AuthCode =
  /** The name or the password does not hold. */
  | 'refused'
  /** The refresh token belongs to no session, or what the session began with does not hold any more. */
  | 'session-ended'
  /** Nobody said who they are, and nothing asked for is open to everybody. */
  | 'login-needed'
  /** Too many failed logins. */
  | 'locked'
  /** Gitee cannot be asked, and no answer of it that is fresh enough is remembered. */
  | 'unavailable'
  /** More logins at once than this machine can check. */
  | 'busy'
  /** The request is not one of the token protocol; the message says how. */
  | 'bad-request';

export class AuthError extends Error {
  override readonly name = 'AuthError';

  constructor(
    readonly code: AuthCode,
    message: string,
    /** After which time it is worth to ask again, for `locked`, `unavailable` and `busy`. */
    readonly retryAfterMs?: number,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
