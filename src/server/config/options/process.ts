/** The process itself. Rows of the table of options (src/server/config/options.ts). */
import { choice, duration, group } from '../option.js';

export const PROCESS_OPTIONS = {
  log: group('Logs: one JSON object a line on standard error.', {
    level: choice(['error', 'warn', 'info', 'debug'], {
      default: 'info',
      about: 'Least severity that is written.',
    }),
  }),
  shutdown: group('Graceful stop.', {
    grace: duration({
      default: '20s',
      about:
        'On SIGTERM, how long running requests and a running commit may go on. A second signal ends at once.',
    }),
  }),
} as const;
