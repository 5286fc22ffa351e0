import type { QuarantinedChange } from '../../buckets/quarantine.js';
import {
  CONFIG_FLAG,
  textFlag,
  UsageError,
  type Command,
  type CommandContext,
  type CommandInput,
} from '../command.js';
import { EXIT } from '../exit-codes.js';
import { humanBytes, printJson, printLine } from '../output.js';
import { exportQuarantine, type ExportedChange } from '../quarantine-export.js';
import { chosenBucket, withGateway } from '../with-gateway.js';

export const quarantineCommand: Command = {
  name: 'quarantine',
  positionals: ['ACTION', '[KEY]'],
  flags: [
    CONFIG_FLAG,
    { name: 'bucket', type: 'string', value: 'NAME', about: 'this bucket (list: else all)' },
    { name: 'to', type: 'string', value: 'DIR', about: 'export: where to' },
    { name: 'confirm', type: 'string', value: 'KEY', about: 'drop: the key once more' },
  ],
  summary: 'list, retry, export or drop changes that Gitee does not take',
  details: () =>
    'ACTION is list, retry, export or drop. What is in quarantine is on this disk only. Without KEY, list, retry and\n' +
    'export are about all of it. retry lets changes wait for Gitee again, except where their key was written since.\n' +
    'export writes a file per change and index.jsonl, which tells the key of each. drop gives the change of KEY up,\n' +
    'for good: --confirm must name it once more. list: exit code 0: there are none; 1: there are some.\n',
  run: async (input, context) => {
    const [action, key] = input.positionals as [string, string | undefined];
    switch (action) {
      case 'list':
        return list(input, context, key);
      case 'retry':
        return retry(input, context, key);
      case 'export':
        return exportTo(input, context, key);
      case 'drop':
        return drop(input, context, key);
      default:
        throw new UsageError(`quarantine does list, retry, export or drop, not ${action}`);
    }
  },
};

async function list(input: CommandInput, context: CommandContext, key?: string): Promise<number> {
  const found: QuarantinedChange[] = [];
  let n = 0;
  await withGateway(input, context, async (operations, config) => {
    const choice = textFlag(input, 'bucket') === undefined ? {} : { bucket: chosenBucket(input, config) };
    for await (const change of operations.quarantined(choice)) {
      if (key !== undefined && change.key !== key) continue;
      n += 1;
      if (input.json) found.push(change);
      else printLine(context, changeLine(change));
    }
  });
  if (input.json) printJson(context, found);
  else printLine(context, n === 0 ? 'nothing is in quarantine' : `${n} changes are in quarantine`);
  return n === 0 ? EXIT.ok : EXIT.found;
}

async function retry(input: CommandInput, context: CommandContext, key?: string): Promise<number> {
  const result = await withGateway(input, context, (operations, config) =>
    operations.retryQuarantined({
      bucket: chosenBucket(input, config),
      ...(key === undefined ? {} : { key }),
    }),
  );
  if (input.json) printJson(context, result);
  else {
    for (const { key: left, why } of result.left) printLine(context, clean(`${left} stays: ${why}`));
    printLine(context, `${result.retried} changes wait for Gitee again`);
  }
  return result.left.length === 0 ? EXIT.ok : EXIT.found;
}

async function exportTo(input: CommandInput, context: CommandContext, key?: string): Promise<number> {
  const directory = textFlag(input, 'to');
  if (directory === undefined) throw new UsageError('say where to with --to DIR');
  const exported: ExportedChange[] = [];
  let [n, problems] = [0, 0];
  await withGateway(input, context, async (operations, config) => {
    const choice = { directory, ...(key === undefined ? {} : { key }) };
    for await (const change of exportQuarantine(operations, chosenBucket(input, config), choice)) {
      n += 1;
      if (change.problem !== undefined) problems += 1;
      if (input.json) exported.push(change);
      else printLine(context, clean(`${change.key}: ${change.problem ?? change.file ?? 'a deletion'}`));
    }
  });
  if (input.json) printJson(context, exported);
  else printLine(context, `${n - problems} changes exported, ${problems} not`);
  return problems === 0 ? EXIT.ok : EXIT.found;
}

async function drop(input: CommandInput, context: CommandContext, key?: string): Promise<number> {
  if (key === undefined) throw new UsageError('quarantine drop needs the key');
  if (textFlag(input, 'confirm') !== key)
    throw new UsageError(
      `this gives the change up for good, with bytes that may be nowhere else: export it first, then repeat the command with --confirm and the key`,
    );
  const { dropped: isDropped } = await withGateway(input, context, (operations, config) =>
    operations.dropQuarantined({ bucket: chosenBucket(input, config), key }),
  );
  if (input.json) printJson(context, { key, dropped: isDropped });
  else printLine(context, clean(isDropped ? `${key} is given up` : `no change of ${key} is in quarantine`));
  return isDropped ? EXIT.ok : EXIT.found;
}

function changeLine({ bucket, key, message, reason, since, sizeBytes, what }: QuarantinedChange): string {
  const size = what === 'deletion' ? 'deletion' : humanBytes(sizeBytes);
  return clean(`${since}  ${reason}  ${size}  ${bucket}/${key}: ${message}`);
}

/** A key or a message comes from outside and may hold what a terminal acts on. */
function clean(line: string): string {
  return line.replace(/\p{Cc}/gu, '?');
}
