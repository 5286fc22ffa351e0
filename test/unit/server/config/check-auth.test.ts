import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../../src/server/config/load.js';
import { ConfigError } from '../../../../src/server/config/mistakes.js';
import { makeAuthFiles } from '../../../support/auth-files.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'check-auth-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function mistakesOf(
  auth: Record<string, unknown>,
  preset = 'registry',
): Promise<Record<string, string>> {
  const file = join(directory, 'gateway.yaml');
  const config = {
    gitee: { url: 'https://gitee.example', token: 'aabbccddeeff0011' },
    access_keys: [{ access_key_id: 'ops', secret_access_key: '0123456789012345' }],
    buckets: [{ name: 'registry', repository: 'acme/images', preset }],
    auth,
  };
  await writeFile(file, JSON.stringify(config));
  try {
    await loadConfig(file, {});
    return {};
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return Object.fromEntries(error.mistakes.map((m) => [m.name, m.message]));
  }
}

const right = async () => (await makeAuthFiles(directory)).config['auth'] as Record<string, unknown>;

test('a right configuration has no mistake, and one that is switched off is not looked at', async () => {
  expect(await mistakesOf(await right())).toEqual({});
  expect(await mistakesOf({ enabled: false, key_file: join(directory, 'none') })).toEqual({});
});

test('everything that is missing is named at once', async () => {
  expect(Object.keys(await mistakesOf({ enabled: true }, 'generic')).sort()).toEqual([
    'auth.certificate_file',
    'auth.enabled',
    'auth.encryption_key',
    'auth.key_file',
  ]);
});

test('values that contradict each other are named, and a wrong key is not shown', async () => {
  const { encryption_key_file: _, ...rest } = await right();
  const mistakes = await mistakesOf({
    ...rest,
    encryption_key: 'not-a-key-of-32-bytes',
    verdict_ttl: '10s',
    verdict_stale: '5s',
    token_ttl_pull: '60m',
    token_ttl_push: '10m',
    images: [
      { pattern: 'a/**', repository: 'acme/a' },
      { pattern: 'a/**', repository: 'acme/b' },
    ],
  });
  expect(Object.keys(mistakes).sort()).toEqual([
    'auth.encryption_key',
    'auth.images[1].pattern',
    'auth.token_ttl_push',
    'auth.verdict_stale',
    'auth.verdict_ttl',
  ]);
  expect(JSON.stringify(mistakes)).not.toContain('not-a-key');
});

test('a file that is not there and a certificate that is none are named', async () => {
  const auth = await right();
  expect(await mistakesOf({ ...auth, key_file: join(directory, 'none') })).toEqual({
    'auth.key_file': expect.stringMatching(/^cannot be read: ENOENT/) as string,
  });
  expect(await mistakesOf({ ...auth, certificate_file: auth['key_file'] })).toEqual({
    'auth.certificate_file': 'must be a PEM file with a certificate',
  });
});
