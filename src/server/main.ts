/** Runs one gateway from its configuration to its end. */
import type { EventEmitter } from 'node:events';
import { makeDurableDirectory } from '../disk/durable.js';
import { systemClock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import type { Log } from '../async/log.js';
import type { Config } from './config/config.js';
import { ControlServer } from './control-server.js';
import { controlSocketPath } from './control-socket.js';
import type { Compose, Gateway } from './gateway.js';
import type { Redactor } from './logging/redact.js';
import { PrometheusMetrics } from './metrics.js';
import { Shutdown } from './shutdown.js';
import { STORAGE_FORMAT } from './version.js';
import type { Watchdog } from './watchdog.js';

/** Where a restart recovers, running requests are not worth a long wait. */
const FATAL_GRACE_MS = 5_000;
/**
 * Who has lost the state to another process answers what is under way, with 503, and ends: a graceful stop would close
 * what is the other's by now (the control socket), and write to it.
 */
const LEASE_LOST_GRACE_MS = 500;
/** What a stop takes beside its grace time: the state is closed. */
const CLOSE_MS = 20_000;

export interface ServeParts {
  readonly config: Config;
  readonly compose: Compose;
  readonly log: Log;
  readonly redactor: Redactor;
  readonly failpoints: Failpoints;
  readonly version: string;
  /** Where signals come from: the process. */
  readonly signals: EventEmitter;
  /** Ends the process at once; the second stop signal calls it. */
  readonly exit: (code: number) => void;
  /** Ends what does not end. */
  readonly watchdog?: Pick<Watchdog, 'endWithin'>;
  /** Called when the gateway listens. */
  readonly onStarted?: (gateway: Gateway) => void;
}

/**
 * Serves until a signal or a broken invariant.
 * @returns the exit code: 0 after a signal, 3 after a broken invariant (a supervisor starts it again).
 */
export async function serve(parts: ServeParts): Promise<number> {
  const { config, log } = parts;
  // State holds what others must not read: journal, chunks, the control socket.
  process.umask(0o077);
  await makeDurableDirectory(config.stateDir);

  let gateway: Gateway | undefined;
  const shutdown = new Shutdown(parts.signals, log, {
    onReload: async () => gateway?.reload(),
    onImpatience: () => {
      log.warn('second stop signal: ending at once');
      parts.exit(3);
    },
  });
  try {
    gateway = await parts.compose(config, {
      log,
      metrics: new PrometheusMetrics({ version: parts.version, format: STORAGE_FORMAT }),
      redactor: parts.redactor,
      clock: systemClock,
      failpoints: parts.failpoints,
      onFatal: (error) => shutdown.fatal(error),
      onLeaseLost: (error) => {
        log.error('another process has taken over the state directory: nothing more is written, ending', {
          error,
        });
        parts.watchdog?.endWithin(CLOSE_MS);
        setTimeout(() => parts.exit(3), LEASE_LOST_GRACE_MS);
      },
    });
    return await runUntilStopped(gateway, shutdown, parts);
  } finally {
    shutdown.dispose();
  }
}

async function runUntilStopped(gateway: Gateway, shutdown: Shutdown, parts: ServeParts): Promise<number> {
  const { config, log } = parts;
  let graceMs = config.shutdown.graceMs;
  const control = new ControlServer(gateway, await controlSocketPath(config.stateDir), parts.version, log);
  try {
    await control.listen();
    await gateway.start();
    log.info('gateway started', {
      version: parts.version,
      s3: gateway.s3Address(),
      metrics: gateway.metricsAddress(),
      web: gateway.webAddress(),
      gitee: config.gitee.url,
      buckets: config.buckets.map((b) => b.name),
    });
    parts.onStarted?.(gateway);
    const reason = await shutdown.requested();
    if ('fatal' in reason) {
      graceMs = Math.min(graceMs, FATAL_GRACE_MS);
      log.error(
        'what is kept here is not as it must be, or could not be written: stopping, a restart recovers',
        {
          error: reason.fatal,
        },
      );
    } else log.info('stopping', { signal: reason.signal, graceMs });
    return 'fatal' in reason ? 3 : 0;
  } finally {
    parts.watchdog?.endWithin(graceMs + CLOSE_MS);
    await control.close();
    await gateway.stop(graceMs);
    log.info('gateway stopped');
  }
}
