import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { utf8 } from '../../../src/index/key-bytes.js';
import { Keyspace } from '../../../src/index/keyspace.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { LmdbChangeLogs } from '../../../src/journal/lmdb-change-logs.js';
import { RunTimeState } from '../../../src/buckets/run-time-state.js';

describe('the state of buckets made at run time', () => {
  let directory: string;
  let store: LmdbStore;
  let state: RunTimeState;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'run-time-state-'));
    store = LmdbStore.open(join(directory, 'overlay'));
    state = new RunTimeState(directory, new LmdbChangeLogs(store));
  });
  afterEach(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });

  test('states are found by bucket, the oldest first, wherever a part of one is left', async () => {
    const [old, young] = [await state.newName('photos', 1_000), await state.newName('photos', 2_000)];
    await mkdir(join(directory, 'buckets', young), { recursive: true });
    await mkdir(join(directory, 'chunks/grace', old), { recursive: true });
    for (const other of ['files', 'bucket_catalogue', 'Files_0123456789abcdef'])
      await mkdir(join(directory, 'buckets', other));
    expect([...(await state.list())]).toEqual([['photos', [old, young]]]);
  });

  test('a state that is made after the clock was set back comes after what an earlier one has left', async () => {
    const made: string[] = [];
    for (const nowMs of [2_000, 1_000, 1_000, 3_000]) {
      made.push(await state.newName('photos', nowMs));
      await mkdir(join(directory, 'buckets', made.at(-1)!), { recursive: true });
    }
    expect((await state.list()).get('photos')).toEqual(made);
  });

  test('a wipe takes all of one state and nothing of another of the same bucket', async () => {
    const names = [await state.newName('photos', 1_000), await state.newName('photos', 2_000)];
    const row = { name: 'photos', createdMs: 5, owner: 'AK' };
    for (const name of names) {
      for (const parent of ['buckets', 'chunks/unsent', 'chunks/grace']) {
        await mkdir(join(directory, parent, name, 'aa'), { recursive: true });
        await writeFile(join(directory, parent, name, 'aa', 'file'), 'x');
      }
      await state.writeRow(name, row);
      const keys = Keyspace.overlay(name);
      for (let i = 0; i < 1200; i += 400)
        await store.commit(
          [],
          Array.from({ length: 400 }, (_, n) => ({
            key: keys.key('newest', utf8(`key ${i + n}`)),
            value: utf8('value'),
          })),
        );
    }
    const [gone, kept] = names as [string, string];
    await state.wipe(gone);
    await state.wipe(gone); // and again, as after a kill
    for (const parent of ['buckets', 'chunks/unsent', 'chunks/grace'])
      expect(await readdir(join(directory, parent))).toEqual([kept]);
    const left = async (name: string) => {
      const keys = Keyspace.overlay(name);
      return (await store.page(keys.key('newest'), keys.end('newest'), 2000)).length;
    };
    expect([await left(gone), await left(kept)]).toEqual([0, 1200]);
    expect([await state.readRow(gone), await state.readRow(kept)]).toEqual([undefined, row]);
  });
});
