/**
 * Where components report what an auditor asks for: who did what, when, from where, with which result. Kept by
 * src/audit as an append-only chain of hashes; this is only what the others know of it.
 */
export interface AuditEvent {
  /** Account, access key, robot or program; `anonymous` where nobody said who they are. Never a secret. */
  readonly who: string;
  /** Dotted and stable, biggest word first: `login`, `token.grant`, `oauth.login`, `image.push`, `bucket.create`, … */
  readonly action: string;
  /** What it was done to: an image, a bucket, a setting; '' where there is nothing. */
  readonly subject: string;
  /** IP address, or `local` for the control socket. */
  readonly from: string;
  /** `refused`: not allowed; `failed`: allowed, but something broke. */
  readonly result: 'ok' | 'refused' | 'failed';
  readonly requestId?: string;
  /** Few and short; never a secret. */
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
}

export interface Audit {
  /**
   * Resolves when the line is written. Never rejects: a log that cannot be written is a metric and an alarm, and
   * must not keep a company from its images.
   */
  record(event: AuditEvent): Promise<void>;
}
