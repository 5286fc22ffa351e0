import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { FAULT_NAMES } from '../../../src/local-gitee/faults.js';
import { run } from '../../support/child.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { spawnTied } from '../../support/tied.js';
import { GitClient } from './git-client.js';
import { LfsClient } from './lfs-client.js';

describe('the program', () => {
  let gitee: RunningLocalGitee;

  beforeAll(async () => {
    gitee = await startLocalGitee();
  });

  afterAll(() => gitee.stop());

  test('has everything again after a stop and after a kill, on the same ports', async () => {
    const client = await GitClient.create(gitee, { token: gitee.token });
    await client.init(`${gitee.url}/acme/images.git`);
    await client.git('commit', '-q', '--allow-empty', '-m', 'kept');
    await client.git('push', '-q', 'origin', 'master');
    const lfs = new LfsClient(gitee.url, 'acme/images', gitee.token);
    const bytes = randomBytes(200_000);
    await lfs.upload(bytes);
    const { href } = await lfs.link('download', bytes);
    const added = randomBytes(16).toString('hex');
    await gitee.admin('tokens', { add: { login: 'gateway', token: added } });
    await gitee.admin('repositories', { owner: 'acme', name: 'later', limits: { repoMb: 5 } });
    for (const end of [() => gitee.restart(), () => gitee.kill().then(() => gitee.restart())]) {
      await end();
      const after = (await gitee.stats()).repositories;
      expect(after['acme/images']).toMatchObject({
        lfsObjects: 1,
        lfsBytes: bytes.length,
        branches: { master: { head: await client.git('rev-parse', 'HEAD'), commits: 1 } },
      });
      expect(after['acme/later']).toBeDefined();
      // The signing key is kept: links outlive the process that made them.
      expect(Buffer.from(await (await fetch(href)).arrayBuffer()).equals(bytes)).toBe(true);
      const again = await GitClient.create(gitee, { token: added });
      await again.git('ls-remote', `${gitee.url}/acme/images.git`);
      await again.remove();
    }
    await client.remove();
  });

  test('adds from the configuration what is missing and brings back nothing that was changed', async () => {
    await gitee.admin('tokens', { revoke: gitee.token });
    await gitee.admin('repositories', { owner: 'acme', name: 'files', lfs: false });
    await gitee.restart();
    expect((await new LfsClient(gitee.url, 'acme/images', gitee.token).batch('download', [])).status).toBe(
      401,
    );
    expect((await new LfsClient(gitee.url, 'acme/files', gitee.token).batch('download', [])).status).toBe(
      403,
    );
  });

  test('removes what a killed upload left, and keeps no token in clear', async () => {
    const incoming = path.join(gitee.dataDir, 'lfs-incoming');
    await mkdir(incoming, { recursive: true });
    await writeFile(path.join(incoming, 'half'), 'half of an object');
    await gitee.restart();
    expect(await readdir(incoming)).toEqual([]);
    const state = await readFile(path.join(gitee.dataDir, 'state.json'), 'utf8');
    expect(state).not.toContain(gitee.token);
    expect(state).not.toContain(gitee.maintainerToken);
  });

  test('names every mistake of its configuration', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'local-gitee-'));
    const file = path.join(directory, 'config.json');
    await writeFile(
      file,
      JSON.stringify({ accounts: [{ login: '' }], repositories: [{ owner: 'a' }], more: 1 }),
    );
    const main = ['--import', 'tsx', path.resolve('src/local-gitee/main.ts')];
    const result = await run(process.execPath, [...main, '--data', directory, '--config', file]);
    expect(result.code).toBe(1);
    for (const place of ['accounts.0.login', 'repositories.0.name', '(root)'])
      expect(result.stderr).toContain(place);
    await rm(directory, { recursive: true });
  });

  test('ends with its parent when asked to', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'local-gitee-'));
    const main = ['--import', 'tsx', path.resolve('src/local-gitee/main.ts')];
    const args = [...main, '--data', directory, '--port', '0', '--lfs-port', '0', '--exit-with-parent'];
    const child = spawnTied(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    expect(JSON.parse(line.toString())).toMatchObject({ event: 'listening' });
    const exited = once(child, 'exit');
    child.stdin.end();
    expect((await exited)[0]).toBe(0);
    await rm(directory, { recursive: true });
  });

  test('has every fault in its documentation, and no other', async () => {
    const text = await readFile(path.resolve('docs/local-gitee.md'), 'utf8');
    const documented = [...text.matchAll(/^\| `((?:git|lfs|api|rate)-[a-z0-9-]+)` \|/gm)].map((m) => m[1]);
    expect(documented.sort()).toEqual([...FAULT_NAMES].sort());
  });

  test('has a test for every fault', async () => {
    const files = ['git-faults.test.ts', 'lfs-faults.test.ts'];
    const texts = await Promise.all(
      files.map((f) => readFile(path.resolve('test/integration/local-gitee', f), 'utf8')),
    );
    for (const name of FAULT_NAMES) expect(texts.join()).toContain(`test('${name} `);
  });
});
