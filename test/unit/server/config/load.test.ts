import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../../src/server/config/load.js';
import { ConfigError, type Mistake } from '../../../../src/server/config/mistakes.js';

const GOOD = `
gitee: { url: "https://gitee.example/", token: aabbccddeeff0011 }
access_keys:
  - { access_key_id: ops, secret_access_key: 0123456789012345 }
buckets:
  - { name: registry, repository: acme/images, preset: registry, registry_root: images }
  - { name: files, repository: acme/files, path_prefix: a/b/ }
`;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'config-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function load(yaml: string | undefined, env: Record<string, string> = {}) {
  if (yaml === undefined) return loadConfig(undefined, env);
  const file = join(directory, 'gateway.yaml');
  await writeFile(file, yaml);
  return loadConfig(file, env);
}

async function mistakesOf(yaml: string | undefined, env: Record<string, string> = {}): Promise<Mistake[]> {
  try {
    await load(yaml, env);
  } catch (error) {
    if (error instanceof ConfigError) return [...error.mistakes];
    throw error;
  }
  return [];
}

const named = (mistakes: readonly Mistake[]) => Object.fromEntries(mistakes.map((m) => [m.name, m.message]));

describe('a configuration that is right', () => {
  test('gets every default in its unit', async () => {
    const { config, warnings } = await load(GOOD);
    expect(config).toMatchObject({
      region: 'us-east-1',
      s3: { host: '127.0.0.1', port: 9000, domain: undefined },
      chunkSizeBytes: 8 * 1024 ** 2,
      inlineLimitBytes: 64 * 1024,
      cache: { maxBytes: 20 * 1024 ** 3 },
      uplinkInitialBytesPerSecond: 1024 ** 2,
      commit: { intervalMs: 60_000, maxChanges: 10_000 },
      barrier: { holdMs: 90_000, holdMaxMs: 600_000 },
      localKeyTtlMs: 86_400_000,
      outage: 'reject',
      gitee: { url: 'https://gitee.example', user: 'oauth2', lfsUser: 'oauth2', lfsBatchMax: 100 },
      localGitee: { enabled: false },
    });
    expect(warnings).toEqual([]);
  });

  test('a registry bucket waits for its tags below its root, a generic one for nothing', async () => {
    const { config } = await load(GOOD);
    expect(config.buckets).toMatchObject([
      {
        registryRoot: 'images/',
        writeConcern: 'barrier',
        barrierPatterns: ['images/docker/registry/v2/repositories/**/_manifests/tags/*/current/link'],
      },
      { pathPrefix: 'a/b', registryRoot: '', writeConcern: 'local', barrierPatterns: [] },
    ]);
  });

  test('tokens of digits stay the text that was written', async () => {
    const { config } = await load(GOOD);
    expect(config.accessKeys[0]!.secretAccessKey.reveal()).toBe('0123456789012345');
    expect(config.accessKeys[0]!.buckets).toEqual({ '*': 'write' });
  });

  test('local Gitee is used exactly where gitee.url is not set', async () => {
    const { config } = await load(GOOD.replace(/^gitee:.*$/m, 'local_gitee: { port: 9390, host: 0.0.0.0 }'));
    expect(config.localGitee).toMatchObject({ enabled: true, dataDir: '/var/lib/gitee-s3/local-gitee' });
    expect(config.gitee).toMatchObject({ url: 'http://127.0.0.1:9390', token: undefined });
  });

  test('the environment alone is enough, and wins over the file', async () => {
    const env = {
      GATEWAY_BUCKETS_0_NAME: 'registry',
      GATEWAY_BUCKETS_0_REPOSITORY: 'acme/images',
      GATEWAY_BUCKETS_0_WRITE_CONCERN: 'barrier',
      GATEWAY_BUCKETS_0_BARRIER_PATTERNS_0: 'a/*',
      GATEWAY_BUCKETS_0_BARRIER_PATTERNS_1: 'b/**',
      GATEWAY_ACCESS_KEYS_0_ACCESS_KEY_ID: 'ops',
      GATEWAY_ACCESS_KEYS_0_SECRET_ACCESS_KEY: 'long-enough',
      GATEWAY_ACCESS_KEYS_0_BUCKETS: '{registry: read}',
      GATEWAY_SPOOL_SOFT: '2GiB',
      GATEWAY_S3_DOMAIN: '',
      PATH: '/bin',
    };
    const { config } = await load(undefined, env);
    expect(config.buckets[0]).toMatchObject({ barrierPatterns: ['a/*', 'b/**'] });
    expect(config.accessKeys[0]!.buckets).toEqual({ registry: 'read' });
    expect(config.spoolSoftBytes).toBe(2 * 1024 ** 3);
    const overridden = await load(GOOD, { GATEWAY_BUCKETS_1_NAME: 'other', GATEWAY_REGION: 'cn-1' });
    expect(overridden.config.buckets.map((b) => b.name)).toEqual(['registry', 'other']);
    expect(overridden.config.region).toBe('cn-1');
  });

  test('variables that quickstart writes for scripts are no options', async () => {
    expect(
      await mistakesOf(GOOD, { GATEWAY_PID: '1', GATEWAY_METRICS_URL: 'x', GATEWAY_CONFIG: 'y' }),
    ).toEqual([]);
  });
});

describe('secrets', () => {
  test('come from a file without its newline, and again after it was rotated', async () => {
    const file = join(directory, 'token');
    await writeFile(file, 'first-secret\n');
    const { config } = await load(GOOD, { GATEWAY_GITEE_TOKEN_FILE: file });
    const token = config.gitee.token!;
    expect(token.reveal()).toBe('first-secret');
    expect(await token.refresh()).toBe(false);
    await writeFile(file, 'second-secret\n');
    expect(await token.refresh()).toBe(true);
    expect(token.reveal()).toBe('second-secret');
    await writeFile(file, '');
    expect(await token.refresh()).toBe(false);
    expect(token.reveal()).toBe('second-secret');
  });

  test('never show in texts, JSON or mistakes', async () => {
    const { config } = await load(GOOD);
    expect(`${String(config.gitee.token)} ${JSON.stringify(config)}`).not.toContain('aabbccddeeff0011');
    const mistakes = await mistakesOf(GOOD.replace('ops,', 'a/b,'), { GATEWAY_S3_PORT: 'x' });
    expect(JSON.stringify(mistakes)).not.toContain('0123456789012345');
  });

  test('a broken file is reported without the line that is broken', async () => {
    const mistakes = await mistakesOf('gitee:\n  token: "verysecretvalue\n');
    expect(mistakes.length).toBeGreaterThan(0);
    expect(JSON.stringify(mistakes)).not.toContain('verysecretvalue');
  });

  test('given twice, unreadable, empty and too short ones are mistakes', async () => {
    const empty = join(directory, 'empty');
    await writeFile(empty, '\n');
    const both = { GATEWAY_GITEE_TOKEN: 'x'.repeat(9), GATEWAY_GITEE_TOKEN_FILE: empty };
    expect(named(await mistakesOf(GOOD, both))).toHaveProperty(['gitee.token (GATEWAY_GITEE_TOKEN)']);
    const absent = { GATEWAY_GITEE_TOKEN_FILE: join(directory, 'absent') };
    expect((await mistakesOf(GOOD, absent))[0]!.message).toContain('ENOENT');
    expect((await mistakesOf(GOOD, { GATEWAY_GITEE_TOKEN_FILE: empty }))[0]!.message).toContain('empty');
    expect(named(await mistakesOf(GOOD, { GATEWAY_GITEE_TOKEN: 'short' }))).toHaveProperty(['gitee.token']);
  });
});

describe('mistakes', () => {
  test('refusing writes at a full quota needs the quota', async () => {
    const refuse = { GATEWAY_GITEE_LFS_QUOTA_ACTION: 'refuse' };
    expect(named(await mistakesOf(GOOD, refuse))).toEqual({
      'gitee.lfs_quota_action': expect.stringContaining('gitee.lfs_quota_bytes'),
    });
    const { config } = await load(GOOD, { ...refuse, GATEWAY_GITEE_LFS_QUOTA_BYTES: '100GiB' });
    expect(config.gitee).toMatchObject({ lfsQuotaAction: 'refuse', lfsQuotaBytes: 100 * 1024 ** 3 });
    expect((await load(GOOD)).config.gitee.lfsQuotaAction).toBe('warn');
  });

  test('are reported all at once, by name, with the nearest name', async () => {
    const mistakes = named(
      await mistakesOf(
        `regoin: x\ns3: { port: 70000 }\nchunk_size: 4MiB\nbuckets: [{ name: A }]\naccess_keys: { a: b }\n`,
        { GATEWAY_GITEE_TOKN: 'secretsecret', GATEWAY_POLL_INTERVAL: '60' },
      ),
    );
    expect(mistakes).toMatchObject({
      GATEWAY_GITEE_TOKN: 'is not known; did you mean GATEWAY_GITEE_TOKEN?',
      regoin: 'is not known; did you mean region?',
      's3.port': 'must be a whole number from 0 to 65535, not "70000"',
      chunk_size: 'must be a size from 5MiB to 1GiB, not "4MiB"',
      'buckets[0].repository': 'must be set',
      access_keys: 'must be a list',
    });
    expect(mistakes['poll_interval (GATEWAY_POLL_INTERVAL)']).toContain('60s');
    expect(mistakes['buckets[0].name']).toContain('bucket name');
  });

  test.each([
    [
      'two buckets at one place',
      '  - { name: third, repository: ACME/files, path_prefix: a }',
      'buckets[2].path_prefix',
    ],
    ['one name twice', '  - { name: files, repository: acme/third }', 'buckets[2].name'],
    [
      'a root without a registry',
      '  - { name: x01, repository: a/c, registry_root: x }',
      'buckets[2].registry_root',
    ],
    [
      'a barrier for nothing',
      '  - { name: x01, repository: a/c, write_concern: barrier }',
      'buckets[2].barrier_patterns',
    ],
    ['two Gitees', 'local_gitee: { enabled: true }', 'local_gitee.enabled'],
    ['a small spool', 'spool_soft: 32GiB', 'spool_soft'],
  ])('%s', async (_, yaml, name) => expect(named(await mistakesOf(GOOD + yaml))).toHaveProperty([name]));

  test('rights on a bucket that does not exist', async () => {
    const env = { GATEWAY_ACCESS_KEYS_0_BUCKETS: '{registri: read}' };
    expect(named(await mistakesOf(GOOD, env))['access_keys[0].buckets.registri']).toContain('registry?');
  });

  test('a gap in a list of the environment', async () => {
    const mistakes = named(await mistakesOf(GOOD, { GATEWAY_BUCKETS_3_NAME: 'later' }));
    expect(mistakes.GATEWAY_BUCKETS_3_NAME).toContain('next index is 2');
  });

  test('a missing file and a file that is no mapping', async () => {
    await expect(loadConfig(join(directory, 'absent.yaml'), {})).rejects.toThrow('ENOENT');
    expect((await mistakesOf('- a\n- b\n'))[0]!.message).toContain('must be a mapping');
  });

  test('a token over plain http to another machine is a warning', async () => {
    const { warnings } = await load(GOOD.replace('https:', 'http:'));
    expect(warnings[0]).toContain('clear text');
  });
});

describe('buckets made at run time', () => {
  const GROUP = 'create_buckets: { repository: Acme/Files, path_prefix: made/ }';

  test('are off unless a repository is named, and a key that may create is told so', async () => {
    const { config, warnings } = await load(
      GOOD.replace('access_key_id: ops', 'access_key_id: ops, create_buckets: true'),
    );
    expect(config.createBuckets).toEqual({
      repository: undefined,
      branch: 'master',
      pathPrefix: 'buckets',
      max: 100,
    });
    expect(warnings).toEqual([expect.stringMatching(/^access_keys\[0\]\.create_buckets has no effect/)]);
  });

  test('have a directory without a slash at its end, and rights may name them', async () => {
    const { config } = await load(
      GOOD.replace('access_key_id: ops', 'access_key_id: ops, buckets: { later: read }') + GROUP,
    );
    expect(config.createBuckets.pathPrefix).toBe('made');
    expect(config.accessKeys[0]!.buckets).toEqual({ later: 'read' });
  });

  test.each(['a', 'a/b', 'a/b/c'])('must not lie inside or around a bucket: %s', async (prefix) => {
    const mistakes = named(await mistakesOf(GOOD + GROUP.replace('made/', prefix)));
    expect(mistakes['create_buckets.path_prefix']).toMatch(/buckets\[1\]/);
  });

  test('must have a directory of their own', async () => {
    const mistakes = named(await mistakesOf(`${GOOD}create_buckets: { repository: acme/x, path_prefix: / }`));
    expect(mistakes['create_buckets.path_prefix']).toMatch(/must be a directory/);
  });
});
