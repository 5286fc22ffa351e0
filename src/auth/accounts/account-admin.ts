/** What an operator may do to robots and sessions; each change is recorded. */
import type { Audit, AuditAction } from '../../async/audit.js';
import type { NewRobot, Robots, RobotView } from './robots.js';
import type { Sessions, SessionView } from './sessions.js';

export interface AccountAdmin {
  /** The secret cannot be read again. @throws RobotError where the name is taken */
  addRobot(robot: NewRobot): Promise<{ robot: RobotView; secret: string }>;
  robots(): Promise<RobotView[]>;
  /** @throws RobotError where there is none */
  removeRobot(name: string): Promise<void>;
  /** @throws RobotError where there is none */
  disableRobot(name: string): Promise<void>;
  sessions(): Promise<SessionView[]>;
  /** @param which id of a session, or an account for all that it has. @returns those that ended. */
  revokeSessions(which: string): Promise<SessionView[]>;
}

/** @throws Error that says which option is off */
export function requireAccounts(admin: AccountAdmin | undefined): AccountAdmin {
  if (!admin) throw new Error('there are no robots and sessions: auth.enabled is false in the configuration');
  return admin;
}

/** Through the control socket, whose rights are the login: so changes are `operator`'s, from `local`. */
export class RecordedAccountAdmin implements AccountAdmin {
  constructor(
    private readonly parts: { readonly robots: Robots; readonly sessions: Sessions; readonly audit: Audit },
  ) {}

  addRobot(robot: NewRobot): Promise<{ robot: RobotView; secret: string }> {
    const rights = robot.rights.map(({ pattern, actions }) => `${pattern}=${actions.join('+')}`).join(' ');
    return this.#recorded('robot.add', robot.name, () => this.parts.robots.add(robot), {
      rights: rights.slice(0, 500),
    });
  }

  robots(): Promise<RobotView[]> {
    return this.parts.robots.list();
  }

  removeRobot(name: string): Promise<void> {
    return this.#recorded('robot.remove', name, () => this.parts.robots.remove(name));
  }

  disableRobot(name: string): Promise<void> {
    return this.#recorded('robot.disable', name, () => this.parts.robots.disable(name));
  }

  sessions(): Promise<SessionView[]> {
    return this.parts.sessions.list();
  }

  async revokeSessions(which: string): Promise<SessionView[]> {
    const account = which.toLowerCase();
    const ended = await this.parts.sessions.endAll(
      (session) => session.id === which || session.account.toLowerCase() === account,
    );
    await Promise.all(
      ended.map(({ id, account: of }) => this.#record('session.revoke', of, 'ok', { session: id })),
    );
    return ended;
  }

  async #recorded<T>(
    action: AuditAction,
    subject: string,
    change: () => Promise<T>,
    detail?: Record<string, string>,
  ): Promise<T> {
    try {
      const value = await change();
      await this.#record(action, subject, 'ok', detail);
      return value;
    } catch (error) {
      await this.#record(action, subject, 'failed', detail);
      throw error;
    }
  }

  #record(
    action: AuditAction,
    subject: string,
    result: 'ok' | 'failed',
    detail?: Record<string, string>,
  ): Promise<void> {
    const event = { who: 'operator', action, subject, from: 'local', result };
    return this.parts.audit.record(detail === undefined ? event : { ...event, detail });
  }
}
