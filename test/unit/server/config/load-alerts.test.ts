import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../../src/server/config/load.js';
import { loadAlertBridgeConfig } from '../../../../src/server/config/load-alerts.js';
import { ConfigError } from '../../../../src/server/config/mistakes.js';

const ENV = {
  GATEWAY_ALERTS_TOKEN: '0123456789',
  GATEWAY_NOTIFICATIONS_TARGETS_0_NAME: 'room',
  GATEWAY_NOTIFICATIONS_TARGETS_0_URL: 'https://oapi.dingtalk.com/robot/send?access_token=x',
  GATEWAY_NOTIFICATIONS_TARGETS_0_FORMAT: 'dingtalk',
  GATEWAY_NOTIFICATIONS_TARGETS_0_EVENTS: '[push, alert]',
};

async function mistakes(env: Record<string, string>): Promise<string[]> {
  const error: unknown = await loadAlertBridgeConfig(undefined, env).then(
    () => undefined,
    (e: unknown) => e,
  );
  return error instanceof ConfigError ? error.mistakes.map((m) => m.name) : [];
}

test('the bridge needs its token and one target, and nothing of the gateway', async () => {
  const config = await loadAlertBridgeConfig(undefined, ENV);
  expect(config.targets.map((target) => target.name)).toEqual(['room']);
  expect(config.alerts).toMatchObject({ host: '127.0.0.1', port: 9465 });
  expect(config.secrets.map((secret) => secret.reveal())).toContain('0123456789');
});

test('secrets of the gateway are not even read', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'config-'));
  try {
    const file = join(directory, 'gateway.yaml');
    await writeFile(file, 'gitee: { token_file: /nowhere/a }\nnotifications: { token_file: /nowhere/b }\n');
    const { secrets } = await loadAlertBridgeConfig(file, ENV);
    expect(secrets).toHaveLength(2);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('targets that are not told of alerts are left out', async () => {
  const more = {
    GATEWAY_NOTIFICATIONS_TARGETS_1_NAME: 'ci',
    GATEWAY_NOTIFICATIONS_TARGETS_1_URL: 'https://ci.example.com/',
    GATEWAY_NOTIFICATIONS_TARGETS_1_SECRET: '0123456789',
  };
  const { targets } = await loadAlertBridgeConfig(undefined, { ...ENV, ...more });
  expect(targets.map((target) => target.name)).toEqual(['room']);
});

test('what is missing or wrong is named', async () => {
  const { GATEWAY_ALERTS_TOKEN: _, ...noToken } = ENV;
  expect(await mistakes(noToken)).toEqual(['alerts.token']);
  expect(await mistakes({ ...ENV, GATEWAY_ALERTS_TOKEN: 'short' })).toEqual(['alerts.token']);
  expect(await mistakes({ ...ENV, GATEWAY_NOTIFICATIONS_TARGETS_0_EVENTS: '[push]' })).toEqual([
    'notifications.targets',
  ]);
  expect(await mistakes({ ...ENV, GATEWAY_NOTIFICATIONS_TARGETS_0_URL: 'ftp://x' })).toEqual([
    'notifications.targets[0].url',
  ]);
  expect(await mistakes({ ...ENV, GATEWAY_ALERTS_DOCS_URL: 'x' })).toEqual([
    'alerts.docs_url (GATEWAY_ALERTS_DOCS_URL)',
  ]);
});

test('a gateway whose targets are told of alerts alone needs no notifications from the registry', async () => {
  const gateway = {
    GATEWAY_ACCESS_KEYS_0_ACCESS_KEY_ID: 'ops',
    GATEWAY_ACCESS_KEYS_0_SECRET_ACCESS_KEY: '0123456789012345',
    GATEWAY_BUCKETS_0_NAME: 'files',
    GATEWAY_BUCKETS_0_REPOSITORY: 'acme/files',
    GATEWAY_STATE_DIR: '/state',
  };
  const alone = { ...gateway, ...ENV, GATEWAY_NOTIFICATIONS_TARGETS_0_EVENTS: '[alert]' };
  expect((await loadConfig(undefined, alone)).config.notifications.targets).toHaveLength(1);
  await expect(loadConfig(undefined, { ...gateway, ...ENV })).rejects.toThrow('notifications.token');
});
