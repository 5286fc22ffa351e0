import { join } from 'node:path';
import type { RequestHandler } from 'express';
import { byOperator } from '../async/audit.js';
import { createDispatcher } from '../gitee/http/dispatcher.js';
import { openStore, type StoreOptions } from '../index/open-store.js';
import { NotificationStore } from '../notifications/notification-store.js';
import { Notifier, type NotificationAdmin } from '../notifications/notifier.js';
import { notificationReceiver } from '../notifications/receiver.js';
import type { AuditParts } from './audit-parts.js';
import type { Config } from './config/config.js';
import type { GatewayParts } from './gateway.js';
import { VERSION } from './version.js';
import { webhookRouter, type HookedBucket } from './webhook-router.js';

const CONNECT_MS = 5000;
const DELIVERY_MS = 10_000;

/** Hooks from Gitee and notifications from the registry, as far as they are switched on. */
export class HookParts {
  private constructor(
    private readonly config: Config,
    private readonly parts: GatewayParts,
    private readonly audit: AuditParts,
    private readonly notifier: Notifier | undefined,
    private readonly opened: readonly (() => Promise<void>)[],
  ) {}

  /** Opens the store of notifications, where they are switched on; delivers nothing before start(). */
  static async open(
    config: Config,
    parts: GatewayParts,
    audit: AuditParts,
    stores: StoreOptions,
  ): Promise<HookParts> {
    const { token, targets, blobs } = config.notifications;
    if (token === undefined) return new HookParts(config, parts, audit, undefined, []);
    const { clock, log, metrics } = parts;
    const store = openStore(join(config.stateDir, 'notifications'), stores);
    const dispatcher = createDispatcher({ connectTimeoutMs: CONNECT_MS, env: process.env });
    const opened = [() => store.close(), () => dispatcher.close()];
    const notifier = new Notifier({
      store: await NotificationStore.open(store),
      targets: targets.map(({ name, format, events, url, secret }) => ({
        ...{ name, format, events },
        url: () => url.reveal(),
        secret: () => secret?.reveal(),
      })),
      takesLayers: blobs,
      audit: audit.log,
      sender: { dispatcher, userAgent: `gitee-s3/${VERSION}`, timeoutMs: DELIVERY_MS },
      ...{ clock, log, metrics },
    });
    return new HookParts(config, parts, audit, notifier, opened);
  }

  routers(buckets: readonly HookedBucket[]): RequestHandler[] {
    const { clock, log, metrics } = this.parts;
    const { log: audit, guarded } = this.audit;
    const { secret } = this.config.webhook;
    const { token } = this.config.notifications;
    const routers: RequestHandler[] = [];
    if (secret)
      routers.push(
        webhookRouter({ buckets, secret: () => secret.reveal(), audit, guarded, clock, log, metrics }),
      );
    if (token && this.notifier)
      routers.push(
        notificationReceiver({ notifier: this.notifier, token: () => token.reveal(), guarded, log }),
      );
    return routers;
  }

  /** @throws Error where notifications are switched off. */
  admin(): NotificationAdmin {
    const { notifier, audit } = this;
    if (!notifier) throw new Error('notifications are switched off: notifications.token is not set');
    const subjectOf = ({ target, event }: { target?: string; event?: string }) => event ?? target ?? '';
    return {
      overview: () => notifier.overview(),
      retry: (choice) =>
        byOperator(audit.log, 'notification.retry', subjectOf(choice), () => notifier.retry(choice)),
      drop: (choice) =>
        byOperator(audit.log, 'notification.drop', subjectOf(choice), () => notifier.drop(choice)),
    };
  }

  async start(): Promise<void> {
    await this.notifier?.start();
  }

  async close(): Promise<void> {
    await this.notifier?.stop();
    for (const close of [...this.opened].reverse()) await close();
  }
}
