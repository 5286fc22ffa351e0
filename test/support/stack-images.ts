import { chmod, chown, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun } from './child.js';
import type { DockerDaemon } from './docker.js';

/** Programs of this machine that the containers run; busybox stands in for all others. */
const PROGRAMS = [
  'node',
  'git',
  'nginx',
  'docker-registry',
  'busybox',
  'tini',
  'curl',
  'sh',
  'sed',
  'awk',
  'find',
  'du',
  'cksum',
  'getent',
];
/** git's parts that are no links to git itself: what an HTTP remote and its server need. */
const GIT_PARTS = ['git', 'git-http-backend', 'git-remote-http'];
/** The containers' user, as deploy/compose.yaml has it. */
const CONTAINER_UID = 1000;

/**
 * Makes stand-ins for the images that compose.yaml names, since no image registry is reached from here: one root
 * directory of this machine's programs, and three images on it. The gateway's has what the last stage of
 * deploy/Dockerfile declares; the others have the entrypoint of the official ones.
 */
export async function makeStackImages(daemon: DockerDaemon, directory: string): Promise<void> {
  const tarFile = path.join(directory, 'rootfs.tar');
  await packRootfs(path.join(directory, 'rootfs'), tarFile);
  await daemon.importImage(tarFile, 'stand-in:base');
  await daemon.describeImage(
    'stand-in:base',
    'gitee-s3-gateway:latest',
    declarations(await readFile('deploy/Dockerfile', 'utf8')),
  );
  await daemon.describeImage('stand-in:base', 'registry:2.7.1', [
    'ENV OTEL_TRACES_EXPORTER=none',
    'VOLUME /var/lib/registry',
    'EXPOSE 5000',
    'ENTRYPOINT ["registry", "serve"]',
    'CMD ["/etc/docker/registry/config.yml"]',
  ]);
  await daemon.describeImage('stand-in:base', 'nginx:1.26', [
    'EXPOSE 80',
    'STOPSIGNAL SIGQUIT',
    `CMD ["nginx", "-g", "daemon off;"]`,
  ]);
}

/** What the last stage of a Dockerfile says about the image, without what it copies and runs. */
function declarations(dockerfile: string): string[] {
  const stage = dockerfile.slice(dockerfile.lastIndexOf('\nFROM ')).replaceAll(/^#.*\n/gm, '');
  return stage
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) =>
      /^(ENV|LABEL|USER|VOLUME|EXPOSE|STOPSIGNAL|HEALTHCHECK|ENTRYPOINT|CMD|WORKDIR) /.test(line),
    );
}

/**
 * Two trees go into one archive: `linked` holds links to files of the machine, of which the content is taken
 * (nothing is copied twice), `plain` is taken as it is.
 */
async function packRootfs(directory: string, tarFile: string): Promise<void> {
  const [linked, plain] = [path.join(directory, 'linked'), path.join(directory, 'plain')];
  const link = async (from: string, to: string) => {
    const target = path.join(linked, to);
    await mkdir(path.dirname(target), { recursive: true });
    await symlink(await realpath(from), target);
  };
  const linkPlain = async (to: string, at: string) => {
    const file = path.join(plain, at);
    await mkdir(path.dirname(file), { recursive: true });
    await symlink(to, file);
  };

  const files = new Map<string, string>();
  for (const name of PROGRAMS) files.set(`/usr/bin/${name}`, await which(name));
  for (const name of GIT_PARTS) files.set(`/usr/lib/git-core/${name}`, `/usr/lib/git-core/${name}`);
  for (const library of await libraries([...files.values(), ...(await nativeModules())]))
    files.set(library, library);
  for (const library of await preloaded()) files.set(library, library);
  files.set('/etc/ssl/certs/ca-certificates.crt', '/etc/ssl/certs/ca-certificates.crt');
  for (const [to, from] of files) await link(from, to);

  const program = '/opt/gitee-s3';
  await link('dist', `${program}/dist`);
  await link('package.json', `${program}/package.json`);
  for (const name of await productionPackages()) await link(name, `${program}/${name}`);

  await linkPlain(`${program}/dist/cli/main.js`, 'usr/local/bin/gitee-s3');
  await linkPlain('docker-registry', 'usr/bin/registry');
  await linkPlain('git-remote-http', 'usr/lib/git-core/git-remote-https');
  await linkPlain('usr/bin', 'bin');
  await linkPlain('usr/bin', 'sbin');
  const applets = (await mustRun('busybox', ['--list'])).stdout.trim().split('\n');
  for (const applet of applets)
    if (!PROGRAMS.includes(applet)) await linkPlain('busybox', `usr/bin/${applet}`);
  // As in Nginx's own image: what it writes before it has read its configuration goes to standard error.
  await linkPlain('/dev/stderr', 'var/log/nginx/error.log');
  for (const name of ['tmp', 'run', 'proc', 'sys', 'dev', 'etc', 'root', 'var/lib/nginx', 'var/lib/gitee-s3'])
    await mkdir(path.join(plain, name), { recursive: true });
  // What a tmpfs over it has, too.
  await chmod(path.join(plain, 'tmp'), 0o1777);
  const state = path.join(plain, 'var/lib/gitee-s3');
  await chmod(state, 0o700);
  await chown(state, CONTAINER_UID, CONTAINER_UID);
  await writeFile(
    path.join(plain, 'etc/passwd'),
    `root:x:0:0:root:/root:/bin/sh\nnode:x:${CONTAINER_UID}:${CONTAINER_UID}::/tmp:/bin/sh\n`,
  );
  await writeFile(path.join(plain, 'etc/group'), `root:x:0:\nnode:x:${CONTAINER_UID}:\n`);
  await writeFile(path.join(plain, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');

  const unread = ['*.d.ts', '*.d.mts', '*.d.cts', '*.map'].map((pattern) => `--exclude=${pattern}`);
  await mustRun('tar', ['--dereference', ...unread, '-cf', tarFile, '-C', linked, '.']);
  // Docker takes no archive that has a path twice, so directories of both trees are not told again.
  const { stdout: names } = await mustRun('find', ['.', '!', '-type', 'd', '-o', '-type', 'd', '-empty'], {
    cwd: plain,
  });
  await mustRun('tar', ['-rf', tarFile, '-C', plain, '--no-recursion', '-T', '-'], { input: names });
}

async function which(name: string): Promise<string> {
  const { stdout } = await mustRun('sh', ['-c', 'PATH=$PATH:/usr/sbin command -v "$0"', name]);
  return realpath(stdout.trim());
}

/** What the gateway's image has beside its programs: the allocator. */
async function preloaded(): Promise<string[]> {
  const { stdout } = await mustRun('sh', ['-c', 'PATH=$PATH:/usr/sbin ldconfig -p']);
  const found = /libjemalloc\.so\.2 .*=> (\/\S+)/.exec(stdout)?.[1];
  if (!found) throw new Error('libjemalloc2 is not installed');
  return [found, ...(await libraries([found]))];
}

/** Shared libraries of programs, by the names under which the loader looks for them. */
async function libraries(programs: readonly string[]): Promise<Set<string>> {
  const { stdout } = await mustRun('sh', ['-c', 'ldd "$@" || true', 'sh', ...programs]);
  return new Set([...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map((match) => match[1]!));
}

async function nativeModules(): Promise<string[]> {
  const { stdout } = await mustRun('find', ['-L', 'node_modules/@lmdb', '-name', '*.node']);
  return stdout.trim().split('\n');
}

/** Directories in node_modules that `npm prune --omit=dev` would leave. */
async function productionPackages(): Promise<string[]> {
  const lock = JSON.parse(await readFile('node_modules/.package-lock.json', 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
  };
  return Object.entries(lock.packages)
    .filter(
      ([name, { dev, devOptional }]) => !dev && !devOptional && /^node_modules\/(@[^/]+\/)?[^/]+$/.test(name),
    )
    .map(([name]) => name);
}
