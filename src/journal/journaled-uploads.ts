/**
 * Multipart uploads in the overlay. Below the table `upload`: 0x00 key 0x00 upload id -> upload; 0x01 upload id -> one
 * that was completed. Below `part`: upload id 0x00 part number (2 bytes) -> part.
 */
import { StorageError } from '../index/errors.js';
import type { ObjectKey } from '../format/ids.js';
import { joinBytes, utf8 } from '../index/key-bytes.js';
import type { KeyValueStore, Precondition, Write } from '../index/key-value-store.js';
import type { Keyspace } from '../index/keyspace.js';
import { walk } from '../index/walk.js';
import { RACES_MAX } from './overlay-table.js';
import { checkRoom, type Admits } from './room.js';
import {
  decodeCompleted,
  decodePart,
  decodeUpload,
  encodeCompleted,
  encodePart,
  encodeUpload,
} from './upload-rows.js';
import {
  nameOfUpload,
  type CompletedUpload,
  type OpenUpload,
  type Upload,
  type UploadCompletion,
  type UploadedPart,
  type UploadStore,
} from './upload-store.js';

const OPEN = Uint8Array.of(0x00);
const DONE = Uint8Array.of(0x01);
/** Two bytes; a larger number would begin again at 0. Part numbers end at 10,000. */
const PART_KEY_MAX = 0xffff;
const UPLOAD_ID = /^[0-9a-f]{12}[0-9a-f]{32}$/;
const PAGE = 500;

/** What is to be written, and where it holds. */
export interface UploadEdit {
  readonly preconditions: readonly Precondition[];
  readonly writes: readonly Write[];
}

export class JournaledUploads implements UploadStore {
  constructor(
    private readonly store: KeyValueStore,
    private readonly keys: Keyspace,
    private readonly admits?: Admits,
  ) {}

  async create(upload: Upload): Promise<void> {
    await this.#commit([], [this.#write({ ...upload, revision: 0 })]);
  }

  async find(key: ObjectKey, uploadId: string): Promise<OpenUpload | undefined> {
    if (!UPLOAD_ID.test(uploadId)) return undefined;
    const stored = await this.store.get(this.#uploadKey({ key, uploadId }));
    return stored && decodeUpload(stored);
  }

  async page(start: string, end: Uint8Array | undefined, limit: number): Promise<OpenUpload[]> {
    const from = this.keys.key('upload', OPEN, utf8(start));
    const to = this.keys.key('upload', ...(end ? [OPEN, end] : [DONE]));
    const rows = await this.store.page(from, to, limit);
    return rows.map(({ value }) => decodeUpload(value));
  }

  async *all(): AsyncGenerator<OpenUpload> {
    const rows = walk(this.store, this.keys.key('upload', OPEN), this.keys.key('upload', DONE));
    for await (const { value } of rows) yield decodeUpload(value);
  }

  async putPart(upload: Upload, part: UploadedPart, nowMs: number): Promise<boolean> {
    const at = this.#uploadKey(upload);
    for (let race = 0; race < RACES_MAX; race += 1) {
      const stored = await this.store.get(at);
      if (!stored) return false;
      const current = decodeUpload(stored);
      const touched = { ...current, touchedMs: nowMs, revision: current.revision + 1 };
      const writes = [
        { key: this.#partKey(upload.uploadId, part.partNumber), value: encodePart(part) },
        this.#write(touched),
      ];
      if (await this.#commit([{ key: at, value: stored }], writes)) return true;
    }
    throw new StorageError('broken-invariant', `upload ${upload.uploadId} does not settle`);
  }

  async part(uploadId: string, partNumber: number): Promise<UploadedPart | undefined> {
    const stored = await this.store.get(this.#partKey(uploadId, partNumber));
    return stored && decodePart(stored);
  }

  async parts(uploadId: string, afterPartNumber: number, limit: number): Promise<UploadedPart[]> {
    if (afterPartNumber >= PART_KEY_MAX) return [];
    const from = this.#partKey(uploadId, afterPartNumber + 1);
    const rows = await this.store.page(from, this.#partKey(uploadId, PART_KEY_MAX), limit);
    return rows.map(({ value }) => decodePart(value));
  }

  async *allParts(): AsyncGenerator<UploadedPart> {
    const rows = walk(this.store, this.keys.key('part'), this.keys.end('part'));
    for await (const { value } of rows) yield decodePart(value);
  }

  async complete(completion: UploadCompletion): Promise<boolean> {
    const edit = await this.completing(completion);
    return edit !== undefined && this.#commit(edit.preconditions, edit.writes);
  }

  /** What ends the upload, to be written with the object; undefined where the upload is not as it was read. */
  async completing({ completed, upload }: UploadCompletion): Promise<UploadEdit | undefined> {
    const at = this.#uploadKey(upload);
    const stored = await this.store.get(at);
    if (!stored || decodeUpload(stored).revision !== upload.revision) return undefined;
    const writes: Write[] = [{ key: at, value: undefined }];
    const { from, to } = this.#partsOf(upload.uploadId);
    for await (const { key } of walk(this.store, from, to)) writes.push({ key, value: undefined });
    writes.push({ key: this.#completedKey(upload.uploadId), value: encodeCompleted(completed) });
    return { preconditions: [{ key: at, value: stored }], writes };
  }

  async completed(uploadId: string): Promise<CompletedUpload | undefined> {
    const stored = await this.store.get(this.#completedKey(uploadId));
    return stored && decodeCompleted(stored);
  }

  async expireCompleted(beforeMs: number): Promise<void> {
    // Ids begin with the start of the upload, which is never later than its completion.
    const to = this.#completedKey(beforeMs.toString(16).padStart(12, '0'));
    await this.#deleteAll(this.keys.key('upload', DONE), to);
  }

  async remove(upload: Upload): Promise<void> {
    // The upload first: without it no part can be seen, whatever stops us after that.
    await this.store.commit([], [{ key: this.#uploadKey(upload), value: undefined }]);
    const { from, to } = this.#partsOf(upload.uploadId);
    await this.#deleteAll(from, to);
  }

  /** Deletions take no room. */
  async #deleteAll(from: Uint8Array, to: Uint8Array): Promise<void> {
    for (;;) {
      const rows = await this.store.page(from, to, PAGE);
      if (rows.length === 0) return;
      await this.store.commit(
        [],
        rows.map(({ key }) => ({ key, value: undefined })),
      );
    }
  }

  async #commit(preconditions: readonly Precondition[], writes: readonly Write[]): Promise<boolean> {
    await checkRoom(this.admits, [], writes);
    return this.store.commit(preconditions, writes);
  }

  #write(upload: OpenUpload): Write {
    return { key: this.#uploadKey(upload), value: encodeUpload(upload) };
  }

  #uploadKey(upload: Pick<Upload, 'key' | 'uploadId'>): Uint8Array {
    return this.keys.key('upload', OPEN, utf8(nameOfUpload(upload)));
  }

  #completedKey(uploadId: string): Uint8Array {
    return this.keys.key('upload', DONE, utf8(uploadId));
  }

  #partKey(uploadId: string, partNumber: number): Uint8Array {
    return this.keys.key('part', utf8(uploadId), Uint8Array.of(0, partNumber >> 8, partNumber & 0xff));
  }

  #partsOf(uploadId: string): { from: Uint8Array; to: Uint8Array } {
    const from = this.keys.key('part', utf8(uploadId), Uint8Array.of(0));
    return { from, to: joinBytes(from.subarray(0, -1), Uint8Array.of(1)) };
  }
}
