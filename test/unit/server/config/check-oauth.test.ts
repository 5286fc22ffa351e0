import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../../src/server/config/load.js';
import { ConfigError } from '../../../../src/server/config/mistakes.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'config-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** Names of what is wrong with these options of `auth`. */
async function wrong(auth: Record<string, unknown>): Promise<string[]> {
  const file = join(directory, 'gateway.yaml');
  const config = {
    gitee: { url: 'https://gitee.example', token: 'aabbccddeeff0011' },
    access_keys: [{ access_key_id: 'ops', secret_access_key: '0123456789012345' }],
    buckets: [{ name: 'registry', repository: 'acme/images', preset: 'registry' }],
    auth,
  };
  await writeFile(file, JSON.stringify(config));
  try {
    await loadConfig(file, {});
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes.map(({ name }) => name);
    throw error;
  }
  return [];
}

const OAUTH = { client_id: 'an id', client_secret: 'a long secret' };
const public_url = 'https://registry.example.com';

test('a login page needs its secret and the address that Gitee calls back', async () => {
  expect(await wrong({ public_url, oauth: OAUTH })).toEqual([]);
  expect(await wrong({ oauth: OAUTH })).toEqual(['auth.public_url']);
  expect(await wrong({ public_url, oauth: { client_id: 'an id' } })).toEqual(['auth.oauth.client_secret']);
  expect(await wrong({ public_url, oauth: { ...OAUTH, client_secret: 'short' } })).toEqual([
    'auth.oauth.client_secret',
  ]);
});

test('scopes are words with one blank between them', async () => {
  const scope = (text: string) => wrong({ public_url, oauth: { ...OAUTH, scope: text } });
  expect(await scope('user_info')).toEqual([]);
  expect(await scope('user_info,projects')).toEqual(['auth.oauth.scope']);
});
