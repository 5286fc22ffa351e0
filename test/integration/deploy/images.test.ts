/** deploy/images.sh before a registry that fails: nothing that could not be asked is taken for nothing. */
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { run } from '../../support/child.js';
import { makeCertificate } from '../../support/nginx.js';

/** Two images; in the second, two tags of one manifest. A digit each stands for a digest. */
const TAGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'team/app': { v1: '1', v2: '2' },
  'team/twins': { left: '3', right: '3' },
};
const digestOf = (digit: string) => `sha256:${digit.repeat(64)}`;

let directory: string;
let server: Server;
let host: string;
/** Method and path of each request below /v2/. */
let asked: string[] = [];
/** Status of requests whose method and path fit. */
let failing: [what: RegExp, status: number] | undefined;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'images-'));
  for (const name of ['tls', 'secrets']) await mkdir(path.join(directory, name));
  for (const name of ['images.sh', 'setup-files.sh']) await cp(`deploy/${name}`, path.join(directory, name));
  await makeCertificate(path.join(directory, 'tls'), 'registry', ['DNS:localhost']);
  await cp(path.join(directory, 'tls/registry.crt'), path.join(directory, 'tls/ca.crt'));
  const pair = {
    key: await readFile(path.join(directory, 'tls/registry.key')),
    cert: await readFile(path.join(directory, 'tls/registry.crt')),
  };
  server = createServer(pair, (request, response) => {
    const what = `${request.method} ${request.url}`;
    asked.push(what);
    const [, name, kind, last] = /^\/v2\/(team\/\w+)\/(tags|manifests)\/([\w:]+)/.exec(request.url!) ?? [];
    const tags = TAGS[name ?? ''];
    const status = failing?.[0].test(what) ? failing[1] : name !== undefined && !tags ? 404 : 200;
    if (kind === 'manifests' && tags?.[last!])
      response.setHeader('Docker-Content-Digest', digestOf(tags[last!]!));
    response.statusCode = request.method === 'DELETE' && status === 200 ? 202 : status;
    if (status !== 200) response.end('{"errors":[{"code":"X","message":"why"}]}');
    else if (request.url!.includes('_catalog?n=500&last=team')) response.end('{"repositories":[]}');
    else if (request.url!.includes('_catalog'))
      response.end(JSON.stringify({ repositories: Object.keys(TAGS) }));
    else response.end(kind === 'tags' ? JSON.stringify({ name, tags: Object.keys(tags!) }) : '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  host = `localhost:${(server.address() as AddressInfo).port}`;
  await writeFile(path.join(directory, '.env'), `REGISTRY_HOST=${host}\nLOGIN=htpasswd\nTLS=self-signed\n`);
  await writeFile(path.join(directory, 'secrets/admin-password'), 'password\n');
});

afterAll(async () => {
  server.close();
  await rm(directory, { recursive: true });
});

beforeEach(() => {
  asked = [];
  failing = undefined;
});

const images = (...args: string[]) => run('bash', [path.join(directory, 'images.sh'), ...args]);

test('lists all, and the tags of one', async () => {
  const all = 'team/app:v1\nteam/app:v2\nteam/twins:left\nteam/twins:right\n';
  expect(await images('list')).toMatchObject({ code: 0, stdout: all });
  const one = `team/app:v1  ${digestOf('1')}\nteam/app:v2  ${digestOf('2')}\n`;
  expect(await images('list', 'team/app')).toMatchObject({ code: 0, stdout: one });
});

test('what is not there is said not to be there', async () => {
  for (const [args, name] of [
    [['list', 'team/none'], 'team/none'],
    [['delete', 'team/none:v1'], 'team/none:v1'],
  ] as const) {
    const { code, stderr } = await images(...args);
    expect([code, stderr]).toEqual([1, `images: there is no ${name} here\n`]);
  }
});

test.each([
  [['list'], /_catalog/, 503],
  [['list'], /_catalog/, 401],
  [['list'], /twins\/tags/, 503],
  [['list', 'team/app'], /tags/, 500],
  [['list', 'team/app'], /manifests\/v2/, 503],
  [['delete', 'team/app:v1'], /manifests\/v1/, 503],
  [['delete', 'team/twins:left'], /tags/, 503],
  [['delete', 'team/twins:left'], /tags/, 403],
  [['delete', 'team/twins:left'], /manifests\/right/, 503],
  [['delete', 'team/app:v1'], /DELETE/, 401],
  [['delete', 'team/app:v1'], /DELETE/, 405],
] as const)('%j where %s is answered %d fails, says it and deletes nothing', async (args, what, status) => {
  failing = [what, status];
  const { code, stderr } = await images(...args);
  expect([code, stderr]).toEqual([1, expect.stringMatching(new RegExp(`^images: .*${status} `))]);
  expect(asked.filter((one) => one.startsWith('DELETE'))).toHaveLength(
    String(what).includes('DELETE') ? 1 : 0,
  );
});

test('no registry, no password file, nobody who asks: each has its sentence', async () => {
  const env = await readFile(path.join(directory, '.env'), 'utf8');
  const withEnv = async (text: string, ...args: string[]) => {
    await writeFile(path.join(directory, '.env'), text);
    return images(...args).finally(() => writeFile(path.join(directory, '.env'), env));
  };
  expect(await withEnv(env.replace(host, 'localhost:1'), 'list')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('images: localhost:1 gives no answer'),
  });
  expect(await withEnv(env.replace('htpasswd', 'token'), 'list')).toMatchObject({
    code: 1,
    stderr: 'images: say who asks: --user LOGIN --password-file FILE\n',
  });
  expect(await images('list', '--password-file', '/none')).toMatchObject({
    code: 1,
    stderr: 'images: /none cannot be read: start this as root, or name another --password-file\n',
  });
});

test('an image of several tags is deleted with them only where that is meant', async () => {
  const refused = await images('delete', 'team/twins:left');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('same image as right')]);
  expect(await images('delete', 'team/twins:left', '--with-tags')).toMatchObject({
    code: 0,
    stdout: `deleted team/twins:left@${digestOf('3')}, with the tags right\n`,
  });
  expect(await images('delete', 'team/app:v1')).toMatchObject({
    code: 0,
    stdout: `deleted team/app:v1@${digestOf('1')}\n`,
  });
});
