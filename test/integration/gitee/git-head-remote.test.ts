/**
 * GitHeadRemote against the local Gitee over HTTP: what becomes of a push when the server refuses, stalls, lies or
 * loses the answer (invariants 1, 2, 6 and 7 at the border to git).
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../../src/async/clock.js';
import { parseFailpoints } from '../../../src/async/failpoint.js';
import type { CommitId, TreePath } from '../../../src/format/ids.js';
import { RemoteError, UnintendedChangeError, type RemoteCause } from '../../../src/gitee/errors.js';
import type { PathEdit } from '../../../src/gitee/remote.js';
import { loginConfig } from '../../../src/gitee/git/git-environment.js';
import type { GitHeadRemote } from '../../../src/gitee/git/git-head-remote.js';
import { GitProgram } from '../../../src/gitee/git/git-process.js';
import { collect, landed, put } from '../../contract/head-remote.js';
import { until } from '../../support/child.js';
import { ANSWER_LIMIT_MS } from '../../support/time-limits.js';
import {
  onOwnBranch,
  startGitHeadRemote,
  type GitHeadRemoteSettings,
} from '../../support/git-head-remote.js';
import { git, GitServerRepository } from '../../support/git-server-repository.js';
import { startLocalGitee, type FaultOptions, type RunningLocalGitee } from '../../support/local-gitee.js';

let gitee: RunningLocalGitee;
let made = 0;
beforeAll(async () => {
  gitee = await startLocalGitee();
});
afterAll(() => gitee.stop());

let repo: string;
let server: GitServerRepository;
let remote: GitHeadRemote;
let settings: GitHeadRemoteSettings;
let remove: () => Promise<void>;

async function start(changed: Partial<GitHeadRemoteSettings> = {}): Promise<void> {
  const started = await startGitHeadRemote(`${gitee.url}/acme/${repo}.git`, {
    branch: 'master',
    token: { current: () => gitee.token, reload: async () => false },
    timeouts: { killGraceMs: 500 },
    ...changed,
  });
  ({ remote, settings, remove } = started);
}
async function restart(changed: Partial<GitHeadRemoteSettings> = {}): Promise<void> {
  await remove();
  await start(changed);
}

beforeEach(async () => {
  made += 1;
  repo = `head-${made}`;
  await gitee.admin('repositories', {
    owner: 'acme',
    name: repo,
    enterprise: true,
    collaborators: { gateway: 'push', maintainer: 'admin' },
  });
  server = new GitServerRepository(join(gitee.dataDir, 'repositories', 'acme', `${repo}.git`), 'master');
  await start();
});
afterEach(async () => {
  await gitee.clearFaults();
  await remote.close();
  await remove();
});

const fault = (name: string, options: FaultOptions = {}) =>
  gitee.fault(name, { match: { repo: `acme/${repo}` }, ...options });

const passingFault = (name: string, count: number, options: FaultOptions = {}) =>
  gitee.passingFault(name, count, { match: { repo: `acme/${repo}` }, ...options });

const push = (expectedHead: CommitId | null, edits: PathEdit[], signal?: AbortSignal) =>
  remote.push(
    {
      expectedHead,
      edits,
      subject: 'changes',
      trailers: [
        ['Gateway-Id', 'gw-1'],
        ['Journal-Seq', '1..2'],
      ],
    },
    signal,
  );

async function failure(run: Promise<unknown>): Promise<RemoteError> {
  const error: unknown = await run.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!(error instanceof RemoteError)) throw new Error(`no RemoteError: ${String(error)}`);
  expect(`${error.message} ${error.detail}`).not.toContain(gitee.token);
  return error;
}

async function base(): Promise<CommitId> {
  await remote.fetch();
  return landed(await push(null, [put('a', '1')]));
}

describe('a push that lands', () => {
  test('is one commit with identity and trailers, and no token anywhere in it', async () => {
    const head = await base();
    const commit = await git(server.directory, ['cat-file', 'commit', head]);
    expect(commit).toMatch(/^author Gateway <gateway@example.com> \d+ \+0000$/m);
    expect(commit).toContain('\n\nchanges\n\nGateway-Id: gw-1\nJournal-Seq: 1..2\n');
    expect(await readFile(join(settings.directory, 'config'), 'utf8')).not.toContain(gitee.token);
    expect((await gitee.stats()).tokenLeaks).toEqual([]);
  });

  test.each(['landed', 'moved'])(
    'that somebody waits for has the line clear until it has %s',
    async (kind) => {
      const told: string[] = [];
      const clearLine = () => {
        told.push('clear');
        return () => void told.push('over');
      };
      await restart({ clearLine });
      const head = await base();
      expect(told).toEqual([]);
      if (kind === 'moved') await server.commit({ c: '3' });
      const request = {
        ...{ expectedHead: head, edits: [put('b', '2')], subject: 'changes' },
        ...{ trailers: [['Gateway-Id', 'gw-1']] as const, isWaited: true },
      };
      expect(await remote.push(request)).toMatchObject({ kind });
      expect(told).toEqual(['clear', 'over']);
    },
  );

  test('of ten thousand paths goes in one commit', async () => {
    await remote.fetch();
    const edits = Array.from({ length: 10_000 }, (_, i) => put(`blobs/${i % 256}/${i}/link`, `sha256:${i}`));
    const head = landed(await push(null, edits));
    expect(await collect(remote.files(head))).toHaveLength(10_000);
    const second = landed(
      await push(head, [{ kind: 'remove-tree', path: 'blobs' as TreePath }, put('x', '1')]),
    );
    expect((await collect(remote.files(second))).map((f) => f.path)).toEqual(['x']);
  });

  test('though its answer is lost is found on the branch', async () => {
    const old = await base();
    await passingFault('git-lose-after-accept', 1);
    const head = landed(await push(old, [put('b', '2')]));
    expect(await server.head()).toBe(head);
    expect(remote.knownHead()).toBe(head);
  });

  test('while the server goes on with work of its own: what it reported is enough', async () => {
    const old = await base();
    const ended = async () => (await gitee.stats()).repositories[`acme/${repo}`]!.pushes;
    const before = await ended();
    await passingFault('git-slow-after-push', 1, { ms: ANSWER_LIMIT_MS });
    const head = landed(await push(old, [put('b', '2')]));
    expect(await server.head()).toBe(head);
    expect(await ended()).toBe(before);
    // The connection is left to the answer, and others go on meanwhile.
    expect(landed(await push(head, [put('b', '3')]))).toBe(await server.head());
    expect(await ended()).toBe(before + 1);
    await until('the slow one ends too', async () => (await ended()) === before + 2);
  });

  test('though every answer is lost', async () => {
    const old = await base();
    await fault('git-lose-after-accept');
    expect(landed(await push(old, [put('b', '2')]))).toBe(await server.head());
  });

  test('though its connection is cut: it is sent once more', async () => {
    const old = await base();
    // The push and the first look at the branch.
    await passingFault('git-cut-mid-body', 2);
    expect(landed(await push(old, [put('b', 'x'.repeat(4000))]))).toBe(await server.head());
  });

  test('of two megabytes asks first, and goes as a stream', async () => {
    const old = await base();
    const content = randomBytes(2 << 20);
    const edit: PathEdit = { kind: 'put', path: 'large' as TreePath, content: async () => content };
    const head = landed(await push(old, [edit]));
    expect(Buffer.from((await remote.readFile(head, 'large' as TreePath, 64 << 20))!).equals(content)).toBe(
      true,
    );
    await git(server.directory, ['fsck', '--strict', '--full']);
    await fault('git-refuse-push', { status: 403, text: 'Access denied' });
    expect((await failure(push(head, [{ ...edit, path: 'again' as TreePath }]))).code).toBe('forbidden');
  });

  test('though its answer is lost, and the branch has gone on since', async () => {
    const old = await base();
    await passingFault('git-lose-after-accept', 1);
    const seen: CommitId[] = [];
    await restart({
      failpoints: {
        hit: async (name) => {
          if (name !== 'git.afterPush') return;
          seen.push((await server.head())!);
          await server.commit({ theirs: '1' });
        },
      },
    });
    await remote.fetch();
    const head = landed(await push(old, [put('b', '2')]));
    expect(seen).toEqual([head]);
    expect([...(await server.files()).keys()]).toEqual(['a', 'b', 'theirs']);
    expect(remote.knownHead()).toBe(await server.head());
  });

  test('is seen when the copies that reads may meet have followed, however many lag at first', async () => {
    let head = await base();
    // Reads that meet it find no branch at all; others the branch as it is.
    for (const every of [2, 3, 4]) {
      await fault('git-lagging-copy', { ms: 300_000, every });
      for (const content of ['1', '2']) head = landed(await push(head, [put(`b${every}`, content)]));
      expect(await server.head()).toBe(head);
      expect(remote.knownHead()).toBe(head);
      await gitee.clearFaults();
    }
    expect(await remote.fetch()).toBe(head);
  });

  test('is not seen while nothing but copies that lag can be read, whoever sends again, and is found afterwards', async () => {
    let nowMs = 0;
    const sleep = async (ms: number) => void (nowMs += ms);
    await restart({ clock: { ...systemClock, nowMs: () => Date.now(), steadyMs: () => nowMs, sleep } });
    const old = await base();
    await fault('git-lagging-copy', { ms: 300_000 });
    expect((await failure(push(old, [put('b', '2')]))).code).toBe('push-not-seen');
    expect(nowMs).toBeGreaterThan(5_000);
    expect((await failure(push(old, [put('b', '3')]))).code).toBe('push-not-seen');
    // What had been seen stays known, and can be built on.
    expect(await remote.fetch()).toBeNull();
    expect(remote.knownHead()).toBe(old);
    await gitee.clearFaults();
    const found = await server.head();
    expect(found).not.toBe(old);
    expect(await remote.fetch()).toBe(found);
    expect(await remote.isAncestor(old, found!)).toBe(true);
  });

  test('leaves the other branches alone', async () => {
    const old = await base();
    await git(server.directory, ['update-ref', 'refs/heads/other', old]);
    landed(await push(old, [put('b', '2')]));
    await remote.fetch();
    expect((await git(server.directory, ['rev-parse', 'refs/heads/other'])).trim()).toBe(old);
    expect(await git(settings.directory, ['for-each-ref', '--format=%(refname)'])).toBe(
      'refs/gateway/head\n',
    );
  });
});

describe('a push that does not land', () => {
  test('because the branch moved before it tells the new head', async () => {
    const old = await base();
    await fault('git-move-branch-before-push', { branch: 'master' });
    const result = await push(old, [put('b', '2')]);
    expect(result).toEqual({ kind: 'moved', head: await server.head() });
    const theirs = result.head!;
    await gitee.clearFaults();
    const head = landed(await push(theirs, [put('b', '2')]));
    expect(await remote.isAncestor(theirs, head)).toBe(true);
  });

  test('because the branch was replaced, and what the push builds on is gone from the server', async () => {
    await remote.fetch();
    const edits = Array.from({ length: 20 }, (_, i) => put(`file-${i}`, `${i}`));
    const old = landed(await push(null, edits));
    const theirs = await server.rewrite({ other: '1' });
    await git(server.directory, ['gc', '-q', '--prune=now']);
    expect(await push(old, [put('b', '2')])).toEqual({ kind: 'moved', head: theirs });
    landed(await push(theirs, [put('b', '2')]));
  });

  const refusals: [string, RemoteCause, () => Promise<unknown>][] = [
    ['a hook without a known reason', 'refused', () => fault('git-hook-refuse')],
    ['e-mail privacy', 'identity-refused', () => fault('git-ge007')],
    [
      'a full repository',
      'quota-full',
      () => gitee.admin('repositories', { owner: 'acme', name: repo, limits: { repoMb: 0.001 } }),
    ],
    [
      'a file over the limit',
      'file-too-large',
      () => gitee.admin('repositories', { owner: 'acme', name: repo, limits: { fileMb: 0.001 } }),
    ],
    [
      'a protected branch',
      'branch-protected',
      () =>
        gitee.admin('repositories', {
          owner: 'acme',
          name: repo,
          protectedBranches: [{ name: 'master', mode: 'standard' }],
        }),
    ],
    [
      'review mode',
      'review-mode',
      () =>
        gitee.admin('repositories', {
          owner: 'acme',
          name: repo,
          protectedBranches: [{ name: 'master', mode: 'review' }],
        }),
    ],
    [
      'a closed repository',
      'repository-closed',
      () => gitee.admin('repositories', { owner: 'acme', name: repo, closed: true }),
    ],
    [
      'no right to push',
      'forbidden',
      () => gitee.admin('repositories', { owner: 'acme', name: repo, collaborators: { gateway: 'pull' } }),
    ],
    ['status 503', 'server-fault', () => fault('git-refuse-push', { status: 503 })],
    ['status 429', 'rate-limited', () => fault('git-refuse-push', { status: 429, text: 'slow down' })],
    ['status 413', 'push-too-large', () => fault('git-refuse-push', { status: 413, text: 'too large' })],
  ];
  test.each(refusals)('because of %s says so, and the next one lands', async (_why, cause, arrange) => {
    const old = await base();
    await arrange();
    const error = await failure(push(old, [put('b', 'x'.repeat(4000))]));
    expect(error.code).toBe(cause);
    expect(await server.head()).toBe(old);
    await gitee.clearFaults();
    await gitee.admin('repositories', {
      owner: 'acme',
      name: repo,
      closed: false,
      limits: {},
      protectedBranches: [],
      collaborators: { gateway: 'push' },
    });
    landed(await push(old, [put('b', 'x')]));
  });

  test('because of a login page is the server’s fault', async () => {
    const old = await base();
    await fault('git-garbage');
    // It answers the look at the branch too, so nobody knows.
    const error = await failure(push(old, [put('b', '2')]));
    expect(error.code).toBe('outcome-unknown');
    expect((error.cause as RemoteError).code).toBe('server-fault');
    expect((await failure(remote.fetch())).code).toBe('server-fault');
  });

  test('because the repository is missing', async () => {
    repo = 'no-such-repository';
    await restart();
    expect((await failure(remote.fetch())).code).toBe('repository-missing');
  });

  test('because the repository has other ids than SHA-1 says so: its branch is not taken for missing', async () => {
    const { directory } = server;
    await rm(directory, { recursive: true });
    await git('/', ['init', '-q', '--bare', '--object-format=sha256', directory]);
    const tree = (await git(directory, ['mktree'], '')).trim();
    const commit = (await git(directory, ['commit-tree', tree, '-m', 'theirs'])).trim();
    await git(directory, ['update-ref', 'refs/heads/master', commit]);
    const error = await failure(remote.fetch());
    expect(error.code).toBe('refused');
    expect(error.message).toContain('SHA-1');
  });

  test('because nobody listens', async () => {
    await remove();
    ({ remote, remove } = await startGitHeadRemote('http://127.0.0.1:1/acme/images.git'));
    expect((await failure(remote.fetch())).code).toBe('unreachable');
  });

  test('and whose branch cannot be read afterwards has an unknown outcome', async () => {
    const old = await base();
    await fault('git-lose-after-accept');
    await restart({
      failpoints: {
        hit: async (name) => {
          if (name === 'git.afterPush') await fault('git-garbage');
        },
      },
    });
    await remote.fetch();
    expect((await failure(push(old, [put('b', '2')]))).code).toBe('outcome-unknown');
    await gitee.clearFaults();
    const head = (await remote.fetch())!;
    const own = await collect(remote.ownCommits(head, 'gw-1', old));
    expect(own.map(({ commit }) => commit)).toEqual([head]);
  });

  test('because a failpoint stopped it before it was sent', async () => {
    const old = await base();
    for (const name of ['git.packStored', 'git.beforePush']) {
      await restart({ failpoints: parseFailpoints(`${name}=throw`) });
      await remote.fetch();
      await expect(push(old, [put('b', '2')])).rejects.toThrow(name);
      expect(await server.head()).toBe(old);
    }
  });
});

describe('the token', () => {
  test('that is refused is read again once', async () => {
    let token = 'expired-token';
    let reloads = 0;
    await restart({
      token: {
        current: () => token,
        reload: async () => {
          reloads += 1;
          token = gitee.token;
          return true;
        },
      },
    });
    await base();
    expect(reloads).toBe(1);
  });

  test('that stays wrong pauses', async () => {
    await restart({ token: { current: () => 'wrong-token', reload: async () => false } });
    const error = await failure(remote.fetch());
    expect(error.code).toBe('unauthorized');
    expect(error.pauses).toBe(true);
    expect(`${error.message} ${error.detail}`).not.toContain('wrong-token');
  });
});

/** Processes whose environment has this repository: git and everything it started. */
async function processesOf(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const env = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    if (!env.split('\0').includes(`GIT_DIR=${directory}`)) continue;
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')).replaceAll('\0', ' ');
    if (!argv.includes('cat-file') && argv !== '') found.push(argv);
  }
  return found;
}

describe('a push that hangs', () => {
  const hang = async () => {
    const old = await base();
    await fault('git-stall-receive-pack');
    return old;
  };
  const untilHeld = () => until('a push hangs', async () => (await gitee.stats()).heldConnections > 0);

  test('is stopped by the signal, and its connection is closed', async () => {
    const old = await hang();
    const stop = new AbortController();
    const pushing = push(old, [put('b', '2')], stop.signal);
    pushing.catch(() => {});
    await untilHeld();
    // It is no process's: nothing of it could go on.
    expect(await processesOf(settings.directory)).toEqual([]);
    stop.abort(new Error('shutdown'));
    await expect(pushing).rejects.toThrow('shutdown');
    await until('the connection is closed', async () => (await gitee.stats()).heldConnections === 0);
    await gitee.clearFaults();
    expect(await remote.fetch()).toBe(old);
    landed(await push(old, [put('b', '2')]));
  });

  test('as a git command is stopped with its whole process group', async () => {
    await base();
    await fault('git-stall');
    const program = new GitProgram(settings.directory, 300);
    const stop = new AbortController();
    const running = program.run(['ls-remote', settings.url], {
      config: loginConfig(settings.url, 'oauth2', gitee.token),
      signal: stop.signal,
    });
    running.catch(() => {});
    await untilHeld();
    const processes = await processesOf(settings.directory);
    expect(processes.some((argv) => argv.includes('remote-http'))).toBe(true);
    expect(processes.join(' ')).not.toContain(gitee.token);
    stop.abort(new Error('shutdown'));
    await expect(running).rejects.toThrow('shutdown');
    expect(await processesOf(settings.directory)).toEqual([]);
  });

  test('is stopped by its deadline, and the branch is looked at', async () => {
    const old = await hang();
    await restart({ timeouts: { pushBaseMs: 800, killGraceMs: 300 } });
    await remote.fetch();
    const error = await failure(push(old, [put('b', '2')]));
    expect(error.code).toBe('timeout');
    expect(await processesOf(settings.directory)).toEqual([]);
    expect(remote.knownHead()).toBe(old);
  });

  test('is stopped when no byte moves', async () => {
    const old = await hang();
    await restart({ timeouts: { lowSpeedTimeMs: 1_000 } });
    await remote.fetch();
    expect((await failure(push(old, [put('b', '2')]))).code).toBe('timeout');
  });

  test('is stopped by close()', async () => {
    const old = await hang();
    const pushing = push(old, [put('b', '2')]);
    pushing.catch(() => {});
    await untilHeld();
    await remote.close();
    expect((await failure(pushing)).code).toBe('unreachable');
    expect(await processesOf(settings.directory)).toEqual([]);
  });

  test('keeps the next push waiting until it is over', async () => {
    const old = await hang();
    const stop = new AbortController();
    const first = push(old, [put('b', '2')], stop.signal);
    first.catch(() => {});
    await untilHeld();
    const second = push(old, [put('c', '3')]);
    stop.abort(new Error('shutdown'));
    await expect(first).rejects.toThrow('shutdown');
    await untilHeld();
    await gitee.clearFaults();
    const head = landed(await second);
    expect(await server.head()).toBe(head);
  });
});

describe('the local repository', () => {
  const filesLike = async (pattern: RegExp) => {
    const names = await readdir(join(settings.directory, 'objects'), { recursive: true });
    return names.filter((name) => pattern.test(name));
  };
  const looseObjects = () => filesLike(/^[0-9a-f]{2}\/[0-9a-f]{38}$/);
  const packs = () => filesLike(/^pack\/.*\.pack$/);
  const pending = () => filesLike(/^pack\/.*\.keep$/);
  /** A new GitHeadRemote on the directory that is there. */
  const reopen = async (changed: Partial<GitHeadRemoteSettings> = {}) => {
    await remote.close();
    remote = onOwnBranch({ ...settings, ...changed });
  };

  const damages: [string, () => Promise<void>][] = [
    [
      'emptied objects',
      async () => {
        for (const name of await filesLike(/^[0-9a-f]{2}\/|^pack\/.*\.(pack|idx)$/)) {
          const file = join(settings.directory, 'objects', name);
          await rm(file);
          await writeFile(file, '');
        }
      },
    ],
    ['an empty reference', () => truncate(join(settings.directory, 'refs/gateway/head'), 0)],
    ['a lock that was left', () => writeFile(join(settings.directory, 'refs/gateway/head.lock'), '')],
    ['no HEAD', () => rm(join(settings.directory, 'HEAD'))],
    ['no objects', () => rm(join(settings.directory, 'objects'), { recursive: true })],
    ['nothing at all', () => rm(settings.directory, { recursive: true })],
    [
      'the mark of another boot',
      () => writeFile(join(settings.directory, 'gateway-open'), '00000000-0000-0000-0000-000000000000'),
    ],
  ];
  test.each(damages)('with %s is fetched anew at the next start', async (_what, damage) => {
    const old = await base();
    const theirs = await server.commit({ b: '2' });
    await remote.close();
    await damage();
    remote = onOwnBranch(settings);
    expect(await remote.fetch()).toBe(theirs);
    expect(await remote.isAncestor(old, theirs)).toBe(true);
    expect((await collect(remote.files(theirs))).map((f) => f.path)).toEqual(['a', 'b']);
    landed(await push(theirs, [put('c', '3')]));
  });

  test('that is damaged while it runs fails one read as transient, and is fetched anew', async () => {
    const head = await base();
    await reopen();
    await remote.fetch();
    await damages[0]![1]();
    expect((await failure(remote.readFile(head, 'a' as TreePath, 1 << 20))).isTransient).toBe(true);
    expect(await remote.fetch()).toBe(head);
    expect(Buffer.from((await remote.readFile(head, 'a' as TreePath, 1 << 20))!).toString()).toBe('1');
  });

  test('that is damaged while it runs does not stop a push', async () => {
    const head = await base();
    await reopen();
    await remote.fetch();
    await damages[0]![1]();
    landed(await push(head, [put('b', '2')]));
  });

  test('knows its head after a restart without asking', async () => {
    const head = await base();
    await reopen();
    expect(remote.knownHead()).toBe(head);
  });

  test('gets a pack of each push and no loose object, and joins packs when they are many', async () => {
    await restart({ joinFromPacks: 5 });
    let head = await base();
    for (let i = 0; i < 5; i += 1) {
      head = landed(await push(head, [put(`d${i}/e/f`, `${i}`), put('a', `${i}`)]));
      expect(await packs()).toHaveLength(i + 2);
      expect(await pending()).toEqual([]);
    }
    // What others push comes as a pack too.
    head = await server.commit({ theirs: '1' });
    await remote.fetch();
    expect(await looseObjects()).toEqual([]);
    await remote.maintain();
    await remote.maintained();
    expect((await packs()).length).toBeLessThan(3);
    landed(await push(head, [put('z', '1')]));
    expect(await collect(remote.files(head))).toHaveLength(7);
    await git(settings.directory, ['fsck', '--strict', '--full']);
  });

  test('has the loose objects of older versions packed', async () => {
    const head = await base();
    await remote.close();
    for (const name of await packs()) {
      const pack = await readFile(join(settings.directory, 'objects', name));
      await rm(join(settings.directory, 'objects', name));
      await rm(join(settings.directory, 'objects', name.replace(/pack$/, 'idx')));
      const env = { PATH: process.env['PATH'], GIT_DIR: settings.directory };
      const unpacking = promisify(execFile)('git', ['unpack-objects', '-q'], { env });
      unpacking.child.stdin!.end(pack);
      await unpacking;
    }
    expect((await looseObjects()).length).toBeGreaterThan(0);
    await reopen({ packFromLooseObjects: 1 });
    await remote.fetch();
    await remote.maintain();
    await remote.maintained();
    expect(await looseObjects()).toEqual([]);
    landed(await push(head, [put('b', '2')]));
  });

  /** Another program `git` until the test is over: this script, with what it may name, before the real one. */
  async function shimmed(script: (shim: string) => string, run: (shim: string) => Promise<void>) {
    const shim = await mkdtemp(join(tmpdir(), 'git-shim-'));
    const path = process.env['PATH']!;
    const real = (await promisify(execFile)('which', ['git'])).stdout.trim();
    await writeFile(join(shim, 'git'), `#!/bin/sh\n${script(shim)}\nexec ${real} "$@"\n`, { mode: 0o755 });
    try {
      process.env['PATH'] = `${shim}:${path}`;
      await run(shim);
    } finally {
      process.env['PATH'] = path;
      await rm(shim, { recursive: true, force: true });
    }
  }

  describe('whose trees are not what they should be (invariant 2)', () => {
    /** What git says differs has one path more, as long as there is this file. */
    const lie = (shim: string) =>
      `if [ "$1" = diff-tree ] && [ -e ${shim}/lies ]; then [ -e ${shim}/always ] || rm ${shim}/lies\n` +
      `PATH="\${PATH#*:}" git "$@"\n` +
      `printf ':000000 100644 ${'0'.repeat(40)} ${'1'.repeat(40)} A\\000more\\000'; exit; fi`;

    test('is fetched anew, and the push goes on', async () => {
      const head = await base();
      await shimmed(lie, async (shim) => {
        await writeFile(join(shim, 'lies'), '');
        const next = landed(await push(head, [put('b', '2')]));
        expect(await readdir(shim)).toEqual(['git']);
        expect((await collect(remote.diff(head, next))).map(({ path }) => path)).toEqual(['b']);
      });
    });

    test('also when it is fetched anew breaks the invariant: nothing is pushed', async () => {
      const head = await base();
      await shimmed(lie, async (shim) => {
        for (const name of ['lies', 'always']) await writeFile(join(shim, name), '');
        await expect(push(head, [put('b', '2')])).rejects.toThrow(UnintendedChangeError);
      });
      expect(await server.head()).toBe(head);
      landed(await push(head, [put('b', '2')]));
    });
  });

  test('is pushed from while it is packed, however long that takes', async () => {
    // Attacks "nothing of our housekeeping stops commits": `git repack` does not end until it is told to.
    const hang = (shim: string) =>
      `if [ "$1" = repack ]; then touch ${shim}/started\n` +
      `while [ -d ${shim} ] && [ ! -e ${shim}/go ]; do sleep 0.05; done; fi`;
    await restart({ joinFromPacks: 2, packFromLooseObjects: 2 });
    let head = await base();
    for (let i = 0; i < 3; i += 1) head = landed(await push(head, [put(`a${i}`, `${i}`)]));
    await shimmed(hang, async (shim) => {
      for (let i = 0; i < 6; i += 1) {
        // An idle moment: packing begins, or goes on.
        remote.maintain().catch(() => {});
        await until('packing has begun', async () => (await readdir(shim)).includes('started'));
        head = landed(await push(head, [put('b', `${i}`)]));
        expect(await remote.fetch()).toBe(head);
        expect(Buffer.from((await remote.readFile(head, 'b' as TreePath, 1 << 20))!).toString()).toBe(`${i}`);
      }
      expect(await packs()).toHaveLength(10);
      await writeFile(join(shim, 'go'), '');
      await remote.maintained();
      expect((await packs()).length).toBeLessThan(10);
      landed(await push(head, [put('c', '1')]));
      expect(await collect(remote.files(head))).toHaveLength(5);
      await git(settings.directory, ['fsck', '--strict', '--full']);
    });
  });

  test('keeps no pack of a push that was refused, and one whose outcome nobody knows until it is known', async () => {
    let nowMs = Date.now();
    await restart({
      clock: { ...systemClock, nowMs: () => nowMs, sleep: systemClock.sleep.bind(systemClock) },
    });
    const old = await base();
    await fault('git-hook-refuse');
    await failure(push(old, [put('b', '2')]));
    expect(await packs()).toHaveLength(1);
    await gitee.clearFaults();
    await fault('git-stall-receive-pack');
    const stop = new AbortController();
    const stopped = push(old, [put('b', '3')], stop.signal);
    stopped.catch(() => {});
    await until('a push hangs', async () => (await gitee.stats()).heldConnections > 0);
    stop.abort(new Error('shutdown'));
    await expect(stopped).rejects.toThrow('shutdown');
    await gitee.clearFaults();
    expect(await packs()).toHaveLength(2);
    await remote.maintain();
    await remote.maintained();
    expect(await packs()).toHaveLength(2);
    nowMs += 2 * 3_600_000;
    await remote.maintain();
    await remote.maintained();
    expect(await packs()).toHaveLength(1);
    expect(await pending()).toEqual([]);
    landed(await push(old, [put('b', '4')]));
  });
});

describe('what somebody else put into the tree', () => {
  test('that is no ordinary file is not shown, and survives our commits', async () => {
    const first = await base();
    const link = (await git(server.directory, ['hash-object', '-w', '--stdin'], 'a')).trim();
    const tree = (
      await git(
        server.directory,
        ['mktree', '--missing'],
        `100755 blob ${link}\trun.sh\n120000 blob ${link}\tlink\n160000 commit ${first}\tmodule\n`,
      )
    ).trim();
    const theirs = (
      await git(server.directory, ['commit-tree', tree, '-p', first, '-m', 'odd things'])
    ).trim() as CommitId;
    await server.moveTo(theirs);
    expect(await remote.fetch()).toBe(theirs);
    expect((await collect(remote.files(theirs))).map((f) => f.path)).toEqual(['run.sh']);
    expect(await remote.readFile(theirs, 'link' as TreePath, 1 << 20)).toBeUndefined();
    expect(await remote.fileId(theirs, 'link' as TreePath)).toBeUndefined();
    expect(await remote.fileId(theirs, 'run.sh' as TreePath)).toBe(link);
    expect((await collect(remote.diff(first, theirs))).map((c) => [c.path, c.blobId])).toEqual([
      ['a', undefined],
      ['run.sh', link],
    ]);
    const head = landed(await push(theirs, [put('b', '2')]));
    const listing = await git(server.directory, ['ls-tree', head]);
    expect(listing).toContain('100755 blob');
    expect(listing).toContain('120000 blob');
    expect(listing).toContain('160000 commit');
  });

  test('in a merge counts as one step of the branch’s history', async () => {
    const first = await base();
    const side = await server.commit({ side: '1' });
    await server.moveTo(first);
    const main = await server.commit({ main: '1' });
    const tree = (await git(server.directory, ['merge-tree', '--write-tree', main, side])).trim();
    const merge = (
      await git(server.directory, ['commit-tree', tree, '-p', main, '-p', side, '-m', 'merge'])
    ).trim() as CommitId;
    await server.moveTo(merge);
    await remote.fetch();
    expect((await collect(remote.history(merge))).map((e) => [e.commit, e.paths])).toEqual([
      [merge, ['side']],
      [main, ['main']],
      [first, ['a']],
    ]);
    expect(await remote.isAncestor(side, merge)).toBe(true);
  });
});
