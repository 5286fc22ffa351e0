import type { Clock } from '../async/clock.js';
import type { KeyLock } from '../async/key-lock.js';
import type { ChunkHold } from '../chunks/api.js';
import { bytesOfChunks, chunksAtMost } from '../chunks/cut-anew.js';
import type { Extent } from '../format/extent.js';
import type { ObjectKey } from '../format/ids.js';
import { CHUNKS_MAX, isLocalKey, isRegistryOwnKey } from '../format/tree-layout.js';
import { InlineExtentList } from '../index/extent-list.js';
import type { NewBody, NewObject, ObjectMeta, ObjectRecord, StoredChecksum } from '../index/object-record.js';
import type { UploadCompletion } from '../journal/upload-store.js';
import type { Conditions } from './api.js';
import { fitBody, holding, readSmall } from './body.js';
import type { Bucket } from './bucket.js';
import { checkWriteConditions, isUnconditional } from './conditions.js';
import { ObjectError } from './errors.js';
import type { WriteConcern } from './write-concern.js';
import { hasOidEtag, md5Hex, registryBlobEtag } from './etag.js';

/** A body ready to become an object, and what is known of it. */
export interface Draft {
  readonly sizeBytes: number;
  readonly body: NewBody;
  /** Walks the extents again, for a body whose extents are long or come from parts. */
  readonly extentsAgain?: () => AsyncIterable<Extent>;
  /** ETag where it is not made from the oids. */
  readonly etag: string;
  readonly meta: ObjectMeta;
  readonly checksum?: StoredChecksum;
  readonly partSizesBytes?: readonly number[];
  readonly partChecksums?: readonly string[];
}

export interface WriteOptions {
  readonly conditions: Conditions;
  /** The upload that ends with the object, which has this ETag. */
  readonly completes?: (etag: string) => UploadCompletion;
  readonly signal: AbortSignal;
}

export interface WrittenObject {
  readonly etag: string;
  readonly lastModifiedMs: number;
  /** False where the same bytes were there already. */
  readonly appended: boolean;
}

/**
 * The one way in which an object comes to stand at a key: lock, conditions, form, journal.
 * Put, Copy and Complete all end here.
 */
export class ObjectWriter {
  constructor(
    private readonly deps: {
      readonly clock: Clock;
      readonly locks: KeyLock;
      readonly concern: Pick<WriteConcern, 'lookAgain'>;
    },
  ) {}

  /** Whoever calls it has still to wait for what the write concern asks. */
  async write(bucket: Bucket, key: ObjectKey, draft: Draft, options: WriteOptions): Promise<WrittenObject> {
    const { concern, locks } = this.deps;
    const append = (isLooked: boolean) =>
      locks.run(
        `${bucket.name}/${key}`,
        () =>
          holding(bucket.chunks, (hold) => this.#append(bucket, key, draft, { ...options, isLooked }, hold)),
        options.signal,
      );
    const written = await append(false);
    if (written) return written;
    // With no lock held: it may take long, and would keep all others of this key waiting one after the other.
    await concern.lookAgain(bucket, [key], options.signal);
    return (await append(true))!;
  }

  /**
   * @returns undefined where nobody has looked at the branch, and that is to be done first: nothing seems to be left to
   * do, or a condition asks what stands there
   */
  async #append(
    bucket: Bucket,
    key: ObjectKey,
    draft: Draft,
    options: WriteOptions & { readonly isLooked: boolean },
    hold: ChunkHold,
  ): Promise<WrittenObject | undefined> {
    const { state, rules } = bucket;
    if (!options.isLooked && !isUnconditional(options.conditions)) return undefined;
    const current = await state.get(key);
    checkWriteConditions(current, options.conditions);
    const local = isLocalKey(rules, key);

    if (!local) await demandFewChunks(bucket, draft);
    const read = () => this.#readDraft(bucket, draft);
    const body = await fitBody(rules, key, draft.sizeBytes, bodyOf(draft), bucket.chunks, read, hold);
    const etag = await this.#etag(bucket, key, draft, body, local);

    // Registry keys carry nothing but their bytes, so the same bytes again are no change: a repeated push
    // makes no commit. What was set aside is tried anew by it, though.
    const isSame = current?.etag === etag && current.sizeBytes === draft.sizeBytes;
    if (!local && isRegistryOwnKey(rules, key) && isSame && !(await isSetAside(bucket, key))) {
      if (!options.isLooked) return undefined;
      const completes = options.completes?.(etag);
      if (completes && !(await state.uploads.complete(completes)))
        throw new ObjectError('conflict', 'another request changed this upload at the same time');
      return { etag, lastModifiedMs: current.lastModifiedMs, appended: false };
    }

    const object = newObject(draft, body, etag, this.#nextTimeMs(current));
    const seq = await state.append([{ kind: 'put', key, object }], {
      local,
      ...(options.completes ? { completes: options.completes(etag) } : {}),
    });
    if (seq === undefined) {
      throw new ObjectError('conflict', 'another request changed this upload or object at the same time');
    }
    return { etag, lastModifiedMs: object.lastModifiedMs, appended: true };
  }

  async #etag(bucket: Bucket, key: ObjectKey, draft: Draft, body: NewBody, local: boolean): Promise<string> {
    if (local) return draft.etag;
    if (body.kind === 'extents' && hasOidEtag(bucket.rules, key, draft.sizeBytes)) {
      const extents =
        draft.body.kind === 'extents' && draft.extentsAgain ? draft.extentsAgain() : body.extents;
      return registryBlobEtag(bucket.rules, key, draft.sizeBytes, extents);
    }
    if (body.kind === 'plain' && isRegistryOwnKey(bucket.rules, key)) return md5Hex(body.bytes);
    return draft.etag;
  }

  /** Last-Modified never moves backwards for a key, whatever the clock does. */
  #nextTimeMs(current: ObjectRecord | undefined): number {
    return Math.max(this.deps.clock.nowMs(), current?.lastModifiedMs ?? 0);
  }

  async #readDraft(bucket: Bucket, draft: Draft): Promise<Uint8Array> {
    if (draft.body.kind === 'plain') return draft.body.bytes;
    const list: Extent[] = [];
    for await (const extent of draft.extentsAgain?.() ?? draft.body.extents) list.push(extent);
    return readSmall(
      { kind: 'extents', list: new InlineExtentList(list) },
      draft.sizeBytes,
      bucket.rules.inlineLimitBytes,
      bucket.chunks,
    );
  }
}

/** What could never be committed is refused before it is acknowledged. @throws ObjectError `entity-too-large` */
async function demandFewChunks({ rules }: Bucket, { body, extentsAgain, sizeBytes }: Draft): Promise<void> {
  const { chunkSizeBytes } = rules;
  if (body.kind === 'plain' || !extentsAgain || sizeBytes < bytesOfChunks(CHUNKS_MAX, chunkSizeBytes)) return;
  const chunks = await chunksAtMost(extentsAgain(), chunkSizeBytes);
  if (chunks <= CHUNKS_MAX) return;
  throw new ObjectError(
    'entity-too-large',
    `the object would have ${chunks} chunks where ${CHUNKS_MAX} may be: copy from objects with larger chunks, or store less in one object`,
    { fields: { maxSizeAllowed: CHUNKS_MAX * chunkSizeBytes, proposedSize: sizeBytes } },
  );
}

/** Its extents can be walked once only; it may be asked for twice. */
function bodyOf({ body, extentsAgain }: Draft): NewBody {
  return body.kind === 'extents' && extentsAgain ? { kind: 'extents', extents: extentsAgain() } : body;
}

async function isSetAside({ state }: Bucket, key: ObjectKey): Promise<boolean> {
  return (await state.changeState(key))?.state === 'quarantined';
}

function newObject(draft: Draft, body: NewBody, etag: string, lastModifiedMs: number): NewObject {
  return {
    sizeBytes: draft.sizeBytes,
    etag,
    lastModifiedMs,
    meta: draft.meta,
    ...(draft.checksum ? { checksum: draft.checksum } : {}),
    ...(draft.partSizesBytes ? { partSizesBytes: draft.partSizesBytes } : {}),
    ...(draft.partChecksums ? { partChecksums: draft.partChecksums } : {}),
    body,
  };
}
