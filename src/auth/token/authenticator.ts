/** Finds out who asks: by a Gitee token, a docker password, the secret of a robot, or a session. */
import type { Metrics } from '../../async/metrics.js';
import type { DockerPassword, DockerPasswordAccounts } from '../accounts/docker-passwords.js';
import { AuthError } from '../errors.js';
import type { GiteeCredential, GiteeVerdicts } from '../gitee/gitee-verdicts.js';
import type { OAuthGrants } from '../identity.js';
import { SECRET_PREFIXES } from '../accounts/new-secret.js';
import { ROBOT_PREFIX, type Robot, type RobotRight, type Robots } from '../accounts/robots.js';
import type { LiveSession, NewSession, Sessions } from '../accounts/sessions.js';

/** Who asks, as what. */
export type Subject =
  | { readonly kind: 'anonymous'; readonly account: '' }
  | {
      readonly kind: 'gitee';
      readonly account: string;
      readonly credential: GiteeCredential;
      readonly token: string;
    }
  | {
      readonly kind: 'docker-password';
      readonly account: string;
      readonly credential: GiteeCredential;
      readonly passwordId: string;
    }
  | {
      readonly kind: 'robot';
      readonly account: string;
      readonly robotId: string;
      readonly rights: readonly RobotRight[];
    };

export interface AuthenticatorDeps {
  readonly verdicts: GiteeVerdicts;
  readonly grants: OAuthGrants;
  readonly passwords: DockerPasswordAccounts;
  readonly robots: Robots;
  readonly sessions: Sessions;
  readonly metrics: Metrics;
}

/** A password longer than this is none; hashing it would be work for nothing. */
const PASSWORD_CHARACTERS_MAX = 1024;

export class Authenticator {
  constructor(private readonly deps: AuthenticatorDeps) {}

  /** @throws AuthError `refused`, `unavailable` or `busy` */
  async byPassword(user: string, password: string): Promise<Subject> {
    const subject = await this.#byPassword(user, password);
    if (!subject) throw new AuthError('refused', 'the user name or the password is wrong');
    return subject;
  }

  /**
   * A session whose Gitee token, docker password or robot does not hold any more ends here.
   * @throws AuthError `session-ended` or `unavailable`
   */
  async bySession(refreshToken: string): Promise<{ subject: Subject; session: LiveSession }> {
    const session = await this.deps.sessions.resume(refreshToken);
    const subject = session && (await this.#bySession(session));
    if (session && subject) return { subject, session };
    if (session) await this.deps.sessions.end(refreshToken);
    throw new AuthError('session-ended', 'the session has ended');
  }

  /** What a session of this subject must keep. */
  sessionOf(subject: Exclude<Subject, { kind: 'anonymous' }>): Omit<NewSession, 'client' | 'address'> {
    const { kind, account } = subject;
    if (kind === 'gitee') return { kind, account, credentialId: '', token: subject.token };
    const credentialId = kind === 'robot' ? subject.robotId : subject.passwordId;
    return { kind, account, credentialId, token: undefined };
  }

  async #byPassword(user: string, password: string): Promise<Subject | undefined> {
    if (user === '' || password === '' || password.length > PASSWORD_CHARACTERS_MAX) return undefined;
    if (user.startsWith(ROBOT_PREFIX)) {
      this.#countLocal();
      const robot = await this.deps.robots.verify(user, password);
      return robot && robotSubject(robot);
    }
    if (password.startsWith(SECRET_PREFIXES.dockerPassword)) {
      this.#countLocal();
      const found = await this.deps.passwords.verify(user, password);
      return found && this.#dockerPasswordSubject(found);
    }
    // A secret of ours in the wrong place is not Gitee's business.
    if (Object.values(SECRET_PREFIXES).some((prefix) => password.startsWith(prefix))) return undefined;
    return this.#tokenSubject(user, password);
  }

  async #bySession(session: LiveSession): Promise<Subject | undefined> {
    const { account, credentialId, kind, token } = session;
    if (kind === 'gitee') return token === undefined ? undefined : this.#tokenSubject(account, token);
    this.#countLocal();
    if (kind === 'robot') {
      const robot = await this.deps.robots.current(account, credentialId);
      return robot && robotSubject(robot);
    }
    const password = await this.deps.passwords.current(account, credentialId);
    return password && this.#dockerPasswordSubject(password);
  }

  async #tokenSubject(user: string, token: string): Promise<Subject | undefined> {
    const credential = this.deps.verdicts.credential(token);
    const owner = await this.deps.verdicts.user(credential);
    if (owner === 'refused' || owner.login.toLowerCase() !== user.toLowerCase()) return undefined;
    return { kind: 'gitee', account: owner.login, credential, token };
  }

  /** Names on Gitee can be given away: the account must still be the one that the password was made for. */
  async #dockerPasswordSubject(password: DockerPassword): Promise<Subject | undefined> {
    const { id, login, giteeUserId } = password;
    const credential: GiteeCredential = {
      fingerprint: this.deps.verdicts.fingerprint(`docker password ${id}`),
      token: (signal) => this.deps.grants.accessToken(login, signal),
    };
    const owner = await this.deps.verdicts.user(credential);
    if (owner === 'refused' || owner.id !== giteeUserId) return undefined;
    return { kind: 'docker-password', account: owner.login, credential, passwordId: id };
  }

  #countLocal(): void {
    this.deps.metrics.count('gateway_token_verdicts_total', { source: 'local' });
  }
}

function robotSubject(robot: Robot): Subject {
  return {
    kind: 'robot',
    account: ROBOT_PREFIX + robot.name,
    robotId: robot.id,
    rights: robot.rights,
  };
}
