import { noFailpoints, parseFailpoints } from '../../async/failpoint.js';
import { optionsHelp } from '../../server/config/document.js';
import { Watchdog } from '../../server/watchdog.js';
import { CONFIG_FLAG, UsageError, type Command } from '../command.js';
import { readConfiguration } from '../configuration.js';
import { withLocalGitee } from '../local-gitee-process.js';

export const serveCommand: Command = {
  name: 'serve',
  positionals: [],
  flags: [CONFIG_FLAG],
  summary: 'run the gateway until SIGTERM or SIGINT; SIGHUP reads secrets again',
  details: optionsHelp,
  run: async (input, context) => {
    const configuration = await readConfiguration(input, context);
    const failpoints = failpointsOf(context.env.GATEWAY_FAILPOINTS);
    const watchdog = Watchdog.start();
    // Loaded for this command alone, as its modules are in main.ts.
    const { serve } = await import('../../server/main.js');
    return withLocalGitee(configuration, ({ config, log, redactor }) =>
      serve({
        config,
        compose: context.compose,
        log,
        redactor,
        failpoints,
        version: context.version,
        watchdog,
        signals: process,
        exit: (code) => process.exit(code),
      }),
    );
  },
};

function failpointsOf(spec: string | undefined) {
  if (spec === undefined || spec === '') return noFailpoints;
  try {
    return parseFailpoints(spec);
  } catch (error) {
    throw new UsageError(`GATEWAY_FAILPOINTS: ${(error as Error).message}.`);
  }
}
