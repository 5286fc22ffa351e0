import { mkdtemp, open, readFile, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { writeAll } from '../../../src/disk/durable.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'write-all-'));
});
afterAll(() => rm(directory, { recursive: true }));

/** The file, whose disk takes no more than so many bytes of a call. */
function shortOf(handle: FileHandle, takenBytes: number): FileHandle {
  return {
    write: (bytes: Uint8Array, at: number, lengthBytes: number) =>
      handle.write(bytes, at, Math.min(takenBytes, lengthBytes)),
  } as unknown as FileHandle;
}

test('all bytes stand in the file in their order, also where a disk takes a part of them at first', async () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 500 }), async (batch, takenBytes) => {
      const path = join(directory, 'file');
      const handle = await open(path, 'w');
      for (const bytes of batch) await writeAll(shortOf(handle, takenBytes), bytes);
      await handle.close();
      expect((await readFile(path)).equals(Buffer.concat(batch))).toBe(true);
    }),
  );
});

test('what a disk does not take fails', async () => {
  let calls = 0;
  const full = {
    write: async () => {
      calls += 1;
      if (calls > 1) throw new Error('ENOSPC');
      return { bytesWritten: 3 };
    },
  } as unknown as FileHandle;
  await expect(writeAll(full, Buffer.from('abcd'))).rejects.toThrow('ENOSPC');
});
