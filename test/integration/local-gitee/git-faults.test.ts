import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { until } from '../../support/child.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { GitClient } from './git-client.js';

describe('faults of git', () => {
  let gitee: RunningLocalGitee;
  let client: GitClient;

  beforeAll(async () => {
    gitee = await startLocalGitee();
    client = await GitClient.create(gitee, { token: gitee.token });
    await client.init(`${gitee.url}/acme/images.git`);
    await commit();
    await push();
  });

  afterEach(() => gitee.clearFaults());

  afterAll(async () => {
    await client.remove();
    await gitee.stop();
  });

  const commit = async (bytes: Uint8Array = randomBytes(10)) => {
    await writeFile(path.join(client.directory, 'a'), bytes);
    await client.git('add', 'a');
    await client.git('commit', '-q', '-m', 'a change');
  };
  const push = () => client.try('push', '--porcelain', 'origin', 'master');
  const head = () => client.git('rev-parse', 'HEAD');
  const remoteHead = async () => (await gitee.stats()).repositories['acme/images']!.branches['master']!.head;
  const held = () => until('a connection is held', async () => (await gitee.stats()).heldConnections === 1);

  test('git-refuse-push answers the push with a status, reads go on', async () => {
    await commit();
    await gitee.fault('git-refuse-push', { status: 502 });
    await client.git('fetch', '-q', 'origin');
    expect((await push()).stderr).toContain('502');
    await gitee.clearFaults();
    expect((await push()).code).toBe(0);
  });

  test('git-stall holds every git request and lets go when it is cleared', async () => {
    await gitee.fault('git-stall');
    const fetched = client.try('fetch', '-q', 'origin');
    await held();
    await gitee.clearFaults();
    expect((await fetched).code).not.toBe(0);
    expect((await gitee.stats()).heldConnections).toBe(0);
    expect((await client.try('fetch', '-q', 'origin')).code).toBe(0);
  });

  test('git-stall-info-refs holds what the git program asks first', async () => {
    await commit();
    const before = await remoteHead();
    await gitee.fault('git-stall-info-refs', { match: { repo: 'acme/images' } });
    const pushed = push();
    await held();
    await gitee.clearFaults();
    expect((await pushed).code).not.toBe(0);
    expect(await remoteHead()).toBe(before);
    expect((await push()).code).toBe(0);
  });

  test('git-stall-receive-pack holds the push itself, which is not applied', async () => {
    await commit(randomBytes(2_000_000));
    const before = await remoteHead();
    await gitee.fault('git-stall-receive-pack', { match: { repo: 'acme/images' } });
    const pushed = push();
    await held();
    expect(await remoteHead()).toBe(before);
    await gitee.clearFaults();
    expect((await pushed).code).not.toBe(0);
    expect(await remoteHead()).toBe(before);
    expect((await push()).code).toBe(0);
  });

  test('git-cut-mid-body cuts a push before it is applied, and the answer to a fetch', async () => {
    await commit(randomBytes(1_000_000));
    const before = await remoteHead();
    await gitee.fault('git-cut-mid-body', { afterBytes: 5000 });
    expect((await push()).code).not.toBe(0);
    expect(await remoteHead()).toBe(before);
    await gitee.clearFaults();
    expect((await push()).code).toBe(0);
    await gitee.fault('git-cut-mid-body', { afterBytes: 50 });
    expect((await client.try('clone', `${gitee.url}/acme/images.git`, 'cut')).code).not.toBe(0);
  });

  test('git-lose-after-accept applies the push and cuts the answer', async () => {
    await commit();
    await gitee.fault('git-lose-after-accept');
    expect((await push()).code).not.toBe(0);
    await until('the push has landed', async () => (await remoteHead()) === (await head()));
  });

  test('git-late-push cuts the connection, and the push comes later', async () => {
    await commit();
    const before = await remoteHead();
    await gitee.fault('git-late-push', { ms: 1_000 });
    expect((await push()).code).not.toBe(0);
    expect(await remoteHead()).toBe(before);
    await until('it has come', async () => (await remoteHead()) === (await head()));
  });

  test('git-slow-after-push applies the push and reports it, the answer ends later', async () => {
    await commit();
    const ended = async () => (await gitee.stats()).repositories['acme/images']!.pushes;
    const before = await ended();
    await gitee.passingFault('git-slow-after-push', 1, { ms: 10_000 });
    const pushed = push();
    await until('the push has landed', async () => (await remoteHead()) === (await head()));
    expect(await ended()).toBe(before);
    expect((await pushed).code).toBe(0);
    expect(await ended()).toBe(before + 1);
  });

  test('git-move-branch-before-push lets somebody else be faster', async () => {
    await commit();
    const before = await remoteHead();
    await gitee.fault('git-move-branch-before-push');
    const pushed = await push();
    expect(pushed.code).not.toBe(0);
    expect(pushed.stdout).toMatch(/^!\s+refs\/heads\/master:refs\/heads\/master\s+\[remote rejected\]/m);
    await gitee.clearFaults();
    await client.git('fetch', '-q', 'origin');
    expect(await client.git('rev-parse', 'FETCH_HEAD^')).toBe(before);
    await client.git('rebase', '-q', 'FETCH_HEAD');
    expect((await push()).code).toBe(0);
  });

  test('git-lagging-copy answers reads as of some time ago, and never a push', async () => {
    await commit();
    // Longer ago than anything was pushed, and hardly ago at all.
    const [long, now] = [{ ms: 300_000 }, { ms: 1 }];
    const seen = () => client.git('ls-remote', 'origin', 'refs/heads/master');
    await gitee.fault('git-lagging-copy', long);
    expect(await seen()).toBe('');
    expect((await push()).code).toBe(0);
    expect(await remoteHead()).toBe(await head());
    expect(await seen()).toBe('');
    await gitee.clearFaults();
    await gitee.fault('git-lagging-copy', now);
    await until('the copy has followed', async () => (await seen()).startsWith(await head()));
    await gitee.clearFaults();
    // A look asks for info/refs, then for the branch.
    await gitee.fault('git-lagging-copy', { ...long, every: 3 });
    const looks = [await seen(), await seen(), await seen()];
    expect(looks.map((look) => look !== '')).toEqual([true, true, false]);
    expect(await gitee.hits('git-lagging-copy')).toBe(2);
  });

  test('git-garbage answers 200 with a login page', async () => {
    await gitee.fault('git-garbage');
    expect((await client.try('fetch', 'origin')).stderr).toMatch(
      /not valid|unexpected|not a git repository|not found/,
    );
  });

  test('git-hook-refuse refuses with the given text', async () => {
    await commit();
    await gitee.fault('git-hook-refuse', { text: 'error: commit message does not match' });
    const pushed = await push();
    expect(pushed.stderr).toContain('remote: error: commit message does not match');
    expect(pushed.stdout).toContain('(pre-receive hook declined)');
    await gitee.clearFaults();
    expect((await push()).code).toBe(0);
  });

  test('git-ge007 refuses the e-mail address as Gitee does', async () => {
    await commit();
    await gitee.fault('git-ge007');
    const pushed = await push();
    expect(pushed.stderr).toContain('remote: error: GE007: Your push would publish a private email address.');
    expect(pushed.stderr).toContain('hook declined to update refs/heads/master');
    await gitee.clearFaults();
    expect((await push()).code).toBe(0);
  });
});
