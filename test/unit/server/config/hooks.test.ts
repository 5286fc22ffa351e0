import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../../src/server/config/load.js';
import { ConfigError } from '../../../../src/server/config/mistakes.js';

const GOOD = `
state_dir: /state
gitee: { url: "https://gitee.example/", token: aabbccddeeff0011 }
access_keys: [{ access_key_id: ops, secret_access_key: 0123456789012345 }]
buckets: [{ name: files, repository: acme/files }]
`;
const TOKEN = 'notifications: { token: 0123456789, ';

async function load(yaml: string) {
  const directory = await mkdtemp(join(tmpdir(), 'config-'));
  try {
    await writeFile(join(directory, 'gateway.yaml'), GOOD + yaml);
    return await loadConfig(join(directory, 'gateway.yaml'), {});
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function mistakenNames(yaml: string): Promise<string[]> {
  const error: unknown = await load(yaml).then(
    () => undefined,
    (e: unknown) => e,
  );
  return error instanceof ConfigError ? error.mistakes.map((m) => m.name) : [];
}

test('the audit log lies in the state directory and keeps 190 days unless told otherwise', async () => {
  const { config } = await load('');
  expect(config.audit).toMatchObject({
    directory: '/state/audit',
    keepDays: 190,
    fileMaxBytes: 16 * 1024 ** 2,
  });
});

test.each(['udp://10.0.0.1:514', 'tcp://logs.example.com:601', 'udp://[::1]:514', 'unix:///dev/log'])(
  '%s is a syslog server',
  async (url) => expect((await load(`audit: { syslog: "${url}" }`)).config.audit.syslog).toBe(url),
);

test.each<[string, string, string]>([
  ['an unknown syslog', 'audit: { syslog: "https://x" }', 'audit.syslog'],
  ['a syslog without port', 'audit: { syslog: "udp://x" }', 'audit.syslog'],
  ['a short webhook secret', 'webhook: { secret: short }', 'webhook.secret'],
  ['a short token', 'notifications: { token: short }', 'notifications.token'],
  [
    'targets without a token',
    'notifications: { targets: [{ name: a, url: "https://x/", secret: 0123456789 }] }',
    'notifications.token',
  ],
  [
    'json without a secret',
    `${TOKEN}targets: [{ name: a, url: "https://x/" }] }`,
    'notifications.targets[0].secret',
  ],
  [
    'an address that is none',
    `${TOKEN}targets: [{ name: a, url: "ftp://x/", format: dingtalk }] }`,
    'notifications.targets[0].url',
  ],
  [
    'a password in an address',
    `${TOKEN}targets: [{ name: a, url: "https://u:p@x/", format: dingtalk }] }`,
    'notifications.targets[0].url',
  ],
  [
    'an event that is none',
    `${TOKEN}targets: [{ name: a, url: "https://x/", format: feishu, events: [pushed] }] }`,
    'notifications.targets[0].events',
  ],
  [
    'a secret for WeCom',
    `${TOKEN}targets: [{ name: a, url: "https://x/", format: wecom, secret: 0123456789 }] }`,
    'notifications.targets[0].secret',
  ],
  [
    'one name twice',
    `${TOKEN}targets: [{ name: a, url: "https://x/", format: wecom }, { name: a, url: "https://y/", format: wecom }] }`,
    'notifications.targets[1].name',
  ],
])('%s is a mistake', async (_what, yaml, name) => expect(await mistakenNames(yaml)).toEqual([name]));

test('the address of a target is a secret, and one in clear text over the network a warning', async () => {
  const { config, warnings } = await load(
    `${TOKEN}targets: [{ name: a, url: "http://x.example/hook", format: wecom }] }`,
  );
  expect(JSON.stringify(config.notifications)).not.toContain('x.example');
  expect(warnings.join()).toContain('notifications.targets[0].url is http');
});
