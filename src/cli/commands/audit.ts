import { systemClock } from '../../async/clock.js';
import { findEvents, type AuditFilter } from '../../audit/find.js';
import type { AuditRecord } from '../../audit/record.js';
import { verifyAudit, type AuditReport } from '../../audit/verify.js';
import { parseDuration } from '../../server/config/quantity.js';
import {
  CONFIG_FLAG,
  textFlag,
  UsageError,
  type Command,
  type CommandContext,
  type CommandInput,
} from '../command.js';
import { readConfiguration } from '../configuration.js';
import { EXIT } from '../exit-codes.js';
import { columns, printJson, printLine } from '../output.js';

export const auditCommand: Command = {
  name: 'audit',
  positionals: ['ACTION'],
  flags: [
    CONFIG_FLAG,
    {
      name: 'directory',
      type: 'string',
      value: 'DIR',
      about: 'the audit log (else that of the configuration; with it, none is needed)',
    },
    {
      name: 'head',
      type: 'string',
      value: 'SEQ:HASH',
      about: 'verify: an event that was noted elsewhere; it must be there with this hash',
    },
    {
      name: 'since',
      type: 'string',
      value: 'WHEN',
      about: 'show: from here on, a time such as 2026-11-24 or how long ago such as 24h',
    },
    { name: 'who', type: 'string', value: 'NAME', about: 'show: events of this account or key' },
    { name: 'action', type: 'string', value: 'ACTION', about: 'show: image.push, or image for all below it' },
  ],
  summary: 'check the chain of the audit log, or print its events',
  details: () =>
    'ACTION is verify or show. Reads the files, whether a gateway runs or not. verify: exit code 0: the chain holds; 1: it breaks, and\n' +
    'the first break is named by file and line. A chain cannot show that its end was cut off: note the head\n' +
    '(metric gateway_audit_events, log message "audit head", syslog) and give it with --head.\n',
  run: async (input, context) => {
    const action = input.positionals[0];
    if (action === 'verify') return verify(input, context);
    if (action === 'show') return show(input, context);
    throw new UsageError(`audit does verify or show, not ${action}`);
  },
};

async function verify(input: CommandInput, context: CommandContext): Promise<number> {
  const head = textFlag(input, 'head');
  const noted = head === undefined ? undefined : readHead(head);
  const directory = await directoryOf(input, context);
  const report = await verifyAudit(directory, {
    clock: systemClock,
    ...(noted === undefined ? {} : { expected: noted }),
  });
  if (input.json) printJson(context, { holds: report.break === undefined, directory, ...report });
  else for (const line of reportLines(report)) printLine(context, line);
  return report.break === undefined ? EXIT.ok : EXIT.found;
}

function reportLines({ break: broken, files, events, head, notes }: AuditReport): string[] {
  return [
    ...notes,
    `${events} events in ${files} files${head ? `, the last is ${head.seq}:${head.hash} of ${head.time}` : ''}`,
    broken === undefined
      ? 'the chain holds'
      : `the chain breaks at ${broken.file}${broken.line > 0 ? `, line ${broken.line}` : ''}: it ${broken.problem}`,
  ];
}

async function show(input: CommandInput, context: CommandContext): Promise<number> {
  const since = textFlag(input, 'since');
  const who = textFlag(input, 'who');
  const action = textFlag(input, 'action');
  const filter: AuditFilter = {
    ...(since === undefined ? {} : { sinceMs: readSince(since, Date.now()) }),
    ...(who === undefined ? {} : { who }),
    ...(action === undefined ? {} : { action }),
  };
  const directory = await directoryOf(input, context);
  const found: AuditRecord[] = [];
  for await (const record of findEvents(directory, filter)) {
    if (input.json) found.push(record);
    else printLine(context, eventLine(record));
  }
  if (input.json) printJson(context, found);
  return EXIT.ok;
}

function eventLine({ time, result, action, who, subject, from, detail }: AuditRecord): string {
  const details = Object.entries(detail ?? {}).map(([name, value]) => `${name}=${value}`);
  const [line] = columns([
    [time, result.padEnd(7), action.padEnd(16), who, from, subject, details.join(' ')],
  ]);
  // A name may hold control characters, which a terminal would act on.
  return line!.replace(/\p{Cc}/gu, '?');
}

async function directoryOf(input: CommandInput, context: CommandContext): Promise<string> {
  const given = textFlag(input, 'directory');
  if (given !== undefined) return given;
  return (await readConfiguration(input, context, 'error')).config.audit.directory;
}

function readHead(text: string): { seq: number; hash: string } {
  const m = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
  if (!m) throw new UsageError('write --head as SEQ:HASH, such as 4711: and 64 hexadecimal digits');
  return { seq: Number(m[1]), hash: m[2]! };
}

function readSince(text: string, nowMs: number): number {
  const agoMs = parseDuration(text);
  if (agoMs !== undefined) return nowMs - agoMs;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new UsageError('write --since as a time (2026-11-24) or a duration (24h, 7d)');
  return ms;
}
