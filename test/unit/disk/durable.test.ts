import { mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  makeDurableDirectory,
  readInto,
  syncDirectory,
  syncDirectoryAtOnce,
  syncFile,
  writeDurably,
} from '../../../src/disk/durable.js';
import { isNoSpace, isNotFound, systemCode, unlessMissing } from '../../../src/disk/failures.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'disk-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a file is replaced as a whole, is its owner’s alone, and leaves nothing beside it', async () => {
  const own = join(directory, 'a/b');
  await writeDurably(own, 'row.json', 'a longer first text');
  await writeDurably(own, 'row.json', 'second');
  expect(await readFile(join(own, 'row.json'), 'utf8')).toBe('second');
  expect(await readdir(own)).toEqual(['row.json']);
  expect((await stat(join(own, 'row.json'))).mode & 0o777).toBe(0o600);
});

test('directories are made with those above them, once and again', async () => {
  const own = join(directory, 'x/y/z');
  await makeDurableDirectory(own);
  await makeDurableDirectory(own);
  expect((await stat(own)).mode & 0o777).toBe(0o700);
});

test('what is to be made durable must be there, and a directory must be one', async () => {
  await writeDurably(directory, 'file', 'x');
  await syncFile(join(directory, 'file'));
  await syncDirectory(directory);
  syncDirectoryAtOnce(directory);
  const failures = [
    syncFile(join(directory, 'none')),
    syncDirectory(join(directory, 'none')),
    syncDirectory(join(directory, 'file')),
  ].map((failing) => failing.then(() => 'done', systemCode));
  expect(await Promise.all(failures)).toEqual(['ENOENT', 'ENOENT', 'ENOTDIR']);
  expect(() => syncDirectoryAtOnce(join(directory, 'file'))).toThrow(/ENOTDIR/);
});

test('bytes are read at a place, fewer only at the end', async () => {
  await writeDurably(directory, 'file', '0123456789');
  const handle = await open(join(directory, 'file'));
  try {
    expect(
      [await readInto(Buffer.alloc(3), handle, 2), await readInto(Buffer.alloc(5), handle, 8)].map(String),
    ).toEqual(['234', '89']);
  } finally {
    await handle.close();
  }
});

test('a file that is not there is undefined, and every other failure stays one', async () => {
  expect(await unlessMissing(readFile(join(directory, 'none')))).toBeUndefined();
  expect(await unlessMissing(Promise.resolve('text'))).toBe('text');
  await expect(unlessMissing(readFile(directory))).rejects.toThrow(/EISDIR/);
});

test('a failure is known by the system call’s name, whatever its class', () => {
  expect([isNotFound({ code: 'ENOENT' }), isNotFound(new Error('ENOENT')), isNotFound(null)]).toEqual([
    true,
    false,
    false,
  ]);
  expect(['ENOSPC', 'EDQUOT', 'EIO'].map((code) => isNoSpace({ code }))).toEqual([true, true, false]);
});
