/** The install without Docker: deploy/systemd, and (LONG_TESTS=1, since npm downloads) `setup.sh --native` itself. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { mustRun, run, type RunResult } from '../../support/child.js';
import { PROGRAM_LIMIT_MS, TEST_LIMIT_MS } from '../../support/time-limits.js';

const UNITS = 'deploy/systemd';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'native-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** The values of a directive, in all sections. */
async function directives(unit: string, name: string): Promise<string[]> {
  const text = await readFile(path.join(UNITS, unit), 'utf8');
  return [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map((match) => match[1]!);
}

test('every line of the units is a comment, a section or a directive, and both programs are shut in', async () => {
  for (const unit of await readdir(UNITS)) {
    const lines = (await readFile(path.join(UNITS, unit), 'utf8')).split('\n');
    expect(lines.filter((line) => !/^(#.*|\[(Unit|Service|Install)\]|[A-Z]\w+=\S?.*|)$/.test(line))).toEqual(
      [],
    );
  }
  for (const unit of ['gitee-s3-gateway.service', 'gitee-s3-registry.service']) {
    expect(await directives(unit, 'ProtectSystem')).toEqual(['strict']);
    expect(await directives(unit, 'NoNewPrivileges')).toEqual(['yes']);
    expect(await directives(unit, 'CapabilityBoundingSet')).toEqual(['']);
    expect(await directives(unit, 'Restart')).toEqual(['always']);
    expect([...(await directives(unit, 'User')), ...(await directives(unit, 'DynamicUser'))]).not.toEqual([]);
  }
  const [wants] = await directives('gitee-s3.target', 'Wants');
  expect(wants?.split(' ').sort()).toEqual(['gitee-s3-gateway.service', 'gitee-s3-registry.service']);
});

test('memory has the bounds of the image', async () => {
  const image = await readFile('deploy/Dockerfile', 'utf8');
  const inImage = [...image.matchAll(/\b(?:NODE_OPTIONS|LD_PRELOAD|MALLOC_CONF)="[^"]*"/g)].map(([bound]) =>
    bound.replaceAll('"', ''),
  );
  const inUnit = (await directives('gitee-s3-gateway.service', 'Environment')).flatMap((value) =>
    value.startsWith('"') ? [value.slice(1, -1)] : value.split(' '),
  );
  expect(inImage).toHaveLength(3);
  expect(inUnit).toEqual(inImage);
});

test('systemd has nothing to say about the units', async () => {
  const copies = path.join(directory, 'units');
  await mkdir(copies);
  for (const unit of await readdir(UNITS)) {
    const text = await readFile(path.join(UNITS, unit), 'utf8');
    // What setup.sh installs is not there.
    await writeFile(
      path.join(copies, unit),
      text.replaceAll(/\/usr\/local\/bin\/gitee-s3|\/usr\/bin\/docker-registry/g, process.execPath),
    );
  }
  const files = (await readdir(copies)).map((unit) => path.join(copies, unit));
  expect(await run('systemd-analyze', ['verify', '--man=no', ...files])).toEqual({
    code: 0,
    stdout: '',
    stderr: '',
  });
});

/** The files that git and an operator keep in a checkout, beside what the installer reads. */
const KEPT = {
  '.git/HEAD': 'ref: refs/heads/master',
  'deploy/secrets/token.key': 'key',
  'notes.txt': 'mine',
};

/** A checkout with an operator's files in it. */
async function makeCheckout(checkout: string): Promise<void> {
  const parts = ['src', 'deploy', 'nginx', 'registry-config'];
  const files = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  for (const name of [...parts, ...files])
    await cp(name, path.join(checkout, name), { recursive: true, filter: (source) => !MADE.test(source) });
  for (const [name, content] of Object.entries(KEPT)) {
    await mkdir(path.dirname(path.join(checkout, name)), { recursive: true });
    await writeFile(path.join(checkout, name), content);
  }
}

/** What a checkout has not. */
const MADE = /^deploy\/(\.env|secrets|tls|acme|registry\.yml|gateway\.env)(\/|$)/;

async function expectKept(checkout: string): Promise<void> {
  for (const [name, content] of Object.entries(KEPT))
    expect([name, await readFile(path.join(checkout, name), 'utf8')]).toEqual([name, content]);
}

/** setup.sh of this checkout, as far as no service needs to run. */
const setup = (checkout: string, root: string) =>
  run('bash', [
    path.join(checkout, 'deploy/setup.sh'),
    ...['--native', '--local', '--yes', '--no-doctor', '--root', root],
  ]);

test.each([
  ['in the place of the program', 'usr/local/lib/gitee-s3'],
  ['below it', 'usr/local/lib/gitee-s3/checkout'],
  ['in the place of the last program', 'usr/local/lib/gitee-s3.old'],
])('setup.sh --native refuses a checkout that lies %s, and touches nothing of it', async (_where, place) => {
  const root = await mkdtemp(path.join(directory, 'root-'));
  const checkout = path.join(root, place);
  await makeCheckout(checkout);
  const result = await setup(checkout, root);
  expect(result).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('this checkout lies in') as string,
  });
  await expectKept(checkout);
});

test('setup.sh --native refuses a root within the checkout, and a program that it did not install', async () => {
  const root = await mkdtemp(path.join(directory, 'root-'));
  const checkout = path.join(root, 'opt/gitee-s3');
  await makeCheckout(checkout);
  expect(await setup(checkout, path.join(checkout, 'there'))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('within this checkout') as string,
  });
  for (const name of ['gitee-s3', 'gitee-s3.new', 'gitee-s3.old']) {
    const foreign = path.join(root, 'usr/local/lib', name);
    await mkdir(foreign, { recursive: true });
    await writeFile(path.join(foreign, 'precious'), 'mine');
    expect(await setup(checkout, root)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${foreign} is there and was not made by this script`) as string,
    });
    expect(await readFile(path.join(foreign, 'precious'), 'utf8')).toBe('mine');
    await rm(foreign, { recursive: true });
  }
  await expectKept(checkout);
});

/** Where README has the checkout, and where `--native` installs: an overlay each, so that the machine keeps none of it. */
const OVERLAYS = `
  for place in etc opt usr/local var/lib; do
    mkdir -p "$1/upper/$place" "$1/work/$place"
    mount -t overlay overlay -o "lowerdir=/$place,upperdir=$1/upper/$place,workdir=$1/work/$place" "/$place"
  done
  settings() { cat /etc/gitee-s3/*.y*ml /etc/gitee-s3/secrets/* /etc/nginx/tls/* /etc/systemd/system/gitee-s3* | sha256sum; }
`;

/** @param script has the test's directory in $1 */
function onMachine(script: string, at: string, timeoutMs = PROGRAM_LIMIT_MS): Promise<RunResult> {
  const args = ['--mount', '--propagation', 'private', '--', 'bash', '-euc', OVERLAYS + script, 'bash', at];
  return mustRun('unshare', args, { timeoutMs });
}

test('run as README says, from /opt/gitee-s3, and twice: the checkout stays, the program is elsewhere', async () => {
  const at = await mkdtemp(path.join(directory, 'machine-'));
  await makeCheckout(path.join(at, 'upper/opt/gitee-s3'));
  // What npm would fetch and build, which takes minutes: the next test, and it is --long.
  await mkdir(path.join(at, 'bin'));
  const npm = `#!/bin/sh
    case $1 in
      ci) mkdir -p node_modules && : >node_modules/.package-lock.json ;;
      run) mkdir -p dist/cli && echo 'console.log("the program", process.argv.slice(2).join(" "))' >dist/cli/main.js ;;
    esac`;
  await writeFile(path.join(at, 'bin/npm'), npm, { mode: 0o755 });
  const node = `#!/bin/sh\n[ "$1" != -p ] || exec echo 24\nexec ${process.execPath} "$@"\n`;
  await writeFile(path.join(at, 'bin/node'), node, { mode: 0o755 });
  const script = `
    export PATH="$1/bin:$PATH"
    cd /opt/gitee-s3
    for round in 1 2; do bash deploy/setup.sh --native --local --yes --no-doctor; settings; done
    echo "$(/usr/local/bin/gitee-s3 of round 2)"
    ls /usr/local/lib
    group=$(getent group gitee-s3 | cut -d: -f3)
    readable() { setpriv --reuid "$1" --regid "$1" "$2" "$3" sh -c 'cd /etc/gitee-s3/secrets && for file in *; do ! [ -r "$file" ] || printf "%s " "$file"; done' 2>&1 || :; }
    echo "others: $(readable 64001 --clear-groups --)"
    echo "registry: $(readable 64001 --groups "$group")"
    echo "gateway: $(readable gitee-s3 --groups "$group")"
    rm /etc/systemd/system/gitee-s3-registry.service
    echo '[Service]' >/etc/systemd/system/gitee-s3-registry.service
    bash deploy/setup.sh --native --local --yes --no-doctor >/dev/null
    cat /etc/systemd/system/gitee-s3-registry.service /etc/systemd/system/gitee-s3-registry.service.d/*
  `;
  const { stdout } = await onMachine(script, at);
  const sums = [...stdout.matchAll(/^([0-9a-f]{64}) {2}-$/gm)].map(([, sum]) => sum);
  expect(sums).toHaveLength(2);
  expect(sums[1]).toBe(sums[0]);
  expect(stdout).toContain('the program of round 2');
  expect(stdout).toMatch(/^gitee-s3\ngitee-s3\.old$/m);
  // What the registry, which has a user of its own at each start, reads by the group of its unit; and nobody else.
  expect(stdout).toMatch(/^others: .*can't cd/m);
  expect(stdout).toMatch(/^registry: htpasswd token\.crt $/m);
  expect(stdout).toMatch(/^gateway: .*encryption-key gitee-token .*token\.key/m);
  // A unit that somebody changed stays, and has what it needs beside it.
  expect(stdout).toMatch(/^\[Service\]\n\[Service\]\nSupplementaryGroups=gitee-s3$/m);
  expect(await readdir(path.join(at, 'upper/opt'))).toEqual(['gitee-s3']);
  await expectKept(path.join(at, 'upper/opt/gitee-s3'));
});

if (process.env.LONG_TESTS) {
  test(
    'setup.sh --native installs everything, Gitee is content, and a second run changes no setting',
    async () => {
      const at = await mkdtemp(path.join(directory, 'machine-'));
      const checkout = path.join(at, 'upper/opt/gitee-s3');
      await makeCheckout(checkout);
      // A copy: the installer may install them anew.
      await mustRun('cp', ['-a', path.resolve('node_modules'), checkout]);
      const script = `
        setup() { bash /opt/gitee-s3/deploy/setup.sh --native --local --yes; }
        setup
        before=$(settings)
        setup | grep -c '^kept'
        [ "$(settings)" = "$before" ]
        gitee-s3 version
        unshare --net nginx -t
      `;
      const installed = await onMachine(script, at, 4 * PROGRAM_LIMIT_MS);
      expect(installed.stdout).toContain('git push acme/images: Pushes have');
      expect(installed.stdout).toContain('storage format');
      expect(installed.stderr).toContain('test is successful');
      await expectKept(checkout);
    },
    4 * TEST_LIMIT_MS,
  );
}
