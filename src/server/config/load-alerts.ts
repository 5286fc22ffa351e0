/**
 * The part of the configuration that the alert bridge needs. It reads the same file and variables as the gateway,
 * but none of the gateway's secrets: the bridge runs beside it, and needs not be able to.
 */
import { checkTargets } from './check.js';
import type { RawConfig } from './config.js';
import { readTree } from './load.js';
import { ConfigError } from './mistakes.js';
import { group } from './option.js';
import { OPTIONS } from './options.js';
import { Resolver } from './resolve.js';
import type { Secret } from './secret.js';

const TOKEN_MIN_CHARACTERS = 8;
const FIELDS = {
  log: OPTIONS.log,
  alerts: OPTIONS.alerts,
  notifications: group('', { targets: OPTIONS.notifications.fields.targets }),
};

export interface AlertBridgeConfig {
  readonly log: RawConfig['log'];
  readonly alerts: RawConfig['alerts'] & { readonly token: Secret };
  /** Those that are told of alerts: one at least. */
  readonly targets: RawConfig['notifications']['targets'];
  readonly secrets: readonly Secret[];
  readonly warnings: readonly string[];
}

/** @throws ConfigError with every mistake in these sections. */
export async function loadAlertBridgeConfig(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<AlertBridgeConfig> {
  const { mistakes, raw, variables } = await readTree(file, env);
  const targets = (raw['notifications'] as Record<string, unknown> | undefined)?.['targets'];
  const resolver = new Resolver(variables);
  const { log, alerts, notifications } = resolver.fields(FIELDS, {
    ...{ log: raw['log'], alerts: raw['alerts'] },
    notifications: { targets },
  }) as unknown as Pick<RawConfig, 'log' | 'alerts' | 'notifications'>;
  mistakes.push(...resolver.mistakes);
  if (mistakes.length > 0) throw new ConfigError(mistakes);

  const warnings: string[] = [];
  const wrong = (name: string, message: string) => mistakes.push({ name, message });
  checkTargets(notifications.targets, wrong, warnings);
  const told = notifications.targets.filter(({ events }) => events.includes('alert'));
  if (told.length === 0) wrong('notifications.targets', 'must have one target with the event alert at least');
  const { token } = alerts;
  if (token === undefined || token.reveal().length < TOKEN_MIN_CHARACTERS)
    wrong(
      'alerts.token',
      `must be set, itself or as alerts.token_file, to ${TOKEN_MIN_CHARACTERS} characters or more`,
    );
  if (mistakes.length > 0 || token === undefined) throw new ConfigError(mistakes);
  return { log, alerts: { ...alerts, token }, targets: told, secrets: resolver.secrets, warnings };
}
