/** The calls of an operator where no gateway runs. */
import { mkdir } from 'node:fs/promises';
import { systemClock } from '../async/clock.js';
import { noFailpoints } from '../async/failpoint.js';
import { operationsBy, type Operations } from '../server/operator-calls.js';
import { STORAGE_FORMAT } from '../server/version.js';
import type { CommandContext } from './command.js';
import type { CommandConfiguration } from './configuration.js';
import { withLocalGitee } from './local-gitee-process.js';

/** Operations on a state directory that no gateway has open: opens it for the time of one command. */
export async function withClosedGateway<T>(
  configuration: CommandConfiguration,
  context: CommandContext,
  run: (operations: Operations) => Promise<T>,
): Promise<T> {
  return withLocalGitee(configuration, async ({ config, log, redactor }) => {
    process.umask(0o077);
    await mkdir(config.stateDir, { recursive: true, mode: 0o700 });
    const broken = new AbortController();
    const { PrometheusMetrics } = await import('../server/metrics.js');
    const gateway = await context.compose(config, {
      log,
      redactor,
      metrics: new PrometheusMetrics(
        { version: context.version, format: STORAGE_FORMAT },
        { process: false },
      ),
      clock: systemClock,
      failpoints: noFailpoints,
      onFatal: (error) => broken.abort(error),
      onLeaseLost: (error) => broken.abort(error),
    });
    try {
      const target = { gateway, version: context.version, pid: undefined };
      const result = await run(
        operationsBy((call, request) => call.run(target, call.request.parse(request))),
      );
      broken.signal.throwIfAborted();
      return result;
    } finally {
      await gateway.stop(0);
    }
  });
}
