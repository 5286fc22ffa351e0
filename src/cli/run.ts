/** From the command line to an exit code. Errors are one sentence on standard error, never a stack. */
import { parseArgs } from 'node:util';
import { ConfigError } from '../server/config/mistakes.js';
import { nearestName } from '../server/config/nearest-name.js';
import { UsageError, type Command, type CommandContext, type CommandInput } from './command.js';
import { COMMANDS } from './commands.js';
import { EXIT } from './exit-codes.js';

/** @param argv what follows the program's name. */
export async function runCli(argv: readonly string[], context: CommandContext): Promise<number> {
  try {
    const [name, ...rest] = argv;
    if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
      const topic = name === 'help' ? rest[0] : undefined;
      context.stdout.write(topic === undefined ? overview(context.version) : helpOf(commandNamed(topic)));
      return name === undefined ? EXIT.usage : EXIT.ok;
    }
    const command = commandNamed(name === '--version' || name === '-v' ? 'version' : name);
    const input = parse(command, rest);
    if (input === 'help') {
      context.stdout.write(helpOf(command));
      return EXIT.ok;
    }
    return await command.run(input, context);
  } catch (error) {
    context.stderr.write(`gitee-s3: ${errorSentence(error)}\n`);
    return error instanceof UsageError || error instanceof ConfigError ? EXIT.usage : EXIT.failed;
  }
}

function commandNamed(name: string): Command {
  const command = COMMANDS.find((c) => c.name === name);
  if (command) return command;
  const near = nearestName(
    name,
    COMMANDS.map((c) => c.name),
  );
  const hint = near === undefined ? "'gitee-s3 --help' lists them" : `did you mean ${near}?`;
  throw new UsageError(`there is no command ${name}; ${hint}`);
}

function parse(command: Command, args: readonly string[]): CommandInput | 'help' {
  const options = Object.fromEntries(
    [...command.flags, { name: 'json', type: 'boolean' as const }].map((f) => [f.name, { type: f.type }]),
  );
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}; see 'gitee-s3 ${command.name} --help'`);
  }
  const { help, json, ...flags } = parsed.values as Record<string, string | boolean | undefined>;
  if (help === true) return 'help';
  const needed = command.positionals.filter((name) => !name.startsWith('[')).length;
  if (parsed.positionals.length < needed || parsed.positionals.length > command.positionals.length) {
    throw new UsageError(`write it as: ${usageLine(command)}`);
  }
  return { flags, positionals: parsed.positionals, json: json === true };
}

/** The list of commands. */
export function overview(version: string): string {
  const width = Math.max(...COMMANDS.map((c) => c.name.length));
  return [
    `gitee-s3 ${version}: an S3 gateway that keeps a Docker registry's images in a Gitee repository`,
    '',
    'Usage: gitee-s3 COMMAND [options]',
    '',
    ...COMMANDS.map((c) => `  ${c.name.padEnd(width)}  ${c.summary}`),
    '',
    "Every command takes --json and --help. Exit codes: 0 all is well, 1 something was found that isn't,",
    '2 the command line or the configuration is wrong, 3 it could not be done.',
    '',
  ].join('\n');
}

function usageLine(command: Command): string {
  return [
    'gitee-s3',
    command.name,
    ...(command.flags.length > 0 ? ['[options]'] : []),
    ...command.positionals,
  ].join(' ');
}

/** Help of one command. */
export function helpOf(command: Command): string {
  const flags = [
    ...command.flags,
    { name: 'json', type: 'boolean' as const, about: 'print one JSON document' },
    { name: 'help', type: 'boolean' as const, about: 'print this' },
  ].map((f) => [`--${f.name}${'value' in f && f.value ? ` ${f.value}` : ''}`, f.about] as const);
  const width = Math.max(...flags.map(([flag]) => flag.length));
  return [
    `Usage: ${usageLine(command)}`,
    '',
    `${command.summary[0]!.toUpperCase()}${command.summary.slice(1)}.`,
    '',
    ...flags.map(([flag, about]) => `  ${flag.padEnd(width)}  ${about}`),
    '',
    ...(command.details ? [command.details()] : []),
  ].join('\n');
}

function errorSentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.message === '' ? error.name : error.message;
  const cause = error.cause instanceof Error ? error.cause.message.split('\n')[0]! : '';
  return cause === '' || text.includes(cause) ? text : `${text} (${cause})`;
}
