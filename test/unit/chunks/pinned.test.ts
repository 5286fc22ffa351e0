import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { systemClock } from '../../../src/async/clock.js';
import { noFailpoints } from '../../../src/async/failpoint.js';
import type { ChunkCache } from '../../../src/chunks/cache.js';
import { PinnedPaths } from '../../../src/chunks/paths.js';
import { PinnedChunks } from '../../../src/chunks/pinned.js';
import { toOid } from '../../../src/format/ids.js';

const CHUNKS = 20;

test('a chunk that Gitee has lost has a home at every moment: whoever looks meanwhile finds it', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'pinned-'));
  try {
    const paths = new PinnedPaths(directory, 'images');
    const oids = Array.from({ length: CHUNKS }, (_, i) =>
      toOid(createHash('sha256').update(String(i)).digest('hex')),
    );
    for (const oid of oids) {
      await mkdir(path.join(paths.grace, oid.slice(0, 2)), { recursive: true });
      await writeFile(path.join(paths.grace, oid.slice(0, 2), oid), 'bytes');
    }
    const pinned = new PinnedChunks({
      ...{ paths, clock: systemClock, failpoints: noFailpoints, onChange: () => {} },
      cache: { giveTo: async () => false } as unknown as ChunkCache,
    });
    await pinned.open();
    let looks = 0;
    for (const oid of oids) {
      expect(pinned.homeOf(oid)).toBe('grace');
      let isMoved = false;
      const moved = pinned.markLost(oid, 5).finally(() => (isMoved = true));
      for (; !isMoved; looks += 1) {
        expect(pinned.homeOf(oid)).toBeDefined();
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect([await moved, pinned.homeOf(oid)]).toEqual([true, 'unsent']);
    }
    expect(looks).toBeGreaterThan(CHUNKS);
  } finally {
    await rm(directory, { recursive: true });
  }
});
