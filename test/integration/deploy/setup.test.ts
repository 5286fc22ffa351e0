/**
 * deploy/setup.sh as operators use it: asked and not asked, run again after a change of .env, before the end of a
 * certificate, and what others on the host may read. Docker itself is not needed for that: compose.test.ts has it.
 */
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { parse } from 'yaml';
import { mustRun, run, type RunResult } from '../../support/child.js';

/** What a checkout has not. */
const MADE = /^deploy\/(\.env|secrets|tls|acme|registry\.yml|gateway\.env|\.written)(\/|$)/;
const TOKEN = 'token-of-the-gateway-0';

let directory: string;
let checkout: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'setup-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

beforeEach(async () => {
  checkout = await mkdtemp(path.join(directory, 'checkout-'));
  for (const part of ['deploy', 'nginx', 'registry-config'])
    await cp(part, path.join(checkout, part), { recursive: true, filter: (source) => !MADE.test(source) });
  await mkdir(path.join(checkout, 'bin'));
  await program('docker', `echo "$*" >>${checkout}/docker.log`);
  await writeFile(path.join(checkout, 'token'), `${TOKEN}\n`);
  env = { ...process.env, PATH: `${path.join(checkout, 'bin')}:${process.env.PATH}` };
});

async function program(name: string, script: string): Promise<void> {
  await writeFile(path.join(checkout, 'bin', name), `#!/bin/sh\n${script}\n`);
  await chmod(path.join(checkout, 'bin', name), 0o755);
}

function file(name: string): string {
  return path.join(checkout, 'deploy', name);
}

const read = (name: string) => readFile(file(name), 'utf8');

function setup(...flags: string[]): Promise<RunResult> {
  return run('bash', [file('setup.sh'), '--no-doctor', ...flags], { env });
}

async function mustSetUp(...flags: string[]): Promise<string> {
  const result = await setup(...flags);
  if (result.code !== 0) throw new Error(`setup.sh ${flags.join(' ')}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

const FLAGS = ['--host', 'registry.test:5443', '--repository', 'acme/images'];
const first = () => mustSetUp('--yes', ...FLAGS, '--token-file', path.join(checkout, 'token'));

async function change(name: string, value: string): Promise<void> {
  const text = await read('.env');
  expect(text).toMatch(new RegExp(`^${name}=`, 'm'));
  await writeFile(file('.env'), text.replace(new RegExp(`^${name}=.*$`, 'm'), `${name}=${value}`));
}

/** With the answers typed at a terminal. */
async function typed(answers: readonly string[], ...flags: string[]): Promise<RunResult> {
  const command = ['bash', file('setup.sh'), '--no-doctor', ...flags].join(' ');
  return run('script', ['-qefc', command, '/dev/null'], { env, input: `${answers.join('\n')}\n` });
}

async function x509(certificate: string, ...args: string[]): Promise<string> {
  return (await mustRun('openssl', ['x509', '-noout', '-in', file(certificate), ...args])).stdout;
}

/** The checkout where others can reach it, in a mount namespace, as another user of the host. */
function asUser(uid: number, groups: string, script: string): Promise<RunResult> {
  const enter = `mount --bind "$1" /mnt && cd /mnt/deploy && shift && exec setpriv "$@"`;
  const user = ['--reuid', String(uid), '--regid', String(uid), ...groups.split(' ')];
  const args = ['--mount', '--propagation', 'private', '--', 'bash', '-ec', enter, 'bash', checkout];
  return run('unshare', [...args, ...user, '--', 'sh', '-c', script], { env: { PATH: process.env.PATH } });
}

test('no secret can be read by another user of the host, the uid of the containers included', async () => {
  await first();
  await chmod(checkout, 0o755);
  await mkdir(file('acme/config/live'), { recursive: true });
  await writeFile(file('acme/config/live/privkey.pem'), 'key', { mode: 0o644 });
  // As after a restart of the set-up.
  await mustSetUp('--yes');
  const names = ['gitee-token', 'registry.env', 'htpasswd', 'token.key', 'alerts-token', 'grafana-password'];
  const secrets = [
    ...names.map((name) => `secrets/${name}`),
    ...['tls/registry.key', 'acme/config/live/privkey.pem', '.env', 'gateway.env'],
  ];
  for (const name of secrets) expect([name, (await stat(file(name))).isFile()]).toEqual([name, true]);
  for (const uid of [1000, 472, 65534, 1001]) {
    const reading = `for name in ${secrets.join(' ')}; do ! cat "$name" || echo "$name"; done; ls secrets tls acme`;
    const { stdout } = await asUser(uid, '--clear-groups', reading);
    expect([uid, stdout.split('\n').filter((line) => secrets.includes(line))]).toEqual([uid, []]);
  }
  // Those who may use Docker, and so are root, can use the stack.
  const group = (await mustRun('getent', ['group', 'docker'])).stdout.split(':')[2]!;
  const config = await asUser(1001, `--groups ${group}`, 'docker-compose config -q');
  expect(config).toMatchObject({ code: 0, stdout: '' });
  expect(config.stderr).not.toMatch(/denied|secret/);
  // And the containers their files: each is mounted by itself.
  const owners = await mustRun('stat', ['-c', '%u %a', file('secrets/token.key'), file('tls/registry.key')]);
  expect(owners.stdout).toBe('1000 600\n1000 600\n');
});

test('a second run changes nothing, and what was changed by hand stays', async () => {
  const said = await first();
  expect(said).toContain('start it: cd');
  const sums = () =>
    mustRun('bash', ['-c', `cd ${file('')} && cat .env registry.yml secrets/* tls/* | sha256sum`]);
  const before = await sums();
  expect(await mustSetUp('--yes')).not.toContain('settings have changed');
  expect(await sums()).toEqual(before);

  await writeFile(file('registry.yml'), `${await read('registry.yml')}# mine\n`);
  await change('LOGIN', 'htpasswd');
  const changed = await mustSetUp('--yes');
  expect(changed).toContain(`Warning: ${file('registry.yml')} was changed by hand`);
  expect(await read('registry.yml')).toMatch(/token:[\s\S]*# mine\n$/);
  expect(await read('registry.yml.new')).toContain('htpasswd:');
});

test('another LOGIN and another REGISTRY_HOST in .env are applied whole, and what to do is said', async () => {
  await first();
  const authority = await read('tls/ca.crt');
  const { ino } = await stat(file('registry.yml'));
  await change('LOGIN', 'htpasswd');
  const toList = await mustSetUp('--yes');
  expect(toList).toContain('docker compose up -d --force-recreate');
  expect(toList).toContain('docker login -u admin registry.test:5443');
  expect(await read('registry.yml')).toMatch(/^ {2}htpasswd:/m);
  expect(await read('secrets/htpasswd')).toMatch(/^admin:\$2y\$/);
  // Docker has mounted this file.
  expect((await stat(file('registry.yml'))).ino).toBe(ino);

  await change('LOGIN', 'token');
  await change('REGISTRY_HOST', 'other.test:5443');
  const toOther = await mustSetUp('--yes');
  expect(toOther).toContain('/etc/docker/certs.d/other.test:5443/ca.crt');
  expect(await read('registry.yml')).toMatch(
    /realm: https:\/\/other\.test:5443\/token\n *service: other\.test:5443 /,
  );
  expect(await x509('tls/registry.crt', '-checkhost', 'other.test')).toContain('does match');
  // Clients that trust the authority have nothing to do.
  expect(await read('tls/ca.crt')).toBe(authority);

  await change('REGISTRY_HOST', 'other.test:6443');
  expect(await mustSetUp('--yes')).toContain(
    'clients go to port 6443 (REGISTRY_HOST), this host listens on 5443',
  );
  await change('REGISTRY_HOST', 'other.test');
  expect(await mustSetUp('--yes')).toContain(
    'clients go to port 443 (REGISTRY_HOST), this host listens on 5443',
  );
  await change('TLS', 'own');
  await change('REGISTRY_HOST', 'third.test:5443');
  expect(await setup('--yes')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('does not hold for third.test') as string,
  });
});

test('after --start nobody is told to start again what was just started', async () => {
  await first();
  await change('LOGIN', 'htpasswd');
  expect(await mustSetUp('--yes', '--start')).not.toContain('settings have changed');
  expect(await readFile(path.join(checkout, 'docker.log'), 'utf8')).toContain(
    'compose up -d --force-recreate\n',
  );
});

test('a flag that names another secret or application than is here is refused, and nothing is overwritten', async () => {
  const other = path.join(checkout, 'other');
  await writeFile(other, 'another-secret-0000\n');
  const secretFile = path.join(checkout, 'oauth');
  await writeFile(secretFile, 'secret-of-the-application\n');
  await first();
  const application = ['--yes', '--oauth-client-id', 'id', '--oauth-secret-file'];
  await mustSetUp(...application, secretFile);
  for (const [flags, name] of [
    [['--yes', '--token-file', other], file('secrets/gitee-token')],
    [[...application, other], file('secrets/oauth-client-secret')],
  ] as const) {
    const before = await readFile(name, 'utf8');
    const refused = await setup(...flags);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining(`${name} has another secret than ${other}`),
    ]);
    expect(refused.stderr).toContain(`cp ${other} ${name}\n`);
    expect(await readFile(name, 'utf8')).toBe(before);
  }
  expect(await setup('--yes', '--oauth-client-id', 'other')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('has GITEE_OAUTH_CLIENT_ID=id already') as string,
  });
  // What is here may be named again.
  await mustSetUp(...application, secretFile, '--token-file', path.join(checkout, 'token'));
});

test('an option of gateway.env that compose.yaml sets itself is warned of, with where it belongs', async () => {
  await first();
  const options =
    'GATEWAY_LOG_LEVEL=debug\nGATEWAY_GITEE_LFS_QUOTA_BYTES=1GiB\nGATEWAY_BUCKETS_0_NAME=mine\n';
  await writeFile(file('gateway.env'), `${await read('gateway.env')}${options}`);
  const said = await mustSetUp('--yes');
  expect(said).toMatch(
    /GATEWAY_GITEE_LFS_QUOTA_BYTES in gateway\.env has no effect.*\$\{LFS_QUOTA:-\}\n.*into \.env/,
  );
  expect(said).toMatch(
    /GATEWAY_BUCKETS_0_NAME in gateway\.env has no effect.*: registry\n.*compose\.override\.yaml/,
  );
  expect(said.match(/has no effect/g)).toHaveLength(2);
});

test('every secret that compose.yaml names is there, since docker-compose 1.29 misses those of services that are off', async () => {
  await first();
  const { secrets } = parse(await read('compose.yaml')) as { secrets: Record<string, { file: string }> };
  for (const { file: name } of Object.values(secrets))
    expect([name, await stat(file(name)).then(({ mode }) => mode & 0o100_000)]).toEqual([name, 0o100_000]);
});

test('a self-signed certificate is renewed before its end by the same authority, in the file that is mounted', async () => {
  await first();
  const sign = async (days: number) => {
    const name = 'subjectAltName=DNS:registry.test,DNS:s3.registry.test';
    const key = ['-key', file('tls/registry.key'), '-subj', '/CN=registry.test', '-addext', name];
    await mustRun('openssl', ['req', '-new', ...key, '-out', path.join(checkout, 'csr')]);
    const signer = [
      '-CA',
      file('tls/ca.crt'),
      '-CAkey',
      file('secrets/ca.key'),
      '-copy_extensions',
      'copyall',
    ];
    const signed = ['x509', '-req', '-in', path.join(checkout, 'csr'), ...signer, '-days', String(days)];
    await writeFile(file('tls/registry.crt'), (await mustRun('openssl', signed)).stdout);
  };
  const authority = await read('tls/ca.crt');
  const { ino } = await stat(file('tls/registry.crt'));
  await sign(90);
  const kept = await read('tls/registry.crt');
  await mustSetUp('--yes');
  expect(await read('tls/registry.crt')).toBe(kept);

  await sign(30);
  await mustSetUp('--yes');
  await x509('tls/registry.crt', '-checkend', String(390 * 86_400));
  await mustRun('openssl', ['verify', '-CAfile', file('tls/ca.crt'), file('tls/registry.crt')]);
  expect([await read('tls/ca.crt'), (await stat(file('tls/registry.crt'))).ino]).toEqual([authority, ino]);

  // The key of the authority was taken away, as docs/security.md advises.
  await sign(30);
  const due = await read('tls/registry.crt');
  await rm(file('secrets/ca.key'));
  expect(await setup('--yes')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('put it back') as string,
  });
  expect([await read('tls/registry.crt'), await read('tls/ca.crt')]).toEqual([due, authority]);
});

test('it asks for what .env does not say, again after a wrong answer, and shows no token', async () => {
  await cp(file('.env.example'), file('.env'));
  const answers = ['no spaces please', 'registry.test', 'images', 'acme/images', 'short', TOKEN];
  const asked = await typed(answers);
  expect(asked).toMatchObject({ code: 0 });
  expect(asked.stdout).toMatch(
    /Name of the registry[\s\S]*is not of that form[\s\S]*Repository on Gitee[\s\S]*too short/,
  );
  // Login and certificate stand in .env.example.
  expect(asked.stdout).not.toMatch(/^(Login|Certificate|Address)/m);
  expect(await read('.env')).toMatch(
    /^REGISTRY_HOST=registry\.test\n[\s\S]*^GITEE_REPOSITORY=acme\/images$/m,
  );
  expect((await read('secrets/gitee-token')).trim()).toBe(TOKEN);
  // What was typed before the question is echoed by the terminal itself, once.
  expect(asked.stdout.split(TOKEN).length).toBeLessThanOrEqual(2);
});

test('asked for everything: defaults by Enter, a pair of one’s own by its files', async () => {
  await mustRun('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', path.join(checkout, 'key.pem')],
    ...[
      '-out',
      path.join(checkout, 'chain.pem'),
      '-subj',
      '/CN=r',
      '-addext',
      'subjectAltName=DNS:registry.test',
    ],
  ]);
  const pair = [
    path.join(checkout, 'nothing.pem'),
    path.join(checkout, 'chain.pem'),
    path.join(checkout, 'key.pem'),
  ];
  const asked = await typed(['registry.test', 'acme/images', '', 'owned', 'own', ...pair, TOKEN]);
  expect(asked).toMatchObject({ code: 0 });
  expect(asked.stdout).toContain('nothing.pem cannot be read');
  expect(await read('.env')).toMatch(/^LOGIN=token$[\s\S]*^TLS=own$/m);
  expect(await read('tls/registry.crt')).toBe(await readFile(path.join(checkout, 'chain.pem'), 'utf8'));
});

test('without a terminal it asks nothing and says what is missing', async () => {
  const silent = await setup();
  expect(silent).toMatchObject({ code: 1 });
  expect(silent.stderr).toMatch(/Name of the registry.*: not given, and there is no terminal to ask at/);
  expect((await setup(...FLAGS)).stderr).toContain(
    'the personal token is not given, and there is no terminal',
  );
});

test('where htpasswd is missing, the image comes from the mirror of .env', async () => {
  const bin = path.join(checkout, 'bin');
  const programs =
    'bash sed awk openssl df id dirname getent chown chmod find mkdir mv rm cat cp tail wc tr cksum cmp mktemp grep cut';
  for (const name of programs.split(' '))
    await program(name, `exec ${(await which(name)) ?? '/bin/false'} "$@"`);
  await program('docker', `echo "$*" >>${checkout}/docker.log; [ "$1" != run ] || echo 'admin:$2y$05$x'`);
  await cp(file('.env.example'), file('.env'));
  await writeFile(
    file('.env'),
    (await read('.env')).replace(/^LOGIN=.*$/m, 'LOGIN=htpasswd\nIMAGE_PREFIX="mirror.test/library/"'),
  );
  env = { PATH: bin };
  await mustSetUp('--yes', ...FLAGS, '--token-file', path.join(checkout, 'token'));
  expect(await readFile(path.join(checkout, 'docker.log'), 'utf8')).toContain(
    ' mirror.test/library/httpd:2.4 htpasswd',
  );
});

async function which(name: string): Promise<string | undefined> {
  return (await run('sh', ['-c', 'command -v "$0"', name])).stdout.trim() || undefined;
}

test('a profile that .env lacks is switched on beside those that are', async () => {
  await first();
  await writeFile(file('.env'), `${await read('.env')}COMPOSE_PROFILES=monitoring\n`);
  await mustSetUp('--yes', '--local').catch(() => undefined);
  expect(await read('.env')).toMatch(/^COMPOSE_PROFILES=monitoring,local$/m);
});
