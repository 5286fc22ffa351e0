/** What docs/from-the-article.md says of the stock registry, asked of the stock registry. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Child, freePort, httpStatus, run, until } from '../../support/child.js';
import { pageText } from '../../support/operator-docs.js';

let directory: string;
const { AWS_CA_BUNDLE: _, ...inherited } = process.env;
const env = { ...inherited, OTEL_TRACES_EXPORTER: 'none' };

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'article-'));
});

afterAll(() => rm(directory, { recursive: true }));

/** @returns path of a configuration with these sections; JSON is YAML. */
async function configured(sections: Record<string, unknown>): Promise<string> {
  const file = path.join(directory, 'config.yml');
  await writeFile(file, JSON.stringify({ version: 0.1, ...sections }));
  return file;
}

async function output(sections: Record<string, unknown>): Promise<string> {
  const { code, stdout, stderr } = await run('docker-registry', ['serve', await configured(sections)], {
    env,
  });
  expect(code).not.toBe(0);
  return stdout + stderr;
}

const gitee = { repository: 'yourname/docker-registry', branch: 'main', path_prefix: 'images' };
const filesystem = () => ({ rootdirectory: path.join(directory, 'data') });

test.each(['en', 'zh'] as const)(
  'the registry has no storage driver gitee, in the words of the page (%s)',
  async (language) => {
    const page = pageText('from-the-article', language);
    for (const [said, storage] of [
      ['panic: StorageDriver not registered: gitee', { delete: { enabled: true }, gitee }],
      [
        'must provide exactly one storage type. Provided: [filesystem gitee]',
        { filesystem: filesystem(), gitee },
      ],
    ] as const) {
      expect(page).toContain(said);
      const printed = await output({ storage, http: { addr: '127.0.0.1:0' } });
      // Go lists them in no order.
      expect(printed.replace('[gitee filesystem]', '[filesystem gitee]')).toContain(said);
    }
  },
);

test('auth under http, logging and notary are ignored: the registry is open and writes no file', async () => {
  const port = await freePort();
  const accessLog = path.join(directory, 'access.log');
  const file = await configured({
    storage: { filesystem: filesystem() },
    http: {
      addr: `127.0.0.1:${port}`,
      auth: { htpasswd: { realm: 'Registry Realm', path: path.join(directory, 'htpasswd') } },
    },
    logging: { level: 'info', formatter: 'json', files: [accessLog] },
    notary: { server: 'https://notary.example.com', trust_keys: [] },
  });
  const child = Child.start('docker-registry', ['serve', file], {
    env,
    logFile: path.join(directory, 'registry.log'),
  });
  try {
    await until('it answers', async () => (await httpStatus(`http://127.0.0.1:${port}/v2/`)) !== 0);
    expect(await httpStatus(`http://127.0.0.1:${port}/v2/_catalog`)).toBe(200);
    await expect(readFile(accessLog)).rejects.toThrow(/ENOENT/);
  } finally {
    await child.stop();
  }
});
