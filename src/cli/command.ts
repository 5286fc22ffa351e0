/** What a command of `gitee-s3` is. Each stands in a file of its own under commands/. */
import type { Compose } from '../server/gateway.js';

/** One flag of a command. */
export interface Flag {
  readonly name: string;
  readonly type: 'string' | 'boolean';
  /** How the value is called in the usage line. */
  readonly value?: string;
  readonly about: string;
}

export interface CommandContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  /** Standard error as a stream, for logs. */
  readonly logStream: NodeJS.WritableStream;
  readonly compose: Compose;
  readonly version: string;
}

export interface CommandInput {
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
  /** Output as JSON. */
  readonly json: boolean;
}

export interface Command {
  readonly name: string;
  /** Names of the positional arguments, as in the usage line; those in `[]`, at the end, may be left out. */
  readonly positionals: readonly string[];
  readonly flags: readonly Flag[];
  /** One sentence without a full stop, for the list of commands. */
  readonly summary: string;
  /** More sentences for `gitee-s3 COMMAND --help`. */
  readonly details?: () => string;
  /** Resolves with an exit code; rejects with UsageError, ConfigError or what went wrong. */
  run(input: CommandInput, context: CommandContext): Promise<number>;
}

/** The command line is wrong. The message is a sentence that says what fits. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The flag that every command with a gateway takes. */
export const CONFIG_FLAG: Flag = {
  name: 'config',
  type: 'string',
  value: 'FILE',
  about: 'YAML configuration file (else GATEWAY_CONFIG; else environment variables alone)',
};

/** A string flag, or undefined. */
export function textFlag(input: CommandInput, name: string): string | undefined {
  const value = input.flags[name];
  return typeof value === 'string' ? value : undefined;
}
