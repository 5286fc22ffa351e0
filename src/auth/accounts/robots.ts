/** Robot accounts: programs that log in with rights of their own, without an account on Gitee. */
import { z } from 'zod';
import type { Clock } from '../../async/clock.js';
import type { KeyValueStore } from '../../index/key-value-store.js';
import { ImagePattern } from '../image-pattern.js';
import { newId, newSecret } from './new-secret.js';
import { passwordHashSchema, type PasswordHasher } from './password-hasher.js';
import { Rows } from './rows.js';
import type { Sessions } from './sessions.js';

/** What the account of a robot is called, so that it is nobody's login on Gitee. */
export const ROBOT_PREFIX = 'robot$';
const ROBOT_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
const PATTERN = /^[a-z0-9*][a-z0-9._*/-]{0,254}$/;
const PATTERNS_MAX = 100;

const robotRightSchema = z.object({
  pattern: z.string().regex(PATTERN, 'must be a pattern of image names such as team/app or team/**'),
  actions: z.array(z.enum(['pull', 'push', 'delete'])).min(1),
});
export type RobotRight = z.infer<typeof robotRightSchema>;

export const newRobotSchema = z.object({
  name: z.string().regex(ROBOT_NAME, 'must be 1 to 64 of a-z, 0-9, ., _ and -, without the robot$'),
  rights: z.array(robotRightSchema).min(1, 'must not be empty').max(PATTERNS_MAX),
  /** undefined: it does not end by itself. */
  expiresMs: z.number().optional(),
});
export type NewRobot = z.infer<typeof newRobotSchema>;

const robotSchema = newRobotSchema.extend({
  id: z.string(),
  secret: passwordHashSchema,
  enabled: z.boolean(),
  createdMs: z.number(),
});
export type Robot = z.infer<typeof robotSchema>;
/** A robot, as it is shown. */
export type RobotView = Omit<Robot, 'secret' | 'id'>;

/** The robot cannot be made or is not there; the message is a sentence for the operator. */
export class RobotError extends Error {
  override readonly name = 'RobotError';
}

export class Robots {
  readonly #rows: Rows<Robot>;

  constructor(
    store: KeyValueStore,
    private readonly hasher: PasswordHasher,
    private readonly sessions: Sessions,
    private readonly clock: Clock,
  ) {
    this.#rows = new Rows(store, 'robot', robotSchema);
  }

  /** @returns its secret, which cannot be read again. @throws RobotError where the name is taken */
  async add(robot: NewRobot): Promise<{ robot: RobotView; secret: string }> {
    const secret = newSecret('robot');
    const row: Robot = {
      ...robot,
      rights: robot.rights.map((right) => ({ ...right, actions: completed(right.actions) })),
      id: newId(),
      secret: await this.hasher.hash(secret),
      enabled: true,
      createdMs: this.clock.nowMs(),
    };
    if (!(await this.#rows.add(robot.name, row)))
      throw new RobotError(`there is a robot ${robot.name} already: remove it first to give it a new secret`);
    return { robot: view(row), secret };
  }

  async list(): Promise<RobotView[]> {
    const robots: RobotView[] = [];
    for await (const { row } of this.#rows.all()) robots.push(view(row));
    return robots;
  }

  /** Ends its sessions too. @throws RobotError where there is none */
  async remove(name: string): Promise<void> {
    await this.#known(name);
    await this.#rows.remove(name);
    await this.#endSessions(name);
  }

  /** Keeps it, but lets it in no more; ends its sessions. @throws RobotError where there is none */
  async disable(name: string): Promise<void> {
    const row = await this.#known(name);
    await this.#rows.put(name, { ...row, enabled: false });
    await this.#endSessions(name);
  }

  /** @param account with `robot$` in front. @throws AuthError `busy` */
  async verify(account: string, secret: string): Promise<Robot | undefined> {
    const row = await this.#rows.get(account.slice(ROBOT_PREFIX.length).toLowerCase());
    // First the secret, then the rest: a stranger must not learn which robots there are.
    const right = await this.hasher.verify(secret, row?.secret);
    return right ? this.#usable(row) : undefined;
  }

  /** The robot that a session began with, if it may still log in. */
  async current(account: string, id: string): Promise<Robot | undefined> {
    const row = await this.#rows.get(account.slice(ROBOT_PREFIX.length).toLowerCase());
    return row?.id === id ? this.#usable(row) : undefined;
  }

  #usable(row: Robot | undefined): Robot | undefined {
    const over = row?.expiresMs !== undefined && this.clock.nowMs() >= row.expiresMs;
    return row?.enabled === true && !over ? row : undefined;
  }

  async #known(name: string): Promise<Robot> {
    const row = await this.#rows.get(name);
    if (!row) throw new RobotError(`there is no robot ${name}`);
    return row;
  }

  async #endSessions(name: string): Promise<void> {
    await this.sessions.endAll((s) => s.kind === 'robot' && s.account === ROBOT_PREFIX + name);
  }
}

/** What these rights allow on an image. */
export function robotActions(rights: readonly RobotRight[], image: string): string[] {
  const matching = rights.filter(({ pattern }) => new ImagePattern(pattern).matches(image));
  return ['pull', 'push', 'delete'].filter((action) =>
    matching.some(({ actions }) => (actions as string[]).includes(action)),
  );
}

/** Who pushes must also pull: docker asks which layers are there. So does skopeo before it deletes. */
function completed(actions: RobotRight['actions']): RobotRight['actions'] {
  return [...new Set<RobotRight['actions'][number]>(['pull', ...actions])];
}

function view(row: Robot): RobotView {
  const { secret: _secret, id: _id, ...rest } = row;
  return rest;
}
