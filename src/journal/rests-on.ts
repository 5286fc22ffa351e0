/**
 * What a change of a registry's bucket rests on: the keys that must be on the branch before it, or with it. It keeps
 * invariant 4 where batches are no prefix of the log: a tag never lands before its manifest, a manifest before its
 * config, layers and children, a link before its blob. One level at a time: what those keys rest on themselves is
 * asked when it is their turn, so that depth is nobody's concern. Only pending manifests are read: one that is on the
 * branch has its blobs there.
 */
import { LRUCache } from 'lru-cache';
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
import { StorageError } from '../index/errors.js';
import type { ObjectRecord } from '../index/object-record.js';
import type { Journal } from './journal.js';
import type { JournalEntry } from './overlay-rows.js';

/** A manifest that names more is not followed item by item: it rests on everything before it. */
const REFERENCES_MAX = 2_000;
/** So many blobs are remembered that name no more than so many others: at most some 10 MB. */
const REMEMBERED_MAX = 200;
const REMEMBERED_REFERENCES_MAX = 400;

/** `everything`: on whatever was written before it. */
export type RestsOn = readonly ObjectKey[] | 'everything';

export class Closure {
  /** By digest: what a blob names never changes. */
  readonly #references = new LRUCache<string, readonly ManifestReference[]>({ max: REMEMBERED_MAX });

  constructor(
    private readonly journal: Journal,
    private readonly chunks: Pick<ChunksApi, 'read'>,
    private readonly registryRoot: string,
  ) {}

  async of({ key, record }: JournalEntry): Promise<RestsOn> {
    // What is deleted may be named by what stands on the branch until an earlier change replaces that.
    if (!record) return 'everything';
    const what = registryKey(this.registryRoot, key);
    switch (what?.kind) {
      case 'blob': {
        const references = await this.#referencesIn(what.digest, record);
        if (references.length > REFERENCES_MAX) return 'everything';
        return references.map(({ digest }) => blobKey(this.registryRoot, digest));
      }
      case 'layer-link':
        return [blobKey(this.registryRoot, what.digest)];
      case 'revision-link':
        return this.#ofRevision(what.repository, what.digest);
      case 'tag-index-link':
        return [revisionLinkKey(what.repository, what.digest)];
      case 'tag-link': {
        if (record.sizeBytes > LINK_MAX_BYTES) return [];
        const bytes = await this.#bytes(record);
        const digest = bytes && digestOfLink(bytes);
        return digest === undefined ? [] : [revisionLinkKey(what.repository, digest)];
      }
      case undefined:
        return [];
    }
  }

  /** The registry serves a blob of a repository only where that has a link to it. */
  async #ofRevision(repository: string, digest: string): Promise<RestsOn> {
    const blob = blobKey(this.registryRoot, digest);
    const row = await this.journal.newest(blob);
    const record = row?.state === 'pending' ? row.record : undefined;
    const references = record ? await this.#referencesIn(digest, record) : [];
    if (references.length > REFERENCES_MAX) return 'everything';
    return [
      blob,
      ...references.map((reference) =>
        reference.isManifest
          ? revisionLinkKey(repository, reference.digest)
          : layerLinkKey(repository, reference.digest),
      ),
    ];
  }

  async #referencesIn(digest: string, record: ObjectRecord): Promise<readonly ManifestReference[]> {
    if (record.sizeBytes > MANIFEST_MAX_BYTES) return [];
    const known = this.#references.get(digest);
    if (known) return known;
    const bytes = await this.#bytes(record);
    // Not remembered where they are lost: the same blob may be written again.
    if (!bytes) return [];
    const references = manifestReferences(bytes);
    if (references.length <= REMEMBERED_REFERENCES_MAX) this.#references.set(digest, references);
    return references;
  }

  /** undefined where its bytes are lost: what becomes of the change itself is then decided elsewhere. */
  async #bytes(record: ObjectRecord): Promise<Uint8Array | undefined> {
    try {
      const body = await this.journal.bodies.open(record.body, record.sizeBytes);
      if (body.kind === 'plain') return body.bytes;
      const pieces: Uint8Array[] = [];
      for await (const piece of this.chunks.read(body.list, 0, record.sizeBytes))
        pieces.push(piece as Uint8Array);
      return Buffer.concat(pieces);
    } catch (error) {
      const isLost =
        (error instanceof ChunkError && (error.code === 'missing' || error.code === 'corrupt')) ||
        (error instanceof StorageError && error.code === 'corrupt');
      if (isLost) return undefined;
      throw error;
    }
  }
}
