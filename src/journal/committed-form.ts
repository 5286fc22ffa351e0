/** Brings changes into the form in which a commit may name them: small ones plain, the rest in whole chunks. */
import { ChunkError, type ChunkHold, type ChunksApi } from '../chunks/api.js';
import { wholeExtent, type Chunk, type Extent } from '../format/extent.js';
import { plainBytes } from '../format/object-form.js';
import type { LayoutRules } from '../format/tree-layout.js';
import { InlineExtentList } from '../index/extent-list.js';
import type { NewBody, ObjectBody, ObjectRecord } from '../index/object-record.js';
import { RemoteError } from '../gitee/errors.js';
import { StorageError } from '../index/errors.js';
import type { ChangeLog } from './change-log.js';
import type { JournalEntry } from './overlay-rows.js';

/** Something failed at one change: it cannot be brought into a form that can be committed, or even looked at. */
export class ChangeFailed extends Error {
  override readonly name = 'ChangeFailed';
  constructor(
    readonly entry: JournalEntry,
    override readonly cause: Error,
  ) {
    super(`change ${entry.seq} of ${entry.key}: ${cause.message}`, { cause });
  }

  /** Its bytes are missing or wrong. */
  get isLoss(): boolean {
    const { cause } = this;
    return (
      (cause instanceof ChunkError && (cause.code === 'missing' || cause.code === 'corrupt')) ||
      (cause instanceof StorageError && cause.code === 'corrupt')
    );
  }

  /** Its bytes can't be had now. */
  get isAway(): boolean {
    const { cause } = this;
    return (
      cause instanceof ChunkError && (cause.code === 'remote-unavailable' || cause.code === 'remote-down')
    );
  }

  /** Names the change in what failed at it; what says nothing about the change stays as it is. */
  static at(entry: JournalEntry, error: unknown): unknown {
    if (!(error instanceof Error) || error instanceof RemoteError || error instanceof ChangeFailed)
      return error;
    if (error instanceof StorageError && error.code === 'broken-invariant') return error;
    return new ChangeFailed(entry, error);
  }
}

export class Normaliser {
  constructor(
    private readonly journal: ChangeLog,
    private readonly chunks: ChunksApi,
    private readonly rules: LayoutRules,
  ) {}

  /**
   * The entry as it may be committed; it stands so in the overlay too, with ETag and times unchanged. undefined where it
   * is not pending any more.
   * @throws ChangeFailed where its bytes are missing or wrong, or it can't be done for another reason of this change.
   */
  async normalise(entry: JournalEntry, signal?: AbortSignal): Promise<JournalEntry | undefined> {
    const { record } = entry;
    if (!record) return entry;
    const hold = this.chunks.hold();
    try {
      const body = await this.journal.openBody(record);
      const better = await this.#betterBody(entry, record, body, { hold, signal });
      if (!better) return entry;
      return await this.journal.replaceBody(entry, { ...record, body: better });
    } catch (error) {
      throw ChangeFailed.at(entry, error);
    } finally {
      hold.end();
    }
  }

  async #betterBody(
    { key }: JournalEntry,
    record: ObjectRecord,
    body: ObjectBody,
    { hold, signal }: { hold: ChunkHold; signal: AbortSignal | undefined },
  ): Promise<NewBody | undefined> {
    // What reads as a pointer goes on as chunks.
    const plain = await plainBytes(this.rules, key, record.sizeBytes, async () =>
      body.kind === 'plain' ? body.bytes : this.#read(body, record.sizeBytes, signal),
    );
    if (plain) return body.kind === 'plain' ? undefined : { kind: 'plain', bytes: plain };
    const list = body.kind === 'plain' ? await this.#stored(body.bytes, hold) : body.list;
    const chunks: Chunk[] = [];
    let sizeBytes = 0;
    for await (const chunk of this.chunks.normalise(list, hold, signal)) {
      chunks.push(chunk);
      sizeBytes += chunk.sizeBytes;
    }
    if (sizeBytes !== record.sizeBytes)
      throw new StorageError(
        'broken-invariant',
        `${key} has ${record.sizeBytes} bytes and ${sizeBytes} after it was cut anew`,
      );
    if (body.kind === 'extents' && (await isSame(body, chunks))) return undefined;
    return { kind: 'extents', extents: chunks.map(wholeExtent) };
  }

  async #stored(bytes: Uint8Array, hold: ChunkHold): Promise<InlineExtentList> {
    const extents: Extent[] = [];
    for (let at = 0; at < bytes.length; at += this.rules.chunkSizeBytes) {
      const chunk = bytes.subarray(at, at + this.rules.chunkSizeBytes);
      extents.push(wholeExtent(await this.chunks.store(chunk, hold)));
    }
    return new InlineExtentList(extents);
  }

  async #read(
    body: Extract<ObjectBody, { kind: 'extents' }>,
    sizeBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.chunks.read(body.list, 0, sizeBytes, signal))
      pieces.push(piece as Uint8Array);
    return Buffer.concat(pieces);
  }
}

async function isSame(
  body: Extract<ObjectBody, { kind: 'extents' }>,
  chunks: readonly Chunk[],
): Promise<boolean> {
  if (body.list.count !== chunks.length) return false;
  let i = 0;
  for await (const extent of body.list.range(0, body.list.sizeBytes)) {
    const chunk = chunks[i];
    if (extent.oid !== chunk?.oid || extent.lengthBytes !== chunk.sizeBytes || extent.offsetBytes !== 0)
      return false;
    i += 1;
  }
  return true;
}
