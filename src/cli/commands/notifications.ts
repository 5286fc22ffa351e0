import type { DeadLetterChoice, NotificationOverview } from '../../notifications/notifier.js';
import { CONFIG_FLAG, textFlag, UsageError, type Command, type CommandInput } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { columns, printJson, printLine } from '../output.js';
import { withGateway } from '../with-gateway.js';

export const notificationsCommand: Command = {
  name: 'notifications',
  positionals: ['ACTION'],
  flags: [
    CONFIG_FLAG,
    { name: 'target', type: 'string', value: 'NAME', about: 'retry, drop: dead letters of this target' },
    { name: 'event', type: 'string', value: 'ID', about: 'retry, drop: dead letters about this event' },
    { name: 'all', type: 'boolean', about: 'retry, drop: all dead letters' },
  ],
  summary: 'list, retry or drop notifications that could not be delivered',
  details: () =>
    'ACTION is list, retry or drop. A notification becomes a dead letter after a day of attempts, or after\n' +
    'three where the target refuses this very message. list: exit code 0: there are none; 1: there are some.\n',
  run: async (input, context) => {
    const action = input.positionals[0];
    if (action === 'list') {
      const overview = await withGateway(input, context, (operations) => operations.notifications());
      if (input.json) printJson(context, overview);
      else for (const line of overviewLines(overview)) printLine(context, line);
      return overview.deadLetters.length === 0 ? EXIT.ok : EXIT.found;
    }
    if (action !== 'retry' && action !== 'drop')
      throw new UsageError(`notifications does list, retry or drop, not ${action}`);
    const choice = readChoice(input);
    const n = await withGateway(input, context, (operations) =>
      action === 'retry' ? operations.retryNotifications(choice) : operations.dropNotifications(choice),
    );
    if (input.json) printJson(context, { [action]: n });
    else printLine(context, `${n} ${action === 'retry' ? 'are tried again' : 'dropped'}`);
    return EXIT.ok;
  },
};

function readChoice(input: CommandInput): DeadLetterChoice {
  const target = textFlag(input, 'target');
  const event = textFlag(input, 'event');
  if (target === undefined && event === undefined && input.flags.all !== true)
    throw new UsageError('say which with --target NAME, --event ID or --all');
  return { ...(target === undefined ? {} : { target }), ...(event === undefined ? {} : { event }) };
}

function overviewLines({ targets, deadLetters }: NotificationOverview): string[] {
  const lines = columns([
    ['target', 'waiting', 'dead letters'],
    ...targets.map(({ name, queued, dead }) => [name, String(queued), String(dead)]),
  ]);
  if (deadLetters.length === 0) return lines;
  const rows = deadLetters.map(({ target, event, action, image, acceptedMs, attempts, reason }) => [
    ...[target, event, new Date(acceptedMs).toISOString(), `${action} ${image}`, String(attempts), reason],
  ]);
  // A name or a reason comes from outside and may hold what a terminal acts on.
  return [
    ...lines,
    '',
    ...columns([['target', 'event', 'accepted', 'what', 'attempts', 'why'], ...rows]),
  ].map((line) => line.replace(/\p{Cc}/gu, '?'));
}
