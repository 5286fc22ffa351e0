/**
 * What a change of a registry's bucket rests on: the keys that must be on the branch before it, or with it. It keeps
 * invariant 4 where batches are no prefix of the log: a tag never lands before its manifest, a manifest before its
 * config, layers and children, a link before its blob. One level at a time: what those keys rest on themselves is
 * asked when it is their turn, so that depth is nobody's concern.
 *
 * What is on the branch already is no end of it where something can't land yet or was set aside: an image that is
 * tagged or mounted again needs links of its own, and may need a layer that was deleted and pushed anew. So from there
 * its manifest is read on, down to what is pending.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';
import { ChunkError, type ChunksApi } from '../chunks/api.js';
import type { ObjectKey } from '../format/ids.js';
import {
  blobKey,
  digestOfLink,
  layerLinkKey,
  LINK_MAX_BYTES,
  MANIFEST_MAX_BYTES,
  manifestReferences,
  registryKey,
  revisionLinkKey,
  type ManifestReference,
} from '../format/registry-keys.js';
import { RemoteError } from '../gitee/errors.js';
import { StorageError } from '../index/errors.js';
import type { ObjectBody, ObjectRecord } from '../index/object-record.js';
import type { ChangeLog } from './change-log.js';
import type { JournalEntry } from './overlay-rows.js';
import { PatientReads } from './patient-reads.js';

/** A manifest that names more is not followed item by item: it rests on everything before it. */
const REFERENCES_MAX = 2_000;
/** So many blobs are remembered that name no more than so many others: at most some 10 MB. */
const REMEMBERED_MAX = 200;
const REMEMBERED_REFERENCES_MAX = 400;

/** `everything`: on whatever was written before it. `unknown`: its manifest can't be read now; it has to wait. */
export type RestsOn = readonly ObjectKey[] | 'everything' | 'unknown';

/** What stands on the branch. */
export interface Base {
  get(key: ObjectKey): Promise<ObjectRecord | undefined>;
  openBody(record: ObjectRecord): Promise<ObjectBody>;
}

export class Closure {
  /** By digest: what a blob names never changes. */
  readonly #references = new LRUCache<string, readonly ManifestReference[]>({ max: REMEMBERED_MAX });
  readonly #reads: PatientReads<Uint8Array>;

  constructor(
    private readonly journal: ChangeLog,
    private readonly chunks: Pick<ChunksApi, 'read'>,
    private readonly base: Base,
    readonly registryRoot: string,
    clock: Clock,
  ) {
    this.#reads = new PatientReads(clock);
  }

  /** Ends the reads that go on by themselves. */
  stop(): void {
    this.#reads.stop();
  }

  /** @param isDoubtful something can't land yet, or was set aside: what is on the branch is looked through, too */
  async of({ key, record }: JournalEntry, isDoubtful: boolean): Promise<RestsOn> {
    // What is deleted may be named by what stands on the branch until an earlier change replaces that.
    if (!record) return 'everything';
    const what = registryKey(this.registryRoot, key);
    switch (what?.kind) {
      case 'blob': {
        const references = await this.#referencesIn(what.digest, record);
        if (references === 'unknown') return references;
        if (references.length > REFERENCES_MAX) return 'everything';
        return references.map(({ digest }) => blobKey(this.registryRoot, digest));
      }
      case 'layer-link':
        return [blobKey(this.registryRoot, what.digest)];
      case 'revision-link':
        return this.#ofRevision(what.repository, what.digest, isDoubtful);
      case 'tag-index-link':
        return [revisionLinkKey(what.repository, what.digest)];
      case 'tag-link': {
        if (record.sizeBytes > LINK_MAX_BYTES) return [];
        const bytes = await this.#bytes(`link ${record.etag}`, record);
        if (bytes === 'late') return 'unknown';
        const digest = bytes && digestOfLink(bytes);
        if (digest === undefined) return [];
        const revision = revisionLinkKey(what.repository, digest);
        if (!isDoubtful || (await this.#isPending(revision))) return [revision];
        const restsOn = await this.#ofRevision(what.repository, digest, isDoubtful);
        return typeof restsOn === 'string' ? restsOn : [revision, ...restsOn];
      }
      case undefined:
        return [];
    }
  }

  /** The registry serves a blob of a repository only where that has a link to it. */
  async #ofRevision(repository: string, digest: string, isDoubtful: boolean): Promise<RestsOn> {
    const found = new Set<ObjectKey>();
    const digests = new Set([digest]);
    for (const each of digests) {
      const blob = blobKey(this.registryRoot, each);
      found.add(blob);
      const row = await this.journal.newest(blob);
      const isPending = row?.state === 'pending';
      const references = isPending
        ? row.record && (await this.#referencesIn(each, row.record))
        : isDoubtful
          ? await this.#referencesOnBranch(blob, each)
          : [];
      if (references === 'unknown') return references;
      for (const reference of references ?? []) {
        const linkKey = reference.isManifest ? revisionLinkKey : layerLinkKey;
        const link = linkKey(repository, reference.digest);
        found.add(link);
        // Who names it is on the branch, so that this blob is nobody else's to ask for.
        if (!isPending) found.add(blobKey(this.registryRoot, reference.digest));
        if (isDoubtful && reference.isManifest && !(await this.#isPending(link)))
          digests.add(reference.digest);
      }
      if (found.size > REFERENCES_MAX) return 'everything';
    }
    return [...found];
  }

  /** All keys of the image that a tag has on the branch; none where it is not there. */
  async imageOnBranch(tag: ObjectKey): Promise<ReadonlySet<ObjectKey> | 'unknown'> {
    const found = new Set<ObjectKey>();
    const what = registryKey(this.registryRoot, tag);
    const record = what?.kind === 'tag-link' ? await this.base.get(tag) : undefined;
    if (what?.kind !== 'tag-link' || !record || record.sizeBytes > LINK_MAX_BYTES) return found;
    const bytes = await this.#bytesOnBranch(`link ${record.etag}`, record);
    if (bytes === 'unknown') return bytes;
    const digest = bytes && digestOfLink(bytes);
    const digests = new Set(digest === undefined ? [] : [digest]);
    for (const each of digests) {
      const blob = blobKey(this.registryRoot, each);
      found.add(revisionLinkKey(what.repository, each)).add(blob);
      const references = await this.#referencesOnBranch(blob, each);
      if (references === 'unknown') return references;
      for (const reference of references) {
        if (reference.isManifest) digests.add(reference.digest);
        else found.add(layerLinkKey(what.repository, reference.digest));
        found.add(blobKey(this.registryRoot, reference.digest));
      }
    }
    return found;
  }

  async #isPending(key: ObjectKey): Promise<boolean> {
    return (await this.journal.newest(key))?.state === 'pending';
  }

  async #referencesOnBranch(
    key: ObjectKey,
    digest: string,
  ): Promise<readonly ManifestReference[] | 'unknown'> {
    const known = this.#references.get(digest);
    if (known) return known;
    const record = await this.base.get(key);
    if (!record) return [];
    try {
      return await this.#referencesIn(digest, record, (body) => this.base.openBody(body));
    } catch (error) {
      return unknownWhereAway(error);
    }
  }

  async #bytesOnBranch(id: string, record: ObjectRecord): Promise<Uint8Array | 'unknown' | undefined> {
    try {
      const bytes = await this.#bytes(id, record, (body) => this.base.openBody(body));
      return bytes === 'late' ? 'unknown' : bytes;
    } catch (error) {
      return unknownWhereAway(error);
    }
  }

  async #referencesIn(
    digest: string,
    record: ObjectRecord,
    openBody?: (record: ObjectRecord) => Promise<ObjectBody>,
  ): Promise<readonly ManifestReference[] | 'unknown'> {
    if (record.sizeBytes > MANIFEST_MAX_BYTES) return [];
    const known = this.#references.get(digest);
    if (known) return known;
    const bytes = await this.#bytes(digest, record, openBody);
    if (bytes === 'late') return 'unknown';
    // Not remembered where they are lost: the same blob may be written again.
    if (!bytes) return [];
    const references = manifestReferences(bytes);
    if (references.length <= REMEMBERED_REFERENCES_MAX) this.#references.set(digest, references);
    return references;
  }

  /**
   * undefined where its bytes are lost: what becomes of the change itself is then decided elsewhere.
   * @param id stands for these bytes and no others
   */
  async #bytes(
    id: string,
    record: ObjectRecord,
    openBody = (of: ObjectRecord) => this.journal.openBody(of),
  ): Promise<Uint8Array | 'late' | undefined> {
    try {
      const body = await openBody(record);
      if (body.kind === 'plain') return body.bytes;
      return await this.#reads.read(id, async (signal) => {
        const pieces: Uint8Array[] = [];
        for await (const piece of this.chunks.read(body.list, 0, record.sizeBytes, signal))
          pieces.push(piece as Uint8Array);
        return Buffer.concat(pieces);
      });
    } catch (error) {
      const isLost =
        (error instanceof ChunkError && (error.code === 'missing' || error.code === 'corrupt')) ||
        (error instanceof StorageError && error.code === 'corrupt');
      if (isLost) return undefined;
      throw error;
    }
  }
}

/** Bytes that can't be had now say nothing. @throws any other error */
function unknownWhereAway(error: unknown): 'unknown' {
  if (error instanceof ChunkError || error instanceof RemoteError) return 'unknown';
  throw error;
}
