/**
 * Whatever is recorded has its name here, or does not compile: dotted and stable, biggest word first. docs/audit.md
 * says of each when it is recorded; a test compares the two.
 */
export const AUDIT_ACTIONS = [
  'gateway.start',
  'gateway.stop',
  'gateway.reload',
  'bucket.rebuild',
  'bucket.accept-remote',
  'bucket.repair',
  'quarantine.retry',
  'quarantine.drop',
  'notification.retry',
  'notification.drop',
  'robot.add',
  'robot.remove',
  'robot.disable',
  'session.revoke',
  'object.put',
  'object.copy',
  'object.delete',
  'object.tag',
  'bucket.create',
  'bucket.delete',
  's3.refuse',
  'image.push',
  'image.pull',
  'image.delete',
  'layer.push',
  'layer.pull',
  'layer.delete',
  'login',
  'login.lockout',
  'token.grant',
  'oauth.start',
  'oauth.login',
  'oauth.password',
  'oauth.revoke',
  'oauth.logout',
  'oauth.form',
  'oauth.grant.end',
  'webhook.push',
  'webhook.refuse',
  'notification.refuse',
  'audit.recover',
  'audit.retire',
  'audit.drop',
] as const;

export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/**
 * Where components report what an auditor asks for: who did what, when, from where, with which result. Kept by
 * src/audit as an append-only chain of hashes; this is only what the others know of it.
 */
export interface AuditEvent {
  /** Account, access key, robot or program; `anonymous` where nobody said who they are. Never a secret. */
  readonly who: string;
  readonly action: AuditAction;
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

/** Runs what an operator asked for on the control socket, by a signal or offline, and records how it went. */
export async function byOperator<T>(
  audit: Audit,
  action: AuditAction,
  subject: string,
  run: () => Promise<T>,
): Promise<T> {
  const event = { who: 'operator', action, subject, from: 'local' };
  try {
    const result = await run();
    await audit.record({ ...event, result: 'ok' });
    return result;
  } catch (error) {
    const { name } = error instanceof Error ? error : { name: 'Error' };
    await audit.record({ ...event, result: 'failed', detail: { error: name } });
    throw error;
  }
}
