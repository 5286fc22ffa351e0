import type { DeadLetterChoice, NotificationAdmin, NotificationOverview } from '../notifications/notifier.js';

/** Asks a running gateway; `json` is the call of the control client. */
export class ControlNotifications implements NotificationAdmin {
  constructor(private readonly json: <T>(method: string, path: string, body?: unknown) => Promise<T>) {}

  overview(): Promise<NotificationOverview> {
    return this.json('GET', '/v1/notifications');
  }

  retry(choice: DeadLetterChoice): Promise<number> {
    return this.json('POST', '/v1/notifications/retry', choice);
  }

  drop(choice: DeadLetterChoice): Promise<number> {
    return this.json('POST', '/v1/notifications/drop', choice);
  }
}
