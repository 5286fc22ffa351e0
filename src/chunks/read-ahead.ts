import type { Chunk, Extent } from '../format/extent.js';
import type { ChunkSource } from './chunk-source.js';

/** How many chunks after the one that is read are fetched meanwhile. */
const READ_AHEAD_CHUNKS = 2;

interface Opening {
  readonly extent: Extent;
  readonly source: Promise<ChunkSource>;
}

/**
 * Opens the chunks of an object in order, the next ones while this one is read: one line to Gitee is slower
 * than three. Holds open what it opened, so an eviction in between costs nothing. Whoever walks it must end
 * the walk (for-await does), which lets go of everything.
 */
export async function* openAhead(
  extents: AsyncIterable<Extent>,
  open: (chunk: Chunk) => Promise<ChunkSource>,
): AsyncGenerator<{ extent: Extent; source: ChunkSource }> {
  const ahead: Opening[] = [];
  const walk = extents[Symbol.asyncIterator]();
  let more = true;
  const openNext = async () => {
    const next = await walk.next();
    if (next.done) {
      more = false;
      return;
    }
    const extent = next.value;
    const source = open({ oid: extent.oid, sizeBytes: extent.chunkLengthBytes, volume: extent.volume });
    // Its failure is told when its turn comes; until then it is nobody's.
    source.catch(() => {});
    ahead.push({ extent, source });
  };
  try {
    for (;;) {
      while (more && ahead.length <= READ_AHEAD_CHUNKS) await openNext();
      const first = ahead[0];
      if (!first) return;
      yield { extent: first.extent, source: await first.source };
      ahead.shift();
      await (await first.source).close();
    }
  } finally {
    await Promise.all([
      ...ahead.map(({ source }) =>
        source.then(
          (opened) => opened.close(),
          () => {
            // Never opened, so there is nothing to let go of.
          },
        ),
      ),
      walk.return?.(),
    ]);
  }
}
