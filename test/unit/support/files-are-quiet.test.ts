/** Steps of a manual clock wait for all work on files: what they don't see is overtaken by hours on a busy machine. */
import { createReadStream } from 'node:fs';
import { open, rename, rm, statfs, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { filesAreQuiet, until } from '../../support/chunk-bench.js';

test('every operation on a file is seen while it is under way', async () => {
  const path = join(tmpdir(), 'file');
  const seen: Record<string, boolean> = {};
  const note = async <T>(name: string, run: () => Promise<T>): Promise<T> => {
    // What is over is named for a moment still.
    await until(filesAreQuiet);
    const running = run();
    await new Promise((go) => process.nextTick(go)); // a stream begins there
    seen[name] = !filesAreQuiet();
    return running;
  };
  await note('write', () => writeFile(path, 'x'));
  const file = await note('open', () => open(path, 'r+'));
  await note('stat', () => file.stat());
  await note('read', () => file.read(Buffer.alloc(1), 0, 1, 0));
  await note('sync', () => file.sync());
  await note('close', () => file.close());
  await note('utimes', () => utimes(path, 1, 1));
  await note('statfs', () => statfs(tmpdir()));
  await note('rename', () => rename(path, `${path}2`));
  await note(
    'stream',
    () => new Promise<void>((resolve) => createReadStream(`${path}2`).on('close', resolve).resume()),
  );
  await note('rm', () => rm(`${path}2`));
  expect(seen).toEqual(Object.fromEntries(Object.keys(seen).map((name) => [name, true])));
  expect(Object.keys(seen)).toHaveLength(11);
});
