/**
 * Attacks "nothing of our own housekeeping stops commits": a state directory of an older version, with more than
 * 20,000 loose objects, is packed while pushes come.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CommitId } from '../../../src/format/ids.js';
import { collect, landed, put } from '../../contract/head-remote.js';
import { startGitHeadRemote } from '../../support/git-head-remote.js';
import { git, GitServerRepository } from '../../support/git-server-repository.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';

const FILES = 21_000;

let gitee: RunningLocalGitee;
beforeAll(async () => {
  gitee = await startLocalGitee();
});
afterAll(() => gitee.stop());

/** One commit of many small files, as loose objects of this repository. */
async function looseCommit(directory: string, ref = 'refs/test/head'): Promise<CommitId> {
  const parts = [`commit ${ref}\ncommitter A <a@b> 1700000000 +0000\ndata 2\nm\n`];
  for (let i = 0; i < FILES; i += 1) {
    const content = randomBytes(60).toString('hex');
    parts.push(`M 100644 inline d/${i % 100}/${i}\ndata ${content.length}\n${content}\n`);
  }
  const importing = promisify(execFile)(
    'git',
    ['-c', 'fastimport.unpackLimit=1000000', 'fast-import', '--quiet'],
    {
      env: { PATH: process.env['PATH'], GIT_DIR: directory },
    },
  );
  importing.child.stdin!.end(parts.join(''));
  await importing;
  return (await git(directory, ['rev-parse', ref])).trim() as CommitId;
}

async function looseObjects(directory: string): Promise<number> {
  return Number(/^count: (\d+)$/m.exec(await git(directory, ['count-objects', '-v']))![1]);
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

test('pushes go on at their pace while 20,000 loose objects are packed', async () => {
  const server = new GitServerRepository(join(gitee.dataDir, 'repositories', 'acme', 'images.git'), 'master');
  const { remote, settings, remove } = await startGitHeadRemote(`${gitee.url}/acme/images.git`, {
    branch: 'master',
    token: { current: () => gitee.token, reload: async () => false },
  });
  try {
    await remote.fetch();
    let head = await looseCommit(settings.directory);
    await git(settings.directory, ['push', '-q', server.directory, `${head}:refs/heads/master`]);
    await remote.fetch();
    expect(await looseObjects(settings.directory)).toBeGreaterThan(20_000);

    let pushes = 0;
    const push = async () => {
      const startMs = performance.now();
      pushes += 1;
      const edits = [put(`d/${pushes % 100}/new-${pushes}`, `${pushes}`)];
      head = landed(await remote.push({ expectedHead: head, edits, subject: 's', trailers: [] }));
      return performance.now() - startMs;
    };
    await push();
    const quiet: number[] = [];
    for (let i = 0; i < 9; i += 1) quiet.push(await push());
    const beside: number[] = [];
    // Packing may be over after a few pushes: then as many objects are packed again, five times at most.
    for (let again = 1; again <= 5 && beside.length <= 4; again += 1) {
      while ((await looseObjects(settings.directory)) > 1_000) {
        // Every idle moment asks for it; what runs goes on.
        remote.maintain().catch(() => {});
        beside.push(await push());
      }
      await remote.maintained();
      if (beside.length <= 4) await looseCommit(settings.directory, `refs/test/again-${again}`);
    }
    expect(beside.length).toBeGreaterThan(4);
    expect(median(beside)).toBeLessThan(3 * median(quiet));
    expect(Math.max(...beside)).toBeLessThan(10 * median(quiet));
    expect(await looseObjects(settings.directory)).toBe(0);
    expect(await collect(remote.files(head))).toHaveLength(FILES + pushes);
    await git(settings.directory, ['fsck', '--connectivity-only']);
  } finally {
    await remove();
  }
});
