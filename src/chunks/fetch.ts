/** Downloads of one bucket, one per chunk at a time; what one download does is download.ts. */
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { ChunkError } from './api.js';
import type { ChunkSource } from './chunk-source.js';
import { Download, type DownloadDeps } from './download.js';
import { ReadRequest } from './read-request.js';

export class ChunkFetcher {
  readonly #running = new Map<Oid, Download>();
  readonly #ending = new Set<Promise<void>>();
  #closed = false;

  constructor(private readonly deps: DownloadDeps) {}

  get running(): number {
    return this.#running.size;
  }

  /** For one answer; each of its chunks is opened with it. */
  newRequest(): ReadRequest {
    return new ReadRequest(this.deps.clock.steadyMs());
  }

  /** Joins the running download of this chunk, if there is one. */
  join(chunk: Chunk, request: ReadRequest): ChunkSource | undefined {
    return this.#running.get(chunk.oid)?.attach(request);
  }

  /** Joins or starts a download. It ends when nobody waits for it any more. @throws ChunkError when closed */
  start(chunk: Chunk, request: ReadRequest): ChunkSource {
    const running = this.join(chunk, request);
    if (running) return running;
    if (this.#closed) throw new ChunkError('aborted', 'the chunk store is closed');
    this.deps.metrics.count('gateway_cache_reads_total', { result: 'miss' });
    const download = new Download(chunk, this.deps, () => {
      if (this.#running.get(chunk.oid) === download) this.#running.delete(chunk.oid);
    });
    this.#running.set(chunk.oid, download);
    const source = download.attach(request);
    const end = download.run().finally(() => this.#ending.delete(end));
    this.#ending.add(end);
    return source;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const download of [...this.#running.values()])
      download.stop(new ChunkError('aborted', 'the chunk store is closed'));
    await Promise.all(this.#ending);
  }
}
