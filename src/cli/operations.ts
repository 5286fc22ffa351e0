/** What operator commands may ask, whether a gateway runs or not. */
import { mkdir } from 'node:fs/promises';
import { systemClock } from '../async/clock.js';
import { noFailpoints } from '../async/failpoint.js';
import { requireAccounts, type AccountAdmin } from '../auth/accounts/account-admin.js';
import type { AcceptPreview } from '../journal/accept-preview.js';
import type { NotificationAdmin } from '../notifications/notifier.js';
import type { GatewayStatus } from '../server/control-server.js';
import type { FsckOptions, FsckStep, Gateway, ProbeResult } from '../server/gateway.js';
import type { QuarantineAdmin } from '../server/quarantine.js';
import { STORAGE_FORMAT } from '../server/version.js';
import type { CommandContext } from './command.js';
import type { CommandConfiguration } from './configuration.js';
import { withLocalGitee } from './local-gitee-process.js';

export interface Operations {
  status(): Promise<GatewayStatus>;
  doctor(): Promise<ProbeResult[]>;
  fsck(options: FsckOptions): AsyncIterable<FsckStep>;
  rebuild(bucket: string): Promise<{ keys: number; seconds: number; head: string | null }>;
  acceptRemote(bucket: string): Promise<{ previousHead: string | null; head: string | null }>;
  previewAccept(bucket: string): Promise<AcceptPreview>;
  quarantine(): QuarantineAdmin;
  /** @throws Error where auth is switched off, at the latest when it is asked. */
  accounts(): AccountAdmin;
  /** @throws Error where notifications are switched off, at the latest when it is asked. */
  notifications(): NotificationAdmin;
}

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
    const { Metrics } = await import('../server/metrics.js');
    const gateway = await context.compose(config, {
      log,
      redactor,
      metrics: new Metrics({ version: context.version, format: STORAGE_FORMAT }, { process: false }),
      clock: systemClock,
      failpoints: noFailpoints,
      onFatal: (error) => broken.abort(error),
      onLeaseLost: (error) => broken.abort(error),
    });
    try {
      const result = await run(offline(gateway, context.version));
      broken.signal.throwIfAborted();
      return result;
    } finally {
      await gateway.stop(0);
    }
  });
}

function offline(gateway: Gateway, version: string): Operations {
  return {
    status: async () => ({
      version,
      pid: undefined,
      ready: false,
      problems: [{ name: 'not-running', detail: 'no gateway runs on this state directory' }],
      buckets: gateway.statuses(),
      lfs: gateway.lfsSpace(),
      local: gateway.localSpace(),
    }),
    doctor: () => gateway.doctor(),
    fsck: (options) => gateway.fsck(options),
    rebuild: (bucket) => gateway.rebuild(bucket),
    acceptRemote: (bucket) => gateway.acceptRemote(bucket),
    previewAccept: (bucket) => gateway.previewAccept(bucket),
    quarantine: () => gateway.quarantine(),
    accounts: () => requireAccounts(gateway.accounts()),
    notifications: () => gateway.notifications(),
  };
}
