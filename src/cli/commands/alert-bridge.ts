import { systemClock } from '../../async/clock.js';
import type { Log } from '../../async/log.js';
import { loadAlertBridgeConfig, type AlertBridgeConfig } from '../../server/config/load-alerts.js';
import type { Secret } from '../../server/config/secret.js';
import { createLog } from '../../server/logging/logger.js';
import { Redactor } from '../../server/logging/redact.js';
import { Shutdown } from '../../server/shutdown.js';
import { CONFIG_FLAG, textFlag, type Command } from '../command.js';
import { EXIT } from '../exit-codes.js';

const CONNECT_MS = 3000;
const ATTEMPT_MS = 4000;
const GRACE_MS = 5000;

export const alertBridgeCommand: Command = {
  name: 'alert-bridge',
  positionals: [],
  flags: [CONFIG_FLAG],
  summary: 'tell alerts of Alertmanager to DingTalk, Feishu, WeCom or a webhook, until SIGTERM or SIGINT',
  details: () =>
    'A process of its own, which works while the gateway is down. It needs alerts.token and, in\n' +
    'notifications.targets, one target with the event alert; of the gateway it reads nothing else.\n' +
    'Alertmanager posts to http://HOST:PORT/alerts. SIGHUP reads secrets again. See docs/monitoring.md.\n',
  run: async (input, context) => {
    const file = textFlag(input, 'config') ?? context.env.GATEWAY_CONFIG;
    const config = await loadAlertBridgeConfig(file === '' ? undefined : file, context.env);
    const redactor = new Redactor();
    for (const secret of config.secrets) redactor.register(secret.reveal());
    const log = createLog(config.log.level, redactor, context.logStream);
    for (const warning of config.warnings) log.warn('configuration', { warning });
    const shutdown = new Shutdown(process, log, {
      onReload: () => reload(config.secrets, redactor, log),
      onImpatience: () => process.exit(EXIT.failed),
    });
    try {
      await serve(config, context.version, log, shutdown);
      return EXIT.ok;
    } finally {
      shutdown.dispose();
    }
  },
};

async function serve(
  config: AlertBridgeConfig,
  version: string,
  log: Log,
  shutdown: Shutdown,
): Promise<void> {
  // Other commands need none of the HTTP libraries.
  const { createDispatcher } = await import('../../gitee/http/dispatcher.js');
  const { alertBridge } = await import('../../notifications/alert-bridge.js');
  const { WebListener } = await import('../../server/web-listener.js');
  const { alerts, targets } = config;
  const dispatcher = createDispatcher({ connectTimeoutMs: CONNECT_MS, env: process.env });
  const stop = new AbortController();
  const router = alertBridge({
    targets: targets.map(({ name, format, events, url, secret }) => ({
      ...{ name, format, events },
      url: () => url.reveal(),
      secret: () => secret?.reveal(),
    })),
    token: () => alerts.token.reveal(),
    docsUrl: alerts.docsUrl ?? '',
    sender: { dispatcher, userAgent: `gitee-s3/${version}`, timeoutMs: ATTEMPT_MS },
    ...{ clock: systemClock, log, signal: stop.signal },
  });
  const { host, port } = alerts;
  const listener = new WebListener({ host, port, routers: [router], trustedProxies: [], log });
  try {
    await listener.listen();
    log.info('alert bridge started', { address: listener.address(), targets: targets.map((t) => t.name) });
    await shutdown.requested();
    await listener.close(GRACE_MS);
  } finally {
    stop.abort(new Error('the alert bridge stops'));
    await dispatcher.close();
    log.info('alert bridge stopped');
  }
}

/** A secret whose file cannot be read stays as it is. */
async function reload(secrets: readonly Secret[], redactor: Redactor, log: Log): Promise<void> {
  for (const secret of secrets) {
    const changed = await secret.refresh().catch((error: unknown) => {
      log.warn('a secret could not be read again', { file: secret.file, error });
      return false;
    });
    if (changed) redactor.register(secret.reveal());
  }
}
