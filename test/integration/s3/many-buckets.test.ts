/**
 * Many buckets made by request on one branch: they are made, written, emptied and deleted side by side, none is refused
 * for the others' sake, and at rest they cost no more than one.
 */
import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CountedGit } from '../../support/counted-git.js';
import { mustRun, until } from '../../support/child.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const BUCKETS = 24;
const AT_ONCE = 8;
const POLL_MS = 500;

describe('many buckets made by request', () => {
  let bucket: S3Bucket;
  let git: CountedGit;
  const names = Array.from({ length: BUCKETS }, (_, i) => `many-${i}`);
  const send = (method: string, target: string, body?: string) =>
    bucket.wire.send({ method, path: target, ...(body === undefined ? {} : { body }) });
  /** Eight at a time; the answers' statuses. */
  const each = async (run: (name: string) => Promise<{ status: number }>): Promise<number[]> => {
    const rest = [...names];
    const statuses: number[] = [];
    const lane = async () => {
      for (let name = rest.shift(); name !== undefined; name = rest.shift())
        statuses.push((await run(name)).status);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return statuses;
  };
  const all = (status: number) => names.map(() => status);
  const metric = (name: string, labels: Record<string, string> = {}) =>
    bucket.stack.gateway.metric(name, labels);
  const pending = async () => {
    const read = await bucket.stack.gateway.metrics();
    return [...names, 'bucket_catalogue'].reduce(
      (sum, name) => sum + read('gateway_journal_pending_changes', { bucket: name }),
      0,
    );
  };
  /** All that the branch has on the server. */
  const files = async () => {
    const directory = path.join(bucket.stack.gitee.dataDir, 'repositories/acme/files.git');
    const listing = await mustRun('git', [
      '-C',
      directory,
      'ls-tree',
      '-r',
      '--name-only',
      'refs/heads/buckets',
    ]);
    return listing.stdout
      .split('\n')
      .filter((file) => file !== '' && !file.includes('/.git') && !file.includes('/.gateway/'));
  };

  beforeAll(async () => {
    bucket = await startS3Bucket({ createBuckets: true, config: { commit: { interval: '1s' } } });
    const { gateway } = bucket.stack;
    git = await CountedGit.prepare(path.join(bucket.stack.directory, 'counted-git'));
    gateway.env = { ...gateway.env, PATH: git.path };
    await gateway.restart();
  });
  afterAll(() => bucket.close());

  test('are made, written and read side by side, with one local repository', async () => {
    const before = (await git.begun()).length;
    expect(await each((name) => send('PUT', `/${name}`))).toEqual(all(200));
    expect(await each((name) => send('PUT', `/${name}/key`, `of ${name}`))).toEqual(all(200));
    for (const name of names) expect((await send('GET', `/${name}/key`)).text).toBe(`of ${name}`);
    await until('all of it is on Gitee', async () => (await pending()) === 0);
    expect(await files()).toEqual(
      [
        ...names.map((name) => `buckets/_catalogue/${name}.json`),
        ...names.map((name) => `buckets/${name}/key`),
      ].sort(),
    );
    const begun = (await git.begun()).slice(before);
    // No repository for a bucket, and no bucket fetches what another one has pushed.
    expect(begun.filter((command) => command === 'init' || command === 'fetch')).toEqual([]);
    // A bucket that is being opened is in nobody's way.
    const log = await readFile(path.join(bucket.stack.gateway.directory, 'gateway.log'), 'utf8');
    expect(log.split('\n').filter((line) => line.includes('a commit failed'))).toEqual([]);
  });

  test('begin no git program at rest, however many there are', async () => {
    const { gateway } = bucket.stack;
    const { env } = gateway;
    gateway.env = { ...env, GATEWAY_POLL_INTERVAL: `${POLL_MS}ms` };
    await gateway.restart();
    const fetches = () => metric('gateway_git_operations_total', { operation: 'fetch', result: 'ok' });
    const branches = 3;
    /** What was begun while every branch was looked at so many times more. */
    const during = async (looks: number) => {
      const [begun, before] = [(await git.begun()).length, await fetches()];
      await until(`${looks} looks`, async () => (await fetches()) - before >= looks * branches);
      return (await git.begun()).slice(begun);
    };
    // What was written before the restart is looked at once.
    await until('the buckets have seen the branch', async () => (await during(2)).length === 0);
    expect(await during(6)).toEqual([]);
    gateway.env = env;
    await gateway.restart();
  });

  test('see what somebody else writes into one of them, with one fetch', async () => {
    const { gateway, gitee } = bucket.stack;
    const { env } = gateway;
    gateway.env = { ...env, GATEWAY_POLL_INTERVAL: `${POLL_MS}ms` };
    await gateway.restart();
    const before = (await git.begun()).length;
    await gitee.admin('move-branch', {
      ...{ repo: 'acme/files', branch: 'buckets' },
      edits: [{ path: 'buckets/many-3/by-hand', content: 'theirs' }],
    });
    await until('it is seen', async () => (await send('GET', '/many-3/by-hand')).status === 200);
    const begun = (await git.begun()).slice(before);
    expect(begun.filter((command) => command === 'fetch')).toHaveLength(1);
    // The others find out by what is read already that nothing of theirs has changed.
    expect(begun.length).toBeLessThan(BUCKETS);
    gateway.env = env;
    await gateway.restart();
    expect((await send('DELETE', '/many-3/by-hand')).status).toBe(204);
  });

  test('are emptied and deleted side by side, none answered 503, while others are made', async () => {
    const statuses = await each(async (name) => {
      const emptied = await send('DELETE', `/${name}/key`);
      if (emptied.status !== 204) return emptied;
      const [deleted, made] = await Promise.all([send('DELETE', `/${name}`), send('PUT', `/${name}-new`)]);
      return made.status === 200 ? deleted : made;
    });
    expect(statuses).toEqual(all(204));
    const listed = (await send('GET', '/')).xmlAll('Name').filter((name) => name.startsWith('many-'));
    expect(listed).toEqual(names.map((name) => `${name}-new`).sort());
    await until('all of it is on Gitee', async () => (await pending()) === 0);
    expect(await files()).toEqual(names.map((name) => `buckets/_catalogue/${name}-new.json`).sort());
    const fsck = await bucket.stack.gateway.cli('fsck');
    expect([fsck.code, fsck.stdout, fsck.stderr].join('\n')).toMatch(/^0\n/);
  });
});
