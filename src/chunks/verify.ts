import type { FileHandle } from 'node:fs/promises';
import type { Oid } from '../format/ids.js';
import { abortedBy } from './aborted.js';
import type { ChunkCache } from './cache.js';
import type { ChunkHome } from './paths.js';
import type { PinnedChunks } from './pinned.js';
import { hashOfFile } from './verified-files.js';

/**
 * Hashes every chunk file of a bucket and of the shared cache, whatever was found earlier; moves wrong ones
 * aside and names them. One file at a time. @throws ChunkError `aborted`
 */
export async function* verifyLocal(
  pinned: PinnedChunks,
  cache: ChunkCache,
  signal?: AbortSignal,
): AsyncGenerator<{ oid: string; problem: string }> {
  const lookAt = async (oid: Oid, handle: FileHandle, home: ChunkHome) => {
    if (signal?.aborted) throw abortedBy(signal);
    try {
      if ((await hashOfFile(handle)) === oid) return undefined;
      const { ino } = await handle.stat({ bigint: true });
      if (home === 'cache') await cache.reject(oid, ino);
      else await pinned.reject(oid, home, ino);
      return { oid, problem: PROBLEMS[home] };
    } finally {
      await handle.close();
    }
  };
  for (const home of ['unsent', 'grace'] as const) {
    for (const [oid] of pinned.entriesOf(home)) {
      const file = await pinned.openFile(oid);
      const found = file && (await lookAt(oid, file.handle, file.home));
      if (found) yield found;
      if (!file && pinned.homeOf(oid) === home) yield { oid, problem: `its file in ${home} is gone` };
    }
  }
  for (const oid of cache.oids()) {
    const handle = await cache.openFile(oid, 'look');
    const found = handle && (await lookAt(oid, handle, 'cache'));
    if (found) yield found;
  }
}

const PROBLEMS: Readonly<Record<ChunkHome, string>> = {
  unsent: 'the only copy does not hash to its name; it was moved aside',
  grace: 'does not hash to its name; moved aside, Gitee has it',
  cache: 'does not hash to its name; moved aside, the next read fetches it anew',
};
