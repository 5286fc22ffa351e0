import { mkdtemp, open, readFile, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { writePieces } from '../../../src/disk/durable.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'write-pieces-'));
});
afterAll(() => rm(directory, { recursive: true }));

/** The file, whose disk takes no more than so many bytes of a first call. */
function shortOf(handle: FileHandle, takenBytes: number): FileHandle {
  return {
    write: handle.write.bind(handle),
    writev: async (pieces: readonly Uint8Array[]) => {
      const bytes = Buffer.concat(pieces).subarray(0, takenBytes);
      return { bytesWritten: bytes.length > 0 ? (await handle.write(bytes)).bytesWritten : 0 };
    },
  } as unknown as FileHandle;
}

test('pieces stand in the file in their order, few or many, also where a disk takes a part of them at first', async () => {
  const piece = fc.uint8Array({ maxLength: 40 });
  const pieces = fc.oneof(
    fc.array(piece, { maxLength: 8 }),
    fc.array(piece, { minLength: 60, maxLength: 70 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(pieces, { maxLength: 3 }), fc.nat(400), async (batches, takenBytes) => {
      const path = join(directory, 'file');
      const handle = await open(path, 'w');
      for (const batch of batches) await writePieces(shortOf(handle, takenBytes), batch);
      for (const batch of batches) await writePieces(handle, batch);
      await handle.close();
      const once = Buffer.concat(batches.flat());
      expect((await readFile(path)).equals(Buffer.concat([once, once]))).toBe(true);
    }),
  );
});

test('what a disk does not take fails', async () => {
  const full = {
    write: () => Promise.reject(new Error('ENOSPC')),
    writev: async () => ({ bytesWritten: 3 }),
  } as unknown as FileHandle;
  await expect(writePieces(full, [Buffer.from('ab'), Buffer.from('cd')])).rejects.toThrow('ENOSPC');
});
