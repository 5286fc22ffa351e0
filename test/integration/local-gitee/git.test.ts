import { gzipSync } from 'node:zlib';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { basic, GitClient } from './git-client.js';

describe('git over HTTP', () => {
  let gitee: RunningLocalGitee;
  let client: GitClient;
  let url: string;
  let name = 0;

  /** A repository of its own for each test, made by the admin API. */
  beforeEach(async () => {
    name++;
    url = `${gitee.url}/acme/r${name}.git`;
    await configure({});
    client = await GitClient.create(gitee, { token: gitee.token });
    await client.init(url);
  });

  afterEach(() => client.remove());

  beforeAll(async () => {
    gitee = await startLocalGitee();
  });

  afterAll(() => gitee.stop());

  const repo = () => `acme/r${name}`;
  const configure = (fields: Record<string, unknown>) =>
    gitee.admin('repositories', {
      owner: 'acme',
      name: `r${name}`,
      collaborators: { gateway: 'push', maintainer: 'admin' },
      ...fields,
    });
  const commit = async (file: string, bytes: Uint8Array | string, message = 'a change') => {
    await writeFile(path.join(client.directory, file), bytes);
    await client.git('add', file);
    await client.git('commit', '-q', '-m', message);
  };
  const branches = async () => (await gitee.stats()).repositories[repo()]!.branches;

  test('pushes, clones, fetches and deletes as with any server', async () => {
    await commit('a', 'one\n');
    await client.git('push', '-q', 'origin', 'master:master', 'master:other');
    await client.git('clone', '-q', url, 'copy');
    expect(await client.git('-C', 'copy', 'rev-parse', 'HEAD')).toBe(await client.git('rev-parse', 'HEAD'));
    await commit('a', 'two\n');
    await client.git('push', '-q', 'origin', 'master');
    await client.git('-C', 'copy', 'pull', '-q');
    expect(await client.git('-C', 'copy', 'rev-parse', 'HEAD')).toBe(await client.git('rev-parse', 'HEAD'));
    await client.git('push', '-q', 'origin', ':other');
    expect(Object.entries(await branches())).toEqual([
      ['master', { head: await client.git('rev-parse', 'HEAD'), commits: 2 }],
    ]);
    expect((await gitee.stats()).repositories[repo()]!.pushes).toBe(3);
  });

  test('takes a push in chunks after a probe, larger than the client buffers', async () => {
    await commit('big', randomBytes(3 * 1024 * 1024));
    await client.git('-c', 'http.postBuffer=65536', 'push', '-q', 'origin', 'master');
    expect((await branches())['master']?.head).toBe(await client.git('rev-parse', 'HEAD'));
  });

  test('serves partial clones', async () => {
    await commit('a', randomBytes(100_000));
    await client.git('push', '-q', 'origin', 'master');
    await client.git('clone', '-q', '--bare', '--filter=blob:none', url, 'bare');
    const missing = await client.git('-C', 'bare', 'rev-list', '--objects', '--missing=print', 'HEAD');
    expect(missing).toMatch(/^\?[0-9a-f]{40}$/m);
  });

  test('reads gzip bodies and speaks protocol version 2', async () => {
    await commit('a', 'one\n');
    await client.git('push', '-q', 'origin', 'master');
    const request = '0014command=ls-refs\n0001' + '001bref-prefix refs/heads/\n' + '0000';
    const answer = await fetch(`${url}/git-upload-pack`, {
      method: 'POST',
      headers: {
        Authorization: basic(gitee.token, 'gateway'),
        'Content-Type': 'application/x-git-upload-pack-request',
        'Content-Encoding': 'gzip',
        'Git-Protocol': 'version=2',
      },
      body: gzipSync(request),
    });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain(`${await client.git('rev-parse', 'HEAD')} refs/heads/master`);
  });

  test('refuses objects that git fsck refuses', async () => {
    const blob = await client.git('hash-object', '-w', '--stdin');
    const tree = await client.git('hash-object', '-w', '-t', 'tree', '--literally', await rawTree(blob));
    const head = await client.git('commit-tree', '-m', 'bad', tree);
    const pushed = await client.try('push', 'origin', `${head}:refs/heads/master`);
    expect(pushed.stderr).toMatch(/fsck error|hasDotgit/);
    expect(await branches()).toEqual({});
  });

  const rawTree = async (blob: string) => {
    const entry = Buffer.concat([Buffer.from('100644 .git\0'), Buffer.from(blob, 'hex')]);
    const file = path.join(client.directory, 'raw-tree');
    await writeFile(file, entry);
    return file;
  };

  test('answers wrong credentials with 401, strangers with 404 and readers with 403, in the words of Gitee', async () => {
    const ask = async (token: string | undefined, service = 'git-upload-pack', user?: string) => {
      const answer = await fetch(`${url}/info/refs?service=${service}`, {
        headers: token === undefined ? {} : { Authorization: basic(token, user) },
      });
      return {
        status: answer.status,
        text: await answer.text(),
        login: answer.headers.get('www-authenticate'),
      };
    };
    expect(await ask(undefined)).toMatchObject({ status: 401, login: 'Basic realm="Gitee"' });
    expect(await ask('0'.repeat(32))).toMatchObject({
      status: 401,
      text: expect.stringMatching(/^\[session-\w+\] LOGIN: Incorrect username or password \(access token\)/),
    });
    expect(await ask(gitee.token, 'git-upload-pack', 'maintainer')).toMatchObject({ status: 401 });
    await configure({ collaborators: { gateway: 'pull' } });
    expect((await ask(gitee.token)).status).toBe(200);
    expect(await ask(gitee.token, 'git-receive-pack')).toMatchObject({
      status: 403,
      text: expect.stringContaining('Access denied'),
    });
    await configure({ collaborators: {} });
    expect(await ask(gitee.token)).toMatchObject({
      status: 404,
      text: expect.stringContaining('404 not found!'),
    });
    await configure({ private: false });
    expect((await ask(undefined)).status).toBe(200);
    expect((await ask(undefined, 'git-receive-pack')).status).toBe(401);
  });

  test('refuses a token without the scope projects, and one that is revoked', async () => {
    const [narrow, short] = [randomBytes(16).toString('hex'), randomBytes(16).toString('hex')];
    const status = async (token: string) =>
      (await fetch(`${url}/info/refs?service=git-upload-pack`, { headers: { Authorization: basic(token) } }))
        .status;
    await gitee.admin('tokens', { add: { login: 'gateway', token: narrow, scopes: ['user_info'] } });
    expect(await status(narrow)).toBe(403);
    await gitee.admin('tokens', { add: { login: 'gateway', token: short } });
    expect(await status(short)).toBe(200);
    await gitee.admin('tokens', { revoke: short });
    expect(await status(short)).toBe(401);
  });

  test('refuses pushes to a closed repository and still serves it', async () => {
    await commit('a', 'one\n');
    await client.git('push', '-q', 'origin', 'master');
    await configure({ closed: true });
    await commit('a', 'two\n');
    expect((await client.try('push', 'origin', 'master')).stderr).toContain('closed or paused');
    await client.git('fetch', '-q', 'origin');
  });

  describe('the rules of the plan', () => {
    test('refuses a file over the limit by its blob, and takes the same push without it', async () => {
      await configure({ limits: { fileMb: 1 } });
      await commit('small', randomBytes(1024 * 1024));
      await commit('large', randomBytes(1_500_000));
      const blob = await client.git('rev-parse', 'HEAD:large');
      const pushed = await client.try('push', 'origin', 'master');
      expect(pushed.code).not.toBe(0);
      expect(pushed.stderr).toContain(`remote: error: File: ${blob} 1.43 MB, exceeds 1.00 MB.`);
      expect(pushed.stderr).toContain('remote: Please remove the file from history and try again. (');
      expect(pushed.stderr).toContain('[remote rejected] master -> master (pre-receive hook declined)');
      await client.git('push', '-q', 'origin', 'HEAD~1:refs/heads/master');
    });

    test('looks at the files of large pushes, which stay packed, too', async () => {
      await configure({ limits: { fileMb: 1 } });
      for (let i = 0; i < 120; i++) await writeFile(path.join(client.directory, `f${i}`), randomBytes(10));
      await client.git('add', '.');
      await commit('large', randomBytes(1_500_000));
      const blob = await client.git('rev-parse', 'HEAD:large');
      expect((await client.try('push', 'origin', 'master')).stderr).toContain(`File: ${blob} 1.43 MB`);
    });

    test('refuses pushes over the quota until a GC gives space back, even one that shrinks the history', async () => {
      await configure({ limits: { repoMb: 2 } });
      await commit('a', 'one\n');
      await client.git('push', '-q', 'origin', 'master');
      await commit('large', randomBytes(1_500_000));
      await client.git('push', '-q', 'origin', 'master');
      await commit('larger', randomBytes(1_000_000));
      const pushed = await client.try('push', 'origin', 'master');
      expect(pushed.stderr).toMatch(/remote: Repo size: 2\.\d{3}MB, exceeds quota 2MB/);
      expect(pushed.stderr).toContain('remote: Push rejected for repository [size exceeds limit]');
      expect(pushed.stderr).toContain(`remote: Repository GC: ${gitee.url}/${repo()}/settings#git-gc`);
      await configure({ limits: { repoMb: 1 } });
      const maintainer = await GitClient.create(gitee, { token: gitee.maintainerToken });
      await maintainer.git('clone', '-q', url, '.');
      const shrink = () => maintainer.try('push', '--force', 'origin', 'HEAD~1:master');
      expect((await shrink()).stderr).toContain('exceeds quota 1MB');
      await configure({ limits: {} });
      expect((await shrink()).code).toBe(0);
      await configure({ limits: { repoMb: 1 } });
      await maintainer.git('commit', '-q', '--allow-empty', '-m', 'after');
      const after = () => maintainer.try('push', '--force', 'origin', 'HEAD~2:refs/heads/small');
      expect((await after()).stderr).toContain('exceeds quota 1MB');
      await gitee.admin('gc', { repo: repo() });
      expect((await after()).code).toBe(0);
      await maintainer.remove();
    });

    test('keeps a protected branch from all but administrators', async () => {
      await configure({ protectedBranches: [{ name: 'master', mode: 'standard' }] });
      await commit('a', 'one\n');
      const pushed = await client.try('push', 'origin', 'master');
      expect(pushed.stderr).toContain('protected branch');
      expect(pushed.stderr).toContain('(pre-receive hook declined)');
      await client.git('push', '-q', 'origin', 'master:free');
      expect(Object.keys(await branches())).toEqual(['free']);
    });

    test('tells the client of a review-mode branch that all is well, leaves it, and keeps the commits aside', async () => {
      await commit('a', 'one\n');
      await client.git('push', '-q', 'origin', 'master');
      const before = (await branches())['master'];
      await configure({ protectedBranches: [{ name: 'master', mode: 'review' }] });
      await commit('a', 'two\n');
      const pushed = await client.try('push', '--porcelain', 'origin', 'master');
      expect(pushed).toMatchObject({ code: 0, stdout: expect.stringContaining('Done') });
      const after = await branches();
      expect(after['master']).toEqual(before);
      const review = Object.keys(after).find((b) => /^auto-101-master-\d+$/.test(b));
      expect(after[review!]).toEqual({ head: await client.git('rev-parse', 'HEAD'), commits: 2 });
    });
  });

  test('makes commits by somebody else: onto the branch, without a parent, or back to an old one', async () => {
    await commit('a', 'one\n');
    await client.git('push', '-q', 'origin', 'master');
    const first = await client.git('rev-parse', 'HEAD');
    const moved = await gitee.admin('move-branch', {
      repo: repo(),
      edits: [
        { path: 'dir/"b" \\ x', content: 'b' },
        { path: 'a', delete: true },
      ],
    });
    await client.git('fetch', '-q', 'origin');
    expect(await client.git('rev-parse', 'FETCH_HEAD^')).toBe(first);
    expect(await client.git('ls-tree', '-r', '-z', '--name-only', moved['head'] as string)).toBe(
      'dir/"b" \\ x\0',
    );
    const orphan = await gitee.admin('move-branch', { repo: repo(), edits: [], orphan: true });
    expect((await branches())['master']).toEqual({ head: orphan['head'], commits: 1 });
    await gitee.admin('move-branch', { repo: repo(), to: first });
    expect((await branches())['master']).toEqual({ head: first, commits: 1 });
  });
});
