/**
 * The registry's own references inside a bucket: links name digests, manifests name layers. The layout is that of
 * distribution's registry/storage/paths.go, below any rootdirectory:
 *
 *   docker/registry/v2/blobs/<algorithm>/<2 hex>/<hex>/data
 *   docker/registry/v2/repositories/<name>/_manifests/revisions/<algorithm>/<hex>/link
 *   docker/registry/v2/repositories/<name>/_manifests/tags/<tag>/current/link
 *   docker/registry/v2/repositories/<name>/_layers/<algorithm>/<hex>/link
 */
import { readFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Chunk } from '../../format/extent.js';
import type { CloneFile, CloneReader } from './clone-reader.js';

const BLOB = /^(.*?)docker\/registry\/v2\/blobs\/sha256\/[0-9a-f]{2}\/([0-9a-f]{64})\/data$/s;
const LINK = /^(.*?)docker\/registry\/v2\/repositories\/(.+?)\/_(manifests|layers)\/(.+)\/link$/s;
/** Manifests larger than this are refused by the registry itself (4 MiB). */
const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;

const descriptor = z.object({ digest: z.string(), urls: z.array(z.string()).optional() });
const manifestSchema = z.object({
  config: descriptor.optional(),
  layers: z.array(descriptor).optional(),
  manifests: z.array(descriptor).optional(),
  fsLayers: z.array(z.object({ blobSum: z.string() })).optional(),
});

interface Link {
  readonly key: string;
  readonly root: string;
  readonly kind: string;
  readonly digest: string;
}

/** Collects one bucket's blobs and links, then checks each against the others. */
export class RegistryLinks {
  /** By root and hex digest; `sha256` is undefined where the bytes could not be read. */
  readonly #blobs = new Map<string, { chunks: readonly Chunk[]; sha256: string | undefined }>();
  readonly #links: Link[] = [];
  readonly #problems: string[] = [];
  #dangling = 0;
  #manifests = 0;

  static isBlob(key: string): boolean {
    return BLOB.test(key);
  }

  /** An object that stands as an ordinary file; bytes where it is small. */
  plain(key: string, file: CloneFile, bytes: Buffer | undefined): void {
    const blob = BLOB.exec(key);
    if (blob) {
      if (file.sizeBytes === 0) {
        this.#blobs.set(blob[1]! + blob[2]!, { chunks: [], sha256: createHash('sha256').digest('hex') });
      } else this.#problems.push(`${key} is a blob that does not stand as an LFS pointer`);
      return;
    }
    const link = LINK.exec(key);
    if (!link) return;
    const digest = bytes?.toString('utf8') ?? '';
    if (/^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$/.test(digest)) {
      this.#links.push({ key, root: link[1]!, kind: link[3]!, digest });
    } else this.#problems.push(`${key} holds no digest`);
  }

  /** An object of one or several chunks, with the hash of all of them where it is known. */
  lfs(key: string, chunks: readonly Chunk[], sha256: string | undefined): void {
    const blob = BLOB.exec(key);
    if (blob) this.#blobs.set(blob[1]! + blob[2]!, { chunks, sha256 });
  }

  async check(clone: CloneReader): Promise<{ figures: Record<string, number>; problems: string[] }> {
    for (const [place, { sha256 }] of this.#blobs) {
      const hex = place.slice(-64);
      if (sha256 !== undefined && sha256 !== hex)
        this.#problems.push(`blob ${hex} has the bytes of ${sha256}`);
    }
    const manifests = new Set<string>();
    for (const link of this.#links) {
      if (this.#has(link.root, link.digest)) {
        if (link.kind === 'manifests') manifests.add(`${link.root} ${link.digest}`);
      } else if (link.kind === 'layers') {
        // garbage-collect removes blobs and leaves layer links: the next push uploads again
        // (docs/facts/registry-driver.md §3).
        this.#dangling += 1;
      } else this.#problems.push(`${link.key} leads to ${link.digest}, which is not in this clone`);
    }
    for (const place of manifests) {
      const [root, digest] = place.split(' ') as [string, string];
      await this.#manifest(clone, root, digest);
    }
    return {
      figures: {
        registry_blobs: this.#blobs.size,
        registry_links: this.#links.length,
        registry_manifests: this.#manifests,
        dangling_layer_links: this.#dangling,
      },
      problems: this.#problems,
    };
  }

  #has(root: string, digest: string): boolean {
    // The registry itself stores nothing but sha256 blobs; other algorithms in links are none of ours to judge.
    return !digest.startsWith('sha256:') || this.#blobs.has(root + digest.slice('sha256:'.length));
  }

  async #manifest(clone: CloneReader, root: string, digest: string): Promise<void> {
    this.#manifests += 1;
    const blob = this.#blobs.get(root + digest.slice('sha256:'.length));
    const sizeBytes = blob?.chunks.reduce((n, chunk) => n + chunk.sizeBytes, 0) ?? 0;
    if (!blob || blob.sha256 === undefined || sizeBytes > MANIFEST_BYTES_MAX) return;
    const pieces: Buffer[] = [];
    for (const chunk of blob.chunks) {
      // A missing chunk was reported where its pointer stands.
      const piece = await readFile(clone.lfsPath(chunk.oid)).catch(() => undefined);
      if (!piece) return;
      pieces.push(piece);
    }
    const parsed = manifestSchema.safeParse(parseJson(Buffer.concat(pieces).toString('utf8')));
    if (!parsed.success) {
      this.#problems.push(`manifest ${digest} is not readable as a manifest`);
      return;
    }
    const { config, layers = [], manifests = [], fsLayers = [] } = parsed.data;
    const local = [...(config ? [config] : []), ...layers].filter((d) => !d.urls || d.urls.length === 0);
    for (const needed of [...local.map((d) => d.digest), ...fsLayers.map((l) => l.blobSum)]) {
      if (!this.#has(root, needed))
        this.#problems.push(`manifest ${digest} needs ${needed}, which is not here`);
    }
    for (const child of manifests) {
      // An index may name images for platforms that were never pushed only if the registry was told so.
      if (!this.#has(root, child.digest)) {
        this.#problems.push(`manifest list ${digest} names ${child.digest}, which is not here`);
      }
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The schema refuses undefined, and the caller reports it.
    return undefined;
  }
}
