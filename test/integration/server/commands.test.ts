import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Child, freePort, httpStatus, mustRun, until } from '../../support/child.js';
import { makeAuthFiles } from '../../support/auth-files.js';
import { makeImage, push } from '../../support/image.js';
import { startStack, type Stack } from '../../support/stack.js';

const CLI = path.resolve('dist/cli/main.js');

/** Every command of the README's table is run here as an operator runs it, on a running stack. */
describe('the commands of the README', () => {
  let stack: Stack;
  let keys: string;
  const ran = new Set<string>(['serve']); // what the stack is started with

  const command = async (...args: string[]) => {
    ran.add(args[0]!);
    const result = await stack.gateway.cli(...args);
    expect([args.join(' '), result.code, result.stderr]).toEqual([args.join(' '), 0, '']);
    return result.stdout;
  };

  beforeAll(async () => {
    keys = await mkdtemp(path.join(tmpdir(), 'commands-'));
    const { config } = await makeAuthFiles(keys);
    stack = await startStack({ config: { ...config, notifications: { token: 'a token of the test' } } });
    const registry = await stack.startRegistry();
    const image = await makeImage(path.join(stack.directory, 'image'), [5000, 6000]);
    expect(await push(image, registry.address, 'cli/app:v1')).toMatchObject({ code: 0 });
  });

  afterAll(async () => {
    await stack.close();
    await rm(keys, { recursive: true, force: true });
  });

  test('doctor finds nothing wrong and shows no secret', async () => {
    const said = await command('doctor');
    expect(said).toMatch(/acme\/images/);
    expect(said).not.toContain(stack.gitee.token);
    expect(JSON.parse(await command('doctor', '--json'))).toMatchObject({ ok: true });
  });

  test('status tells of every bucket, running and stopped', async () => {
    expect(await command('status')).toMatch(/registry[\s\S]*files/);
    const status = JSON.parse(await command('status', '--json')) as { buckets: { pendingChanges: number }[] };
    expect(status.buckets.map((b) => b.pendingChanges)).toEqual([0, 0]);
  });

  test('fsck, plain and deep, is clean; rebuild gives the same keys', async () => {
    await command('fsck');
    await command('fsck', '--deep');
    const before = JSON.parse(await command('status', '--json')) as { buckets: { head: string }[] };
    expect(JSON.parse(await command('rebuild', '--bucket', 'registry', '--json'))).toMatchObject({
      head: before.buckets[0]!.head,
    });
  });

  test('verify-clone, restore-script and version need no gateway', async () => {
    const clone = path.join(stack.directory, 'clone');
    const url = new URL(`${stack.gitee.url}/acme/images.git`);
    url.username = 'oauth2';
    url.password = stack.gitee.token;
    const env = { ...process.env, HOME: stack.directory };
    await mustRun('git', ['lfs', 'install', '--skip-repo'], { env });
    await mustRun('git', ['clone', '-q', url.href, clone], { env });
    for (const args of [['verify-clone', clone], ['restore-script'], ['version']]) {
      ran.add(args[0]!);
      expect(await stack.gateway.plainCli(...args)).toMatchObject({ code: 0 });
    }
  });

  test('accept-remote takes somebody else’s commit for the truth', async () => {
    await stack.gitee.admin('move-branch', {
      repo: 'acme/images',
      edits: [{ path: 'README.md', content: 'begun anew\n' }],
      orphan: true,
    });
    const preview = await command('accept-remote', '--preview', '--bucket', 'registry');
    expect(preview).toMatch(
      /1 keys added: "README.md"\n[\s\S]* [1-9]\d* keys removed: "docker[\s\S]*Nothing was done\.\n$/,
    );
    await command('accept-remote', '--bucket', 'registry');
    const after = await command('accept-remote', '--preview', '--bucket', 'registry');
    expect(after).toMatch(/0 keys added\n +0 keys changed\n +0 keys removed\n/);
  });

  test('robots are made, shown, disabled and removed; there are no sessions yet', async () => {
    const secret = await stack.gateway.cli('robot', 'add', 'ci', '--push', 'team/**', '--expires', '90d');
    expect(secret).toMatchObject({ code: 0 });
    expect(secret.stdout).toMatch(/^grs_[\w-]{32}\n$/);
    expect(await command('robot', 'list')).toMatch(/robot\$ci +enabled .*team\/\*\*=pull\+push/);
    await command('robot', 'disable', 'ci');
    expect(await command('robot', 'list')).toMatch(/robot\$ci +disabled/);
    await command('robot', 'remove', 'ci');
    expect(JSON.parse(await command('session', 'list', '--json'))).toEqual([]);
  });

  test('the audit log holds and shows what an operator did; no notification was given up', async () => {
    expect(await command('audit', 'verify')).toMatch(/the chain holds\n$/);
    expect(await command('audit', 'show', '--who', 'operator')).toMatch(
      /ok +bucket\.accept-remote +operator/,
    );
    expect(await command('notifications', 'list')).toMatch(/^target +waiting +dead letters\n/);
    expect(await command('quarantine', 'list')).toBe('nothing is in quarantine\n');
  });

  test('local-gitee runs alone and ends at SIGTERM', async () => {
    ran.add('local-gitee');
    const directory = await mkdtemp(path.join(tmpdir(), 'local-gitee-'));
    const [port, lfsPort] = [await freePort(), await freePort()];
    const child = Child.start(
      process.execPath,
      [CLI, 'local-gitee', '--data', directory, '--port', String(port), '--lfs-port', String(lfsPort)],
      { logFile: path.join(directory, 'log') },
    );
    try {
      await until('local Gitee answers', async () => {
        if (!child.running) throw new Error(await readFile(child.logFile, 'utf8'));
        return (await httpStatus(`http://127.0.0.1:${port}/`)) > 0;
      });
    } finally {
      await child.stop();
    }
    expect(await child.exited).toBe(0);
    await rm(directory, { recursive: true });
  });

  test('alert-bridge runs alone and ends at SIGTERM', async () => {
    ran.add('alert-bridge');
    const directory = await mkdtemp(path.join(tmpdir(), 'alert-bridge-'));
    const port = await freePort();
    const target = 'GATEWAY_NOTIFICATIONS_TARGETS_0';
    const child = Child.start(process.execPath, [CLI, 'alert-bridge'], {
      logFile: path.join(directory, 'log'),
      env: {
        ...process.env,
        GATEWAY_ALERTS_PORT: String(port),
        GATEWAY_ALERTS_TOKEN: 'a token of Alertmanager',
        [`${target}_NAME`]: 'room',
        [`${target}_URL`]: 'https://127.0.0.1/robot',
        [`${target}_SECRET`]: 'a secret of the room',
        [`${target}_EVENTS`]: '[alert]',
      },
    });
    try {
      await until('the bridge answers', async () => {
        if (!child.running) throw new Error(await readFile(child.logFile, 'utf8'));
        return (await httpStatus(`http://127.0.0.1:${port}/healthz`)) === 200;
      });
    } finally {
      await child.stop();
    }
    expect(await child.exited).toBe(0);
    await rm(directory, { recursive: true });
  });

  test('no command of the table was left out', async () => {
    const readme = await readFile('README.md', 'utf8');
    const table = [...readme.matchAll(/^\| `gitee-s3 ([a-z-]+)/gm)].map((m) => m[1]!);
    expect(table.length).toBeGreaterThan(5);
    expect([...ran].sort()).toEqual([...new Set(table)].sort());
  });
});
