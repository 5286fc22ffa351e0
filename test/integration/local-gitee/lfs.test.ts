import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { basic, GitClient, oidOf } from './git-client.js';
import { LfsClient, put } from './lfs-client.js';

describe('Git LFS', () => {
  let gitee: RunningLocalGitee;
  let lfs: LfsClient;

  beforeAll(async () => {
    gitee = await startLocalGitee();
    lfs = new LfsClient(gitee.url, 'acme/images', gitee.token);
  });

  afterAll(() => gitee.stop());

  const stats = async (repo = 'acme/images') => (await gitee.stats()).repositories[repo]!;
  const configure = (fields: Record<string, unknown>) =>
    gitee.admin('repositories', { owner: 'acme', name: 'images', ...fields });

  describe('the real git-lfs', () => {
    let client: GitClient;

    const start = async (headerScope?: string) => {
      client = await GitClient.create(gitee, { token: gitee.token, ...(headerScope ? { headerScope } : {}) });
      await client.init(`${gitee.url}/acme/files.git`);
      await client.git('lfs', 'install', '--local');
      await client.git('lfs', 'track', '*.bin');
      const files = [randomBytes(3_000_000), randomBytes(10), randomBytes(70_000)];
      for (const [i, bytes] of files.entries()) {
        await writeFile(path.join(client.directory, `${i}.bin`), bytes);
      }
      await client.git('add', '.');
      await client.git('commit', '-q', '-m', 'three files');
      return files;
    };

    afterEach(() => client.remove());

    test('pushes and pulls, calls verify for each object, and sends its login to nobody else', async () => {
      const files = await start();
      await client.git('push', '-q', 'origin', 'master');
      expect(await stats('acme/files')).toMatchObject({
        lfsObjects: 3,
        uploads: 3,
        verifyCalls: 3,
        tokenLeaks: 0,
      });
      await client.git('clone', '-q', `${gitee.url}/acme/files.git`, 'copy');
      await client.git('-C', 'copy', 'lfs', 'install', '--local');
      await client.git('-C', 'copy', 'lfs', 'pull');
      for (const [i, bytes] of files.entries()) {
        expect((await readFile(path.join(client.directory, 'copy', `${i}.bin`))).equals(bytes)).toBe(true);
      }
      expect(await stats('acme/files')).toMatchObject({ downloads: 3, tokenLeaks: 0 });
    });

    test('is caught when its configuration sends the Gitee token to every host', async () => {
      await start('http.extraHeader');
      const pushed = await client.try('push', 'origin', 'HEAD:refs/heads/leak');
      expect(pushed.code).not.toBe(0);
      const { tokenLeaks } = await gitee.stats();
      expect(tokenLeaks.length).toBeGreaterThan(0);
      expect(tokenLeaks[0]).toMatchObject({ method: 'PUT', repo: 'acme/files' });
      expect((await stats('acme/files')).tokenLeaks).toBe(tokenLeaks.length);
    });
  });

  test('refuses a Gitee token at the data port in whatever form it comes', async () => {
    const bytes = randomBytes(100);
    await lfs.upload(bytes);
    const { href } = await lfs.link('download', bytes);
    const before = (await stats()).tokenLeaks;
    for (const headers of [
      { Authorization: basic(gitee.token) },
      { Authorization: `Bearer ${gitee.token}` },
      { Authorization: `token ${gitee.token}` },
      { 'PRIVATE-TOKEN': gitee.token },
      { Cookie: gitee.token },
    ]) {
      expect((await fetch(href, { headers })).status).toBe(400);
    }
    expect((await fetch(`${href}&access_token=${gitee.token}`)).status).toBe(400);
    expect((await stats()).tokenLeaks).toBe(before + 6);
    expect((await fetch(href)).status).toBe(200);
  });

  test('answers batches as the specification and Gitee do', async () => {
    const post = (headers: Record<string, string>, body: unknown = { operation: 'download', objects: [] }) =>
      lfs.post('objects/batch', body, headers);
    expect((await post({})).status).toBe(200);
    expect((await post({ Accept: 'application/json' })).status).toBe(406);
    expect((await post({ 'Content-Type': 'application/json' })).status).toBe(415);
    expect((await post({}, 'no json')).status).toBe(400);
    expect((await post({}, { operation: 'delete', objects: [] })).status).toBe(422);
    expect((await post({}, { operation: 'download', hash_algo: 'sha512', objects: [] })).status).toBe(409);
    const objects = Array.from({ length: 1001 }, (_, i) => ({ oid: oidOf(Buffer.from([i])), size: 1 }));
    expect((await lfs.batch('download', objects)).status).toBe(413);
    const answer = await lfs.batch('download', [...objects.slice(0, 999), { oid: 'x', size: 1 }]);
    expect(answer.objects[0]?.error?.code).toBe(404);
    expect(answer.objects[999]?.error?.code).toBe(422);
    const strangers = await new LfsClient(gitee.url, 'acme/images', undefined).batch('download', []);
    expect(strangers.status).toBe(401);
    expect(strangers.headers.get('lfs-authenticate')).toMatch(/^Basic/);
    expect((await new LfsClient(gitee.url, 'acme/none', gitee.token).batch('download', [])).status).toBe(404);
  });

  test('says that the plan has no LFS before it asks who is there', async () => {
    await gitee.admin('repositories', { owner: 'acme', name: 'plain', private: true });
    const plain = new LfsClient(gitee.url, 'acme/plain', undefined);
    const message = 'LFS only supported repository in paid or trial enterprise.';
    expect(await plain.batch('download', [])).toMatchObject({
      status: 403,
      text: JSON.stringify({ message }),
    });
    expect(await plain.post('locks/verify', {})).toMatchObject({
      status: 401,
      text: JSON.stringify({ message }),
    });
  });

  test('refuses uploads to who may only read', async () => {
    await configure({ collaborators: { gateway: 'pull' } });
    expect((await lfs.batch('download', [])).status).toBe(200);
    expect((await lfs.batch('upload', [])).status).toBe(403);
    await configure({ collaborators: { gateway: 'push', maintainer: 'admin' } });
  });

  test('names the object when it is missing, and asks nothing of one that it has', async () => {
    const bytes = randomBytes(1000);
    const object = { oid: oidOf(bytes), size: bytes.length };
    const first = (await lfs.batch('upload', [object])).objects[0]!;
    expect(first.actions?.upload?.href).toMatch(
      new RegExp(
        `^${gitee.lfsUrl}/api/lfs/storage/projects/4711/${object.oid}\\?Expires=\\d+&Signature=.+&FileName=`,
      ),
    );
    expect(first.actions?.upload?.expires_in).toBe(3600);
    expect(await lfs.upload(bytes)).toBe(200);
    const second = (await lfs.batch('upload', [object])).objects[0]!;
    expect(second).toEqual(object);
    expect((await lfs.batch('upload', [{ ...object, size: 1 }])).objects[0]?.error?.code).toBe(422);
    const verify = first.actions!.verify!;
    const check = (size: number) =>
      fetch(verify.href, {
        method: 'POST',
        headers: { ...verify.header, 'Content-Type': 'application/vnd.git-lfs+json' },
        body: JSON.stringify({ oid: object.oid, size }),
      });
    expect((await check(1000)).status).toBe(200);
    expect((await check(999)).status).toBe(403);
    expect((await lfs.post('verify', { oid: object.oid, size: 999 })).status).toBe(422);
    expect((await lfs.post('verify', { oid: oidOf(randomBytes(9)), size: 9 })).status).toBe(404);
  });

  test('stores nothing whose size or hash is not as announced, or whose headers are not as asked', async () => {
    const bytes = randomBytes(5000);
    const action = await lfs.link('upload', bytes);
    const before = await stats();
    const wrong = Buffer.from(bytes);
    wrong[0] = wrong[0]! ^ 1;
    expect(await put(action, wrong)).toBe(422);
    expect(await put(action, bytes.subarray(1))).toBe(422);
    expect(await put({ ...action, header: { 'Content-Type': 'application/octet-stream' } }, bytes)).toBe(400);
    expect(await put({ ...action, href: action.href.replace('Size=5000', 'Size=4999') }, bytes)).toBe(403);
    expect(await put({ ...action, href: action.href.replace(/Expires=\d+/, 'Expires=1') }, bytes)).toBe(403);
    expect((await fetch(action.href)).status).toBe(403);
    expect(await stats()).toMatchObject({ lfsObjects: before.lfsObjects, lfsBytes: before.lfsBytes });
    expect(await readdir(path.join(gitee.dataDir, 'lfs-incoming'))).toEqual([]);
    expect(await put(action, bytes)).toBe(200);
    expect(await put(action, bytes)).toBe(200);
    expect(await stats()).toMatchObject({
      lfsObjects: before.lfsObjects + 1,
      lfsBytes: before.lfsBytes + 5000,
    });
  });

  test('serves ranges, the empty object, and heads', async () => {
    const bytes = randomBytes(10_000);
    const empty = Buffer.alloc(0);
    await lfs.upload(bytes);
    await lfs.upload(empty);
    const range = async (text: string) => {
      const answer = await lfs.download(bytes, { Range: text });
      return [
        answer.status,
        answer.headers.get('content-range'),
        Buffer.from(await answer.arrayBuffer()),
      ] as const;
    };
    expect(await range('bytes=0-0')).toEqual([206, 'bytes 0-0/10000', bytes.subarray(0, 1)]);
    expect(await range('bytes=9990-')).toEqual([206, 'bytes 9990-9999/10000', bytes.subarray(9990)]);
    expect(await range('bytes=-5')).toEqual([206, 'bytes 9995-9999/10000', bytes.subarray(9995)]);
    expect((await range('bytes=10000-'))[0]).toBe(416);
    expect((await range('bytes=0-1,4-5'))[0]).toBe(200);
    expect((await (await lfs.download(empty)).arrayBuffer()).byteLength).toBe(0);
    const head = await fetch((await lfs.link('download', bytes)).href, { method: 'HEAD' });
    expect(head.headers.get('content-length')).toBe('10000');
  });

  test('keeps the limits of the plan: space with 507, one object with 422, and gives back what is deleted', async () => {
    const [fits, over] = [randomBytes(600_000), randomBytes(600_000)];
    await gitee.admin('repositories', {
      owner: 'acme',
      name: 'narrow',
      lfs: true,
      collaborators: { gateway: 'push' },
      limits: { lfsMb: 1, lfsObjectMb: 0.75 },
    });
    const narrow = new LfsClient(gitee.url, 'acme/narrow', gitee.token);
    const late = await narrow.link('upload', over);
    expect(await narrow.upload(fits)).toBe(200);
    expect((await narrow.batch('upload', [{ oid: oidOf(over), size: over.length }])).status).toBe(507);
    expect(await put(late, over)).toBe(507);
    const large = await narrow.batch('upload', [{ oid: oidOf(over), size: 800_000 }]);
    expect(large.objects[0]?.error?.code).toBe(422);
    await gitee.admin('delete-object', { repo: 'acme/narrow', oid: oidOf(fits) });
    expect(await narrow.upload(over)).toBe(200);
  });
});
