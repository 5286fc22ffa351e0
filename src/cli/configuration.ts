/** Reads the configuration for a command and registers its secrets for masking. */
import { loadConfig } from '../server/config/load.js';
import type { Config } from '../server/config/config.js';
import { Redactor } from '../server/logging/redact.js';
import { createLog, type LogLevel } from '../server/logging/logger.js';
import type { Log } from '../async/log.js';
import { textFlag, type CommandContext, type CommandInput } from './command.js';

export interface CommandConfiguration {
  readonly config: Config;
  readonly redactor: Redactor;
  readonly log: Log;
}

/**
 * @param level for commands that must stay quiet; undefined: as configured.
 * @throws ConfigError with every mistake.
 */
export async function readConfiguration(
  input: CommandInput,
  context: CommandContext,
  level?: LogLevel,
): Promise<CommandConfiguration> {
  const file = textFlag(input, 'config') ?? context.env.GATEWAY_CONFIG;
  const { config, warnings } = await loadConfig(file === '' ? undefined : file, context.env);
  const redactor = new Redactor();
  for (const secret of config.secrets) redactor.register(secret.reveal());
  const log = createLog(level ?? config.log.level, redactor, context.logStream);
  for (const warning of warnings) log.warn('configuration', { warning });
  return { config, redactor, log };
}
