import {
  newRobotSchema,
  ROBOT_PREFIX,
  type NewRobot,
  type RobotRight,
  type RobotView,
} from '../../auth/accounts/robots.js';
import { parseDuration } from '../../server/config/quantity.js';
import {
  CONFIG_FLAG,
  UsageError,
  textFlag,
  type Command,
  type CommandContext,
  type CommandInput,
} from '../command.js';
import { EXIT } from '../exit-codes.js';
import { columns, printJson, printLine } from '../output.js';
import { withGateway } from '../with-gateway.js';

const ACTIONS = ['pull', 'push', 'delete'] as const;

export const robotCommand: Command = {
  name: 'robot',
  positionals: ['ACTION', '[NAME]'],
  flags: [
    CONFIG_FLAG,
    {
      name: 'pull',
      type: 'string',
      value: 'PATTERNS',
      about: 'images that it may pull, such as team/**,base/*',
    },
    { name: 'push', type: 'string', value: 'PATTERNS', about: 'images that it may push and pull' },
    { name: 'delete', type: 'string', value: 'PATTERNS', about: 'images that it may delete and pull' },
    {
      name: 'expires',
      type: 'string',
      value: 'DURATION',
      about: 'after this time it may no longer log in: 90d',
    },
  ],
  summary: 'add, list, remove or disable accounts for programs',
  details: () =>
    'ACTION is add, list, remove or disable; all but list take the NAME of the robot. It logs in as robot$NAME.\n' +
    'add prints its secret on standard output, once: it cannot be read again. remove and disable end its sessions;\n' +
    'registry tokens that were given out before hold until they expire.\n' +
    '\n' +
    "  gitee-s3 robot add ci --push 'team/**' --pull 'base/**' --expires 90d > ci-secret\n",
  run: async (input, context) => {
    const [action, name] = input.positionals as [string, string | undefined];
    switch (action) {
      case 'list':
        if (name !== undefined) throw new UsageError('robot list takes no name');
        return list(input, context);
      case 'add':
        return add(input, context, named(action, name));
      case 'remove':
      case 'disable':
        return change(input, context, action, named(action, name));
      default:
        throw new UsageError('ACTION must be add, list, remove or disable');
    }
  },
};

async function list(input: CommandInput, context: CommandContext): Promise<number> {
  const robots = await withGateway(input, context, (operations) => operations.robots());
  if (input.json) printJson(context, robots);
  else for (const line of robotLines(robots, Date.now())) printLine(context, line);
  return EXIT.ok;
}

async function add(input: CommandInput, context: CommandContext, name: string): Promise<number> {
  const robot = robotOf(input, name, Date.now());
  const added = await withGateway(input, context, (operations) => operations.addRobot(robot));
  if (input.json) printJson(context, { ...added, account: ROBOT_PREFIX + name });
  else {
    // The secret alone on standard output, so that it can go into a file.
    printLine(context, added.secret);
    context.stderr.write(`log in as ${ROBOT_PREFIX}${name} with this secret; it is shown this once\n`);
  }
  return EXIT.ok;
}

async function change(
  input: CommandInput,
  context: CommandContext,
  action: 'remove' | 'disable',
  name: string,
): Promise<number> {
  await withGateway(input, context, (operations) =>
    action === 'remove' ? operations.removeRobot({ name }) : operations.disableRobot({ name }),
  );
  const done = action === 'remove' ? 'removed' : 'disabled';
  if (input.json) printJson(context, { name, done });
  else printLine(context, `${ROBOT_PREFIX}${name}: ${done}`);
  return EXIT.ok;
}

function named(action: string, name: string | undefined): string {
  if (name === undefined) throw new UsageError(`robot ${action} needs the name of the robot`);
  return name.startsWith(ROBOT_PREFIX) ? name.slice(ROBOT_PREFIX.length) : name;
}

/** The robot that the flags describe. @throws UsageError */
export function robotOf(input: CommandInput, name: string, nowMs: number): NewRobot {
  const rights: RobotRight[] = ACTIONS.flatMap((action) =>
    (textFlag(input, action) ?? '')
      .split(',')
      .filter((pattern) => pattern !== '')
      .map((pattern) => ({ pattern, actions: [action] })),
  );
  if (rights.length === 0)
    throw new UsageError('give it something to do: --pull, --push or --delete with patterns of image names');
  const expires = textFlag(input, 'expires');
  const expiresInMs = expires === undefined ? undefined : parseDuration(expires);
  if (expires !== undefined && !expiresInMs)
    throw new UsageError('--expires must be a duration such as 12h or 90d');
  const robot = { name, rights, ...(expiresInMs === undefined ? {} : { expiresMs: nowMs + expiresInMs }) };
  const checked = newRobotSchema.safeParse(robot);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  throw new UsageError(`the ${String(issue?.path.at(-1))} ${issue?.message}`);
}

/** The text of `robot list`; nowMs to tell who has expired. */
export function robotLines(robots: readonly RobotView[], nowMs: number): string[] {
  return columns([
    ['account', 'state', 'expires', 'rights'],
    ...robots.map((robot) => [
      ROBOT_PREFIX + robot.name,
      !robot.enabled ? 'disabled' : (robot.expiresMs ?? Infinity) <= nowMs ? 'expired' : 'enabled',
      robot.expiresMs === undefined ? 'never' : new Date(robot.expiresMs).toISOString(),
      robot.rights.map(({ pattern, actions }) => `${pattern}=${actions.join('+')}`).join(' '),
    ]),
  ]);
}
