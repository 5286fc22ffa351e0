/**
 * deploy/setup.sh and deploy/compose.yaml, run by a real dockerd; images are stand-ins of this machine's programs.
 * LONG_TESTS=1: other addresses, and the way back to an older image.
 */
import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { freePort, mustRun, until, type RunResult } from '../../support/child.js';
import { ComposeStack } from '../../support/compose-stack.js';
import { DockerDaemon } from '../../support/docker.js';
import { commandBlocks } from '../../support/operator-docs.js';
import { makeStackImages } from '../../support/stack-images.js';

const NAME = 'registry.test';
const SERVICES = ['gateway', 'registry', 'nginx'] as const;
const MIB = 1 << 20;

let directory: string;
let daemon: DockerDaemon;
let stack: ComposeStack;
/** Name and port by which Docker reaches the registry. */
let registry: string;
let httpPort: number;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'compose-'));
  daemon = await DockerDaemon.start({ directory: path.join(directory, 'docker'), name: NAME });
  await makeStackImages(daemon, directory);
  registry = `${NAME}:${await freePort()}`;
  httpPort = await freePort();
  stack = await ComposeStack.copy(daemon, path.join(directory, 'checkout'), {
    HTTP_PORT: String(httpPort),
  });
});

afterAll(async () => {
  await daemon.stop();
  await rm(directory, { recursive: true, force: true });
});

/** An image of one layer of random bytes. @returns its name in the registry and its id */
async function makeImage(name: string, sizeBytes: number): Promise<{ reference: string; id: string }> {
  const files = await mkdtemp(path.join(directory, 'layer-'));
  await writeFile(path.join(files, 'content'), randomBytes(sizeBytes));
  const tarFile = `${files}.tar`;
  await mustRun('tar', ['-cf', tarFile, '-C', files, 'content']);
  const reference = `${registry}/${name}`;
  await daemon.importImage(tarFile, reference);
  return { reference, id: await daemon.mustDocker('inspect', '--format', '{{.Id}}', reference) };
}

function login(user: string, password: string): Promise<RunResult> {
  return daemon.docker(['login', '-u', user, '--password-stdin', registry], { input: password });
}

async function secret(name: string): Promise<string> {
  return (await stack.read(`secrets/${name}`)).trim();
}

/** Forgets the image here and takes it from the registry. */
async function pullsBack({ reference, id }: { reference: string; id: string }): Promise<void> {
  await daemon.docker(['rmi', '-f', reference, id]);
  expect(await daemon.docker(['pull', '-q', reference])).toMatchObject({ code: 0 });
  expect(await daemon.mustDocker('inspect', '--format', '{{.Id}}', reference)).toBe(id);
}

/** The registry answers through Nginx, with a certificate that the authority of setup.sh vouches for. */
async function untilServing(): Promise<void> {
  const url = `https://${registry}/v2/`;
  const args = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', stack.file('tls/ca.crt'), url];
  await until(
    'the registry asks for a login',
    async () => (await daemon.inside('curl', args)).stdout === '401',
  );
}

test('the build of the image, with BuildKit or without, is given what deploy/Dockerfile copies, and no secret', async () => {
  const context = path.join(directory, 'context');
  const wanted = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'src/a.ts'];
  const others = [
    '.env',
    '.git/config',
    'deploy/.env',
    'deploy/secrets/gitee-token',
    'node_modules/a/b.js',
    '.state/node/x',
  ];
  for (const name of [...wanted, ...others]) {
    await mkdir(path.dirname(path.join(context, name)), { recursive: true });
    await writeFile(path.join(context, name), name);
  }
  // BuildKit would take one beside the Dockerfile before it.
  await expect(readFile('deploy/Dockerfile.dockerignore')).rejects.toThrow('ENOENT');
  await cp('.dockerignore', path.join(context, '.dockerignore'));
  const dockerfile = path.join(directory, 'Dockerfile');
  await writeFile(dockerfile, 'FROM stand-in:base\nCOPY . /context\n');
  await mustRun('docker', ['build', '-q', '-t', 'context', '-f', dockerfile, context], {
    env: { ...daemon.env, DOCKER_BUILDKIT: '0' },
  });
  const { stdout } = await daemon.docker([
    'run',
    '--rm',
    '--network',
    'none',
    'context',
    'find',
    '/context',
    '-type',
    'f',
  ]);
  expect(stdout.trim().split('\n').sort()).toEqual(wanted.map((name) => `/context/${name}`).sort());
  const copied = [...(await readFile('deploy/Dockerfile', 'utf8')).matchAll(/^COPY (?!--)(.*) \S+$/gm)];
  expect(copied.flatMap(([, names]) => names!.split(' ')).sort()).toEqual(
    [...wanted.filter((name) => !name.startsWith('src/')), 'src'].sort(),
  );
});

test('setup.sh makes all that the stack needs, overwrites nothing, asks Gitee, and refuses another name', async () => {
  const flags = ['--yes', '--local', '--host'];
  expect(await stack.setup('--no-doctor', ...flags, registry)).toMatchObject({ code: 0 });
  const made = await stack.files();
  expect([...made.keys()]).toEqual(
    expect.arrayContaining([
      '.env',
      'registry.yml',
      'secrets/htpasswd',
      'secrets/token.key',
      'tls/registry.crt',
    ]),
  );
  const again = await stack.setup(...flags, registry);
  expect(again).toMatchObject({ code: 0 });
  // The doctor, in a container of the gateway's image.
  expect(again.stdout).toContain('ok      push right acme/images');
  const refused = await stack.setup(...flags, `other.test:${registry.split(':')[1]}`);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain(`REGISTRY_HOST=${registry}`);
  expect(await stack.files()).toEqual(made);
});

test('the stack starts: every container unprivileged, on a read-only root, within limits', async () => {
  await stack.mustCompose('up', '-d');
  await untilServing();
  for (const service of [...SERVICES, 'gitee']) {
    const { Config: config, HostConfig: host } = await stack.inspect(service);
    expect([service, config.User, host]).toEqual([
      service,
      '1000:1000',
      expect.objectContaining({
        ReadonlyRootfs: true,
        Privileged: false,
        CapDrop: ['ALL'],
        CapAdd: null,
        SecurityOpt: ['no-new-privileges:true'],
        RestartPolicy: expect.objectContaining({ Name: 'unless-stopped' }),
      }),
    ]);
    expect(host.Memory).toBeGreaterThan(0);
  }
});

test('docker logs in, pushes, pulls and logs out; without the right password it does nothing', async () => {
  const password = await secret('admin-password');
  const unknown = await login('admin', password);
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('certificate')]);
  await daemon.trust(registry, stack.file('tls/ca.crt'));

  expect((await login('admin', `${password}x`)).code).not.toBe(0);
  expect(await login('admin', password)).toMatchObject({ code: 0 });
  const image = await makeImage('team/app:v1', 3 * MIB);
  expect(await daemon.docker(['push', '-q', image.reference])).toMatchObject({ code: 0 });
  await pullsBack(image);

  expect(await daemon.docker(['logout', registry])).toMatchObject({ code: 0 });
  expect(await readFile(daemon.configFile, 'utf8')).not.toContain(registry);
  await daemon.docker(['rmi', '-f', image.reference]);
  const refused = await daemon.docker(['pull', '-q', image.reference]);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/no basic auth credentials/)]);
  expect(await login('admin', password)).toMatchObject({ code: 0 });
});

test('no secret is in the environment that Docker shows', async () => {
  const secrets = [...(await stack.files())].filter(([name]) =>
    /^secrets\/.*(key|secret|token|password)$/.test(name),
  );
  expect(secrets.length).toBeGreaterThan(8);
  for (const service of [...SERVICES, 'gitee']) {
    const shown = JSON.stringify((await stack.inspect(service)).Config);
    for (const [name, text] of secrets)
      expect([service, name, shown.includes(text.trim().split('\n').at(-2) ?? text.trim())]).toEqual([
        service,
        name,
        false,
      ]);
  }
});

test('port 80 leads to the name with its port, and S3 has a public name where .env says so', async () => {
  const curl = async (...args: string[]) => (await daemon.inside('curl', ['-s', ...args])).stdout;
  const away = ['-o', '/dev/null', '-w', '%{redirect_url}', `http://${NAME}:${httpPort}/v2/x?y=1`];
  expect(await curl(...away)).toBe(`https://${registry}/v2/x?y=1`);

  const s3 = `s3.${registry}`;
  // The address of the registry's name there.
  const { stdout: hosts } = await daemon.inside('getent', ['hosts', NAME]);
  const asked = [
    '--resolve',
    `${s3}:${hosts.split(' ')[0]}`,
    '--cacert',
    stack.file('tls/ca.crt'),
    `https://${s3}/`,
  ];
  expect(await curl(...asked)).toContain('This is a Docker registry');
  await writeFile(stack.file('.env'), `${await stack.read('.env')}S3_PUBLIC=yes\n`);
  await stack.mustCompose('up', '-d', '--no-deps', 'nginx');
  await untilServing();
  expect(await curl(...asked)).toContain('<Code>AccessDenied</Code>');
});

test('images.sh deletes an image of several tags only where that is meant', async () => {
  const image = await makeImage('team/twice:v1', MIB);
  await daemon.mustDocker('tag', image.reference, `${registry}/team/twice:v2`);
  for (const tag of ['v1', 'v2']) await daemon.mustDocker('push', '-q', `${registry}/team/twice:${tag}`);
  const images = (...args: string[]) => daemon.inside('bash', [stack.file('images.sh'), ...args]);
  expect((await images('list')).stdout).toMatch(/^team\/twice:v1\nteam\/twice:v2$/m);
  const refused = await images('delete', 'team/twice:v1');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('the same image as v2')]);
  expect(await images('delete', 'team/twice:v1', '--with-tags')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /^deleted team\/twice:v1@sha256:[0-9a-f]{64}, with the tags v2$/m,
    ) as string,
  });
  expect((await images('list')).stdout).not.toContain('team/twice');
  expect(await images('delete', 'team/twice:v1')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('there is no team/twice:v1 here') as string,
  });
});

test('gitee-s3 status and doctor in the container say that all is well', async () => {
  await stack.untilHealthy(...SERVICES, 'gitee');
  expect(await stack.gateway('status')).toMatchObject({ code: 0 });
  expect(await stack.gateway('doctor')).toMatchObject({ code: 0 });
});

test('a gateway that is killed in the middle of a push comes back by itself, and the push goes through', async () => {
  const image = await makeImage('team/killed:v1', 40 * MIB);
  const before = await stack.inspect('gateway');
  const pushed = daemon.docker(['push', '-q', image.reference]);
  await until('layers arrive', async () => {
    const { stdout } = await stack.logs('nginx');
    return /"method":"PUT","path":"\/registry\/docker\/registry\/v2\/repositories\/team\/killed\/_uploads/.test(
      stdout,
    );
  });
  process.kill(before.State.Pid, 'SIGKILL');
  // It may end well: docker begins a layer anew by itself, a few times.
  await pushed;
  await until('the gateway runs again', async () => {
    const { RestartCount: count, State: state } = await stack.inspect('gateway');
    return count > before.RestartCount && state.Pid > 0;
  });
  await untilServing();
  // At the first try: nobody waits until the lease of a container that is gone has grown old.
  expect((await stack.inspect('gateway')).RestartCount).toBe(before.RestartCount + 1);
  expect(await daemon.docker(['push', '-q', image.reference])).toMatchObject({ code: 0 });
  await pullsBack(image);
});

// Containers are stopped and made anew for a while.
if (process.env.LONG_TESTS) {
  test("containers that were started in another order, and so have each other's addresses, are found again", async () => {
    const addresses = async () =>
      Promise.all(
        ['gateway', 'registry'].map(async (service) => {
          const { NetworkSettings: settings } = await stack.inspect(service);
          return Object.values(settings.Networks)[0]!.IPAddress;
        }),
      );
    const before = await addresses();
    await stack.mustCompose('kill', 'gateway', 'registry');
    for (const service of before[0]! < before[1]! ? ['registry', 'gateway'] : ['gateway', 'registry'])
      await stack.mustCompose('start', service);
    expect(await addresses()).not.toEqual(before);
    await untilServing();
  });

  test('who went back to the image before, as docs/upgrade.md says, stays there when another service is started', async () => {
    const before = await daemon.mustDocker('inspect', '--format', '{{.Id}}', 'gitee-s3-gateway:latest');
    await daemon.mustDocker('tag', 'gitee-s3-gateway:latest', 'gitee-s3-gateway:before');
    await daemon.describeImage('gitee-s3-gateway:before', 'gitee-s3-gateway:latest', ['LABEL new=yes']);
    const block = commandBlocks('upgrade').find((text) => text.includes(':before gitee-s3-gateway:latest'))!;
    const tags = block.split('\n').filter((line) => line.startsWith('docker tag '));
    expect(tags).toHaveLength(2);
    for (const line of tags) await daemon.mustDocker(...line.split(' ').slice(1));
    expect(block).toContain('docker compose up -d --no-build gateway\n');
    await stack.mustCompose('up', '-d', '--no-build', 'gateway');
    await stack.mustCompose('up', '-d', 'registry');
    expect((await stack.inspect('gateway')).Image).toBe(before);
  });
}

test('after down and up everything is there again', async () => {
  const image = await makeImage('team/kept:v1', MIB);
  expect(await daemon.docker(['push', '-q', image.reference])).toMatchObject({ code: 0 });
  await stack.mustCompose('down');
  await stack.mustCompose('up', '-d');
  await untilServing();
  await pullsBack(image);
});

test('with LOGIN=token a Gitee account logs in, and docker keeps no Gitee token', async () => {
  const env = await stack.read('.env');
  await writeFile(stack.file('.env'), env.replace(/^LOGIN=.*$/m, 'LOGIN=token'));
  await rm(stack.file('registry.yml'));
  expect(await stack.setup('--yes', '--local', '--login', 'token', '--no-doctor')).toMatchObject({ code: 0 });
  await stack.mustCompose('up', '-d', '--force-recreate', '--no-deps', 'registry');
  await untilServing();

  const token = await secret('gitee-token');
  const wrong = await login('gateway-bot', 'not-a-token-of-gitee');
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('Gitee')]);
  expect(await login('gateway-bot', token)).toMatchObject({ code: 0 });
  expect(await readFile(daemon.configFile, 'utf8')).not.toMatch(
    new RegExp(`${token}|${btoa(`gateway-bot:${token}`).slice(0, 20)}`),
  );
  const image = await makeImage('team/token:v1', MIB);
  expect(await daemon.docker(['push', '-q', image.reference])).toMatchObject({ code: 0 });
  await pullsBack(image);
});

test('every log is JSON, a line each, without a secret', async () => {
  const secrets = [...(await stack.files())]
    .filter(([name]) => name.startsWith('secrets/') && !/\.(crt|env|json)$|htpasswd/.test(name))
    .map(([, text]) => text.trim().split('\n').at(-2) ?? text.trim());
  expect(secrets.length).toBeGreaterThan(8);
  for (const service of SERVICES) {
    const { stdout, stderr } = await stack.logs(service);
    // Nginx knows no JSON for its error log, which goes to standard error.
    // The registry starts its debug server beside reading how it is to log: that line comes in one form or the other.
    const lines = (service === 'nginx' ? stdout : stdout + stderr)
      .split('\n')
      .filter((line) => line !== '' && !/^time="\S+" level=info msg="debug server listening \S+"/.test(line));
    expect([service, lines.length > 0]).toEqual([service, true]);
    expect([service, lines.filter((line) => !line.startsWith('{'))]).toEqual([service, []]);
    for (const line of lines) expect(JSON.parse(line)).toEqual(expect.any(Object));
    for (const value of secrets)
      expect([service, (stdout + stderr).includes(value)]).toEqual([service, false]);
  }
});

test('a bundle brings all images to another host', async () => {
  const bundle = path.join(directory, 'bundle.tar');
  await stack.mustCompose('down', '-v');
  const git = (...args: string[]) =>
    mustRun('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
      cwd: stack.directory,
    });
  await writeFile(path.join(stack.directory, '.gitignore'), await readFile('.gitignore', 'utf8'));
  await git('init', '-q');
  await git('add', '.');
  await git('commit', '-q', '-m', 'checkout');
  expect(await stack.bundle('save', bundle)).toMatchObject({ code: 0 });

  const images = ['gitee-s3-gateway:latest', 'registry:2.7.1', 'nginx:1.26'];
  await daemon.mustDocker('rmi', '-f', ...images, 'stand-in:base');
  expect(await stack.bundle('load', bundle)).toMatchObject({ code: 0 });
  await daemon.mustDocker('image', 'inspect', ...images);

  const unpacked = path.join(directory, 'unpacked');
  await mkdir(unpacked);
  await mustRun('tar', ['-xf', bundle, '-C', unpacked, 'gitee-s3.tar.gz']);
  const { stdout: names } = await mustRun('tar', ['-tzf', path.join(unpacked, 'gitee-s3.tar.gz')]);
  expect(names).toContain('gitee-s3/deploy/compose.yaml');
  expect(names).not.toMatch(/secrets\/|tls\/|\/\.env$/m);
});
