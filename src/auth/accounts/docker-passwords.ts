/** Docker passwords: made by the gateway after a login on Gitee's page, with the rights of the person there. */
import { z } from 'zod';
import type { Clock } from '../../async/clock.js';
import type { KeyValueStore } from '../../index/key-value-store.js';
import type { DockerPasswords } from '../identity.js';
import { newId, newSecret } from './new-secret.js';
import { passwordHashSchema, type PasswordHasher } from './password-hasher.js';
import { Rows } from './rows.js';
import type { Sessions } from './sessions.js';

const passwordSchema = z.object({
  id: z.string(),
  login: z.string(),
  giteeUserId: z.number(),
  secret: passwordHashSchema,
  createdMs: z.number(),
});
/** A docker password that holds. */
export type DockerPassword = z.infer<typeof passwordSchema>;

export class DockerPasswordAccounts implements DockerPasswords {
  readonly #rows: Rows<DockerPassword>;

  constructor(
    store: KeyValueStore,
    private readonly hasher: PasswordHasher,
    private readonly sessions: Sessions,
    private readonly clock: Clock,
  ) {
    this.#rows = new Rows(store, 'docker-password', passwordSchema);
  }

  async issue(login: string, giteeUserId: number): Promise<string> {
    const password = newSecret('dockerPassword');
    const secret = await this.hasher.hash(password);
    const row = { id: newId(), login, giteeUserId, secret, createdMs: this.clock.nowMs() };
    await this.#rows.put(login.toLowerCase(), row);
    await this.#endSessions(login);
    return password;
  }

  async revoke(login: string): Promise<void> {
    await this.#rows.remove(login.toLowerCase());
    await this.#endSessions(login);
  }

  /** undefined: the password is not the one of this login. @throws AuthError `busy` */
  async verify(login: string, password: string): Promise<DockerPassword | undefined> {
    const row = await this.#rows.get(login.toLowerCase());
    return (await this.hasher.verify(password, row?.secret)) ? row : undefined;
  }

  /** The password that a session began with, if it still holds. */
  async current(login: string, id: string): Promise<DockerPassword | undefined> {
    const row = await this.#rows.get(login.toLowerCase());
    return row?.id === id ? row : undefined;
  }

  async #endSessions(login: string): Promise<void> {
    const account = login.toLowerCase();
    await this.sessions.endAll((s) => s.kind === 'docker-password' && s.account.toLowerCase() === account);
  }
}
