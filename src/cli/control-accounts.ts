import type { AccountAdmin } from '../auth/accounts/account-admin.js';
import type { NewRobot, RobotView } from '../auth/accounts/robots.js';
import type { SessionView } from '../auth/accounts/sessions.js';

/** Robots and sessions of a gateway that runs, through its control socket. */
export class ControlAccounts implements AccountAdmin {
  constructor(private readonly call: <T>(method: string, path: string, body?: unknown) => Promise<T>) {}

  addRobot(robot: NewRobot): Promise<{ robot: RobotView; secret: string }> {
    return this.call('POST', '/v1/robots/add', robot);
  }

  robots(): Promise<RobotView[]> {
    return this.call('GET', '/v1/robots');
  }

  async removeRobot(name: string): Promise<void> {
    await this.call('POST', '/v1/robots/remove', { name });
  }

  async disableRobot(name: string): Promise<void> {
    await this.call('POST', '/v1/robots/disable', { name });
  }

  sessions(): Promise<SessionView[]> {
    return this.call('GET', '/v1/sessions');
  }

  revokeSessions(which: string): Promise<SessionView[]> {
    return this.call('POST', '/v1/sessions/revoke', { which });
  }
}
