import type { SessionView } from '../../auth/accounts/sessions.js';
import { CONFIG_FLAG, UsageError, type Command } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { columns, humanDuration, printJson, printLine } from '../output.js';
import { withGateway } from '../with-gateway.js';

export const sessionCommand: Command = {
  name: 'session',
  positionals: ['ACTION', '[ID]'],
  flags: [CONFIG_FLAG],
  summary: 'list or revoke the sessions of clients that are logged in',
  details: () =>
    'ACTION is list or revoke. revoke takes the ID of a session, or an account: then all of its sessions end.\n' +
    'Registry tokens that were given out before hold until they expire.\n' +
    'Exit code 1: there was nothing to revoke.\n',
  run: async (input, context) => {
    const [action, which] = input.positionals as [string, string | undefined];
    if (action === 'list' && which === undefined) {
      const sessions = await withGateway(input, context, (operations) => operations.sessions());
      if (input.json) printJson(context, sessions);
      else for (const line of sessionLines(sessions, Date.now())) printLine(context, line);
      return EXIT.ok;
    }
    if (action === 'list') throw new UsageError('session list takes no more words');
    if (action !== 'revoke') throw new UsageError('ACTION must be list or revoke');
    if (which === undefined) throw new UsageError('session revoke needs the ID of a session or an account');
    const ended = await withGateway(input, context, (operations) => operations.revokeSessions({ which }));
    if (input.json) printJson(context, ended);
    else printLine(context, `${ended.length} ${ended.length === 1 ? 'session' : 'sessions'} ended`);
    return ended.length > 0 ? EXIT.ok : EXIT.found;
  },
};

/** The text of `session list`; nowMs for ages. */
export function sessionLines(sessions: readonly SessionView[], nowMs: number): string[] {
  return columns([
    ['id', 'account', 'login by', 'client', 'from', 'age', 'unused for'],
    ...sessions.map((session) => [
      session.id,
      session.account,
      session.kind,
      session.client === '' ? '-' : session.client,
      session.address,
      humanDuration(nowMs - session.createdMs),
      humanDuration(nowMs - session.usedMs),
    ]),
  ]);
}
