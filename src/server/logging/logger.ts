/** The log of the process: one JSON object a line, every text in it masked. */
import { createLogger, format, transports } from 'winston';
import type { Log } from '../../async/log.js';
import type { Redactor } from './redact.js';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** As winston counts: a log of one level has all that are no higher. */
const LEVELS: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

/**
 * @param stream where lines go; standard error for the gateway, so that a command's own output stays clean.
 */
export function createLog(level: LogLevel, redactor: Redactor, stream: NodeJS.WritableStream): Log {
  const line = format.printf(({ level: severity, message, fields }) =>
    JSON.stringify({
      time: new Date().toISOString(),
      level: severity,
      message: redactor.mask(String(message)),
      ...(redactor.maskDeep(fields) as Record<string, unknown>),
    }),
  );
  const logger = createLogger({
    level,
    levels: { ...LEVELS },
    format: line,
    transports: [new transports.Stream({ stream })],
    exitOnError: false,
  });
  const write = (severity: LogLevel, base: Record<string, unknown>) => {
    // winston makes the whole line, every text in it masked, before it asks whether the line is wanted.
    if (LEVELS[severity] > LEVELS[level]) return () => {};
    return (message: string, fields: Record<string, unknown> = {}) => {
      logger.log({ level: severity, message, fields: { ...base, ...fields } });
    };
  };
  const logWith = (base: Record<string, unknown>): Log => ({
    debug: write('debug', base),
    info: write('info', base),
    warn: write('warn', base),
    error: write('error', base),
    child: (fields) => logWith({ ...base, ...fields }),
  });
  return logWith({});
}
