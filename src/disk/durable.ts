/**
 * The one home of what makes files survive a power cut: bytes are there after the fsync of the file, a name after the
 * fsync of the directory that has it (fsync(2)).
 */
import { closeSync, fsyncSync, constants as fsConstants, openSync } from 'node:fs';
import { mkdir, open, rename, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isNotFound, systemCode } from './failures.js';

/** Makes the names in a directory durable: without it a power cut may undo a rename. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, fsConstants.O_RDONLY | fsConstants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The same, where nothing may happen meanwhile. */
export function syncDirectoryAtOnce(path: string): void {
  const fd = openSync(path, fsConstants.O_RDONLY | fsConstants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes the bytes of a file durable that is there already. */
export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Makes a directory and those above it durable, where they are new. Idempotent. From the top down, each name synced
 * before anything is made below it: whoever is killed in the middle leaves at most the last name unsynced, so that
 * the last one is synced also where it is there already.
 */
export async function makeDurableDirectory(path: string): Promise<void> {
  const parent = dirname(path);
  if (parent === path) return;
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (isNotFound(error)) {
      await makeDurableDirectory(parent);
      return makeDurableDirectory(path);
    }
    if (systemCode(error) !== 'EEXIST') throw error;
    await syncDirectory(parent).catch((cause: unknown) => {
      // A parent that may be passed through and not be read is somebody else's, who made this directory too.
      if (systemCode(cause) !== 'EACCES') throw cause;
    });
    return;
  }
  await syncDirectory(parent);
}

/** Writes a small file so that after a power cut there is the old one or the new one, whole. Readable by its owner. */
export async function writeDurably(directory: string, name: string, text: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const temporary = join(directory, `${name}.new`);
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(directory, name));
  await syncDirectory(directory);
}

/** Writes all bytes; a short write (a nearly full disk) is followed by the error it announces. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}

/** Fills the buffer with what stands at a position, and returns the part that is filled: less only at the end of the file. */
export async function readInto(buffer: Buffer, handle: FileHandle, positionBytes: number): Promise<Buffer> {
  const lengthBytes = buffer.length;
  let filledBytes = 0;
  while (filledBytes < lengthBytes) {
    const { bytesRead } = await handle.read(
      buffer,
      filledBytes,
      lengthBytes - filledBytes,
      positionBytes + filledBytes,
    );
    if (bytesRead === 0) break;
    filledBytes += bytesRead;
  }
  return filledBytes === lengthBytes ? buffer : buffer.subarray(0, filledBytes);
}
