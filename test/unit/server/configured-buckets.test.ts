import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../../src/server/config/load.js';
import { ConfigError } from '../../../src/server/config/mistakes.js';
import { ConfiguredBuckets } from '../../../src/server/configured-buckets.js';

const BASE = `
gitee: { url: "https://gitee.example/", token: aabbccddeeff0011 }
access_keys: [{ access_key_id: ops, secret_access_key: 0123456789012345 }]
buckets:
  - { name: open, repository: acme/open, public_read: true }
  - { name: files, repository: acme/files }
  - { name: images, repository: acme/images, preset: registry }
`;

describe('what the configuration says of buckets', () => {
  let file: string;
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'buckets-'));
    file = join(directory, 'gateway.yaml');
  });
  afterAll(() => rm(directory, { recursive: true }));
  const load = async (cors = '', env: Record<string, string> = {}) => {
    await writeFile(file, BASE + cors);
    return new ConfiguredBuckets((await loadConfig(file, env)).config);
  };

  test('only public_read makes a bucket public', async () => {
    const buckets = await load();
    expect(['open', 'files', 'none', ''].map((name) => buckets.isPublicRead(name))).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  test('the registry stores in buckets of its preset', async () => {
    const buckets = await load();
    expect(['images', 'files', 'none'].map((name) => buckets.isRegistry(name))).toEqual([true, false, false]);
  });

  test('a bucket has the CORS rules that name it and those of every bucket, in their order', async () => {
    const buckets = await load(`
cors:
  - { buckets: [files], origins: ["https://a.example"], methods: [GET, PUT], headers: ["*"], expose_headers: [ETag], max_age: 90s }
  - { origins: ["*"], methods: [GET] }
`);
    const everybody = { origins: ['*'], methods: ['GET'], headers: [], exposeHeaders: [] };
    expect(buckets.corsRules('open')).toEqual([everybody]);
    expect(buckets.corsRules('files')).toEqual([
      {
        origins: ['https://a.example'],
        methods: ['GET', 'PUT'],
        headers: ['*'],
        exposeHeaders: ['ETag'],
        maxAgeSeconds: 90,
      },
      everybody,
    ]);
  });

  test('rules come from the environment too', async () => {
    const buckets = await load('', {
      GATEWAY_CORS_0_ORIGINS: '["https://*.example"]',
      GATEWAY_CORS_0_METHODS: '[GET, HEAD]',
    });
    expect(buckets.corsRules('files')[0]?.origins).toEqual(['https://*.example']);
  });

  test.each([
    ['buckets: [fles], origins: [a], methods: [GET]', 'cors[0].buckets', 'fles, which is no bucket'],
    ['origins: [], methods: [GET]', 'cors[0].origins', 'one origin'],
    ['methods: [GET]', 'cors[0].origins', 'must be set'],
    ['origins: ["*"], methods: []', 'cors[0].methods', 'one method'],
    ['origins: ["*"], methods: [get]', 'cors[0].methods', 'has get'],
    ['origins: ["*"], methods: [OPTIONS]', 'cors[0].methods', 'has OPTIONS'],
    ['origins: ["*a*"], methods: [GET]', 'cors[0].origins', 'one * only'],
    ['origins: ["*"], methods: [GET], headers: ["x-*-*"]', 'cors[0].headers', 'one * only'],
    ['origins: ["*"], methods: [GET], expose_headers: ["a b"]', 'cors[0].expose_headers', 'printable'],
  ])('{ %s } is a mistake of %s', async (rule, name, message) => {
    const error = await load(`cors: [{ ${rule} }]\n`).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).mistakes).toEqual([
      { name, message: expect.stringContaining(message) as unknown },
    ]);
  });
});
