import type { ChunkHold, ChunksApi } from '../chunks/api.js';
import { BodyDigests } from '../chunks/digests.js';
import { wholeExtent, type Extent } from '../format/extent.js';
import type { ObjectBody, ObjectRecord, StoredChecksum } from '../index/object-record.js';
import type { ChecksumAlgorithm } from './api.js';
import { DIGEST_OF } from './body-check.js';
import type { Bucket } from './bucket.js';

/** A range of an object that is to stand elsewhere too. */
export class CopySource {
  constructor(
    private readonly bucket: Bucket,
    readonly record: ObjectRecord,
    private readonly body: ObjectBody,
    private readonly startBytes: number,
    private readonly endBytes: number,
  ) {}

  get sizeBytes(): number {
    return this.endBytes - this.startBytes;
  }

  /** The bytes, where they are in the index itself. */
  get plainBytes(): Uint8Array | undefined {
    return this.body.kind === 'plain' ? this.body.bytes.subarray(this.startBytes, this.endBytes) : undefined;
  }

  /**
   * Extents of the range as the target bucket may use them: references within a bucket; into another bucket,
   * whose chunks lie in another store, the bytes are read and stored once more. Held is what only this disk has: who
   * walks over the rows meanwhile may come to the copy too early, and to a source that is deleted after it too late.
   */
  async extents(
    target: Bucket,
    signal: AbortSignal,
    hold: ChunkHold,
  ): Promise<AsyncIterable<Extent> | Iterable<Extent>> {
    if (this.sizeBytes === 0) return [];
    if (target.name === this.bucket.name) {
      if (this.body.kind === 'extents')
        return held(this.body.list.range(this.startBytes, this.endBytes), target.chunks, hold);
      return [wholeExtent(await target.chunks.store(this.plainBytes!, hold))];
    }
    const room = await target.chunks.reserve({ lengthBytes: this.sizeBytes, keepUpToBytes: -1 }, signal);
    const ingested = await target.chunks.ingest(this.read(this.bucket.chunks, signal), room, {
      digests: [],
      signal,
      hold,
      isLarge: this.sizeBytes > target.rules.chunkSizeBytes,
    });
    return ingested.extents;
  }

  /** Checksum of the range. The bytes are read for it, unless the source has one of just this. */
  async checksum(algorithm: ChecksumAlgorithm, signal: AbortSignal): Promise<StoredChecksum> {
    const known = this.record.checksum;
    const isWhole = this.sizeBytes === this.record.sizeBytes;
    if (isWhole && known?.algorithm === algorithm && known.type === 'FULL_OBJECT') return known;
    const digests = new BodyDigests([DIGEST_OF[algorithm]]);
    for await (const piece of this.read(this.bucket.chunks, signal)) digests.update(piece);
    const value = Buffer.from(digests.finish().get(DIGEST_OF[algorithm])!).toString('base64');
    return { algorithm, type: 'FULL_OBJECT', value };
  }

  async *read(chunks: ChunksApi, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (this.body.kind === 'plain') {
      yield this.plainBytes!;
      return;
    }
    for await (const piece of chunks.read(this.body.list, this.startBytes, this.endBytes, signal)) {
      yield piece as Buffer;
    }
  }
}

async function* held(
  extents: AsyncIterable<Extent>,
  chunks: Pick<ChunksApi, 'isUnsent'>,
  hold: ChunkHold,
): AsyncGenerator<Extent> {
  for await (const extent of extents) {
    if (chunks.isUnsent(extent.oid)) hold.add(extent.oid);
    yield extent;
  }
}
