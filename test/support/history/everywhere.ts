/**
 * The last look of a test with faults: what clients were told against what is there, at the three places that can show
 * it. A loss that one of them hides shows at another: the gateway answers from its journal what never reached Gitee,
 * and a rebuild brings to light what its index had covered.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { expect } from '@jest/globals';
import { mustRun, until } from '../child.js';
import { startRegistry } from '../registry.js';
import type { Stack } from '../stack.js';
import { ABSENT, valueOf, type History, type View } from './history.js';
import { throughRegistry } from './images.js';
import { isBytes } from './s3-client.js';

/** One bucket of the stack, and what happened in it. */
export interface Recorded {
  readonly bucket: 'files' | 'registry';
  readonly history: History;
  /** How its keys are read through the running gateway. */
  readonly view: View;
  /** Keys of the history are keys of the bucket, or names of images. */
  readonly holds: 'objects' | 'images';
}

const REPOSITORY = { files: 'acme/files', registry: 'acme/images' } as const;

/**
 * Expects that nothing is lost: through the gateway as it is; in a plain clone with git-lfs, of what was acknowledged
 * as being on Gitee; and, once all has landed, of a gateway that has nothing but Gitee.
 */
export async function expectNothingLost(stack: Stack, ...recorded: readonly Recorded[]): Promise<void> {
  const { gateway } = stack;
  for (const { history, view } of recorded) {
    expect(await history.problems(view)).toEqual([]);
    expect(history.problemsOfReads()).toEqual([]);
  }
  for (const one of recorded) await expectCloned(stack, one);
  await allLands(stack, recorded);
  await gateway.stop();
  // Not the directory itself: a disk may be mounted there.
  for (const name of await readdir(gateway.stateDirectory))
    await rm(path.join(gateway.stateDirectory, name), { recursive: true });
  await gateway.start();
  for (const { history, view } of recorded) {
    history.serverEnded();
    expect(await history.problems(view)).toEqual([]);
  }
}

/** The oldest change waits a minute or more: not for this. */
async function allLands({ gateway }: Stack, recorded: readonly Recorded[]): Promise<void> {
  const { env } = gateway;
  gateway.env = { ...env, GATEWAY_COMMIT_INTERVAL: '100ms' };
  await gateway.restart();
  gateway.env = env;
  for (const { bucket } of recorded)
    await until(`everything of ${bucket} is on Gitee`, async () => {
      return (await gateway.metric('gateway_journal_pending_changes', { bucket })) === 0;
    });
}

/** What somebody has who has only git and git-lfs: a clone as of now, restored by the script in it. */
async function expectCloned(stack: Stack, { bucket, history, holds }: Recorded): Promise<void> {
  const directory = path.join(stack.directory, `clone-of-${bucket}`);
  const [clone, restored] = [path.join(directory, 'clone'), path.join(directory, 'restored')];
  await mkdir(restored, { recursive: true });
  const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', HOME: directory };
  const url = new URL(`${stack.gitee.url}/${REPOSITORY[bucket]}.git`);
  url.username = 'oauth2';
  url.password = stack.gitee.token;
  await mustRun('git', ['lfs', 'install', '--skip-repo'], { env });
  await mustRun('git', ['clone', '-q', url.href, clone], { env });
  // Of a bucket in which nothing has landed yet there is nothing but .git.
  if ((await readdir(clone)).length > 1)
    await mustRun('sh', ['.gateway/restore.sh', restored], { env, cwd: clone });
  const keys = history.keys.filter(isBytes);
  if (holds === 'objects') expect(await history.problems(inFiles(restored), 'remote', keys)).toEqual([]);
  else {
    // The stock registry serves it without us.
    const plain = await startRegistry({
      directory: path.join(directory, 'registry'),
      filesystemRoot: restored,
    });
    try {
      expect(await history.problems(throughRegistry(plain.address, directory), 'remote', keys)).toEqual([]);
    } finally {
      await plain.stop();
    }
  }
  await rm(directory, { recursive: true, force: true });
}

function inFiles(directory: string): View {
  return async (key) => {
    try {
      return valueOf(await readFile(path.join(directory, key)));
    } catch (error) {
      // A directory: other keys begin with this one and a slash.
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR') return ABSENT;
      throw error;
    }
  };
}
