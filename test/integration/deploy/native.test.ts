/** The install without Docker: deploy/systemd, and (LONG_TESTS=1, since npm downloads) `setup.sh --native` itself. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { mustRun, run } from '../../support/child.js';
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
  const inImage = [...image.matchAll(/\b(?:NODE_OPTIONS="[^"]*"|MALLOC_[A-Z_]+=\d+)/g)].map(([bound]) =>
    bound.replaceAll('"', ''),
  );
  const inUnit = (await directives('gitee-s3-gateway.service', 'Environment')).flatMap((value) =>
    value.startsWith('"') ? [value.slice(1, -1)] : value.split(' '),
  );
  expect(inImage).toHaveLength(4);
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

if (process.env.LONG_TESTS) {
  test(
    'setup.sh --native installs everything, Gitee is content, and a second run changes no setting',
    async () => {
      const checkout = path.join(directory, 'checkout');
      await mkdir(checkout);
      const parts = ['src', 'deploy', 'nginx', 'registry-config'];
      const files = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
      for (const name of [...parts, ...files]) await cp(name, path.join(checkout, name), { recursive: true });
      await symlink(path.resolve('node_modules'), path.join(checkout, 'node_modules'));
      const script = `
      set -eu
      for place in etc opt usr/local var/lib; do
        mkdir -p "$1/upper/$place" "$1/work/$place"
        mount -t overlay overlay -o "lowerdir=/$place,upperdir=$1/upper/$place,workdir=$1/work/$place" "/$place"
      done
      settings() { cat /etc/gitee-s3/*.y*ml /etc/gitee-s3/secrets/* /etc/nginx/tls/* /etc/systemd/system/gitee-s3* | sha256sum; }
      setup() { bash "$2/deploy/setup.sh" --native --local --yes; }
      setup "$@"
      before=$(settings)
      setup "$@" | grep -c '^kept'
      [ "$(settings)" = "$before" ]
      unshare --net nginx -t
    `;
      // The machine keeps none of it: the mounts of that namespace go with its last process.
      const installed = await mustRun(
        'unshare',
        ['--mount', '--propagation', 'private', '--', 'bash', '-c', script, 'bash', directory, checkout],
        { timeoutMs: 4 * PROGRAM_LIMIT_MS },
      );
      expect(installed.stdout).toContain('git push acme/images: Pushes have');
      expect(installed.stderr).toContain('test is successful');
    },
    4 * TEST_LIMIT_MS,
  );
}
