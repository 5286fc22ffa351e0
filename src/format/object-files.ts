/**
 * The one decoder of what stands in a tree for an object: docs/storage-format.md, "Layout", "Pointers and chunks" and
 * "Bounds". It gives a body within the bounds, or says that this one object is damaged; it never throws. Whoever follows
 * the branch and whoever reads it anew both come through here, so that both see the same.
 */
import { OBJECT_BYTES_MAX, PLAIN_FILE_BYTES_MAX } from './bounds.js';
import type { Chunk } from './extent.js';
import { parsePointer, readPointer } from './lfs-pointer.js';
import { CHUNKS_MAX } from './tree-layout.js';

export type FileBody =
  | { readonly kind: 'plain'; readonly bytes: Uint8Array }
  /** At least one chunk, none of them empty. */
  | { readonly kind: 'chunks'; readonly chunks: readonly Chunk[] };

/** No object: not shown, not read. */
export interface Damaged {
  readonly kind: 'damaged';
  /** For an operator. */
  readonly reason: string;
}

/** What a file at `<key>` or `<key>%object` stands for; null: it was larger than PLAIN_FILE_BYTES_MAX and not read. */
export function decodeObjectFile(bytes: Uint8Array | null): FileBody | Damaged {
  if (bytes === null || bytes.length > PLAIN_FILE_BYTES_MAX)
    return damaged(`a plain file has more than ${PLAIN_FILE_BYTES_MAX} bytes`);
  const pointer = readPointer(bytes);
  if (pointer === undefined) return { kind: 'plain', bytes };
  if (pointer === 'out-of-bounds') return damaged(`a pointer names more than ${OBJECT_BYTES_MAX} bytes`);
  // git-lfs makes an empty file of such a pointer.
  if (pointer.sizeBytes === 0) return { kind: 'plain', bytes: new Uint8Array(0) };
  return { kind: 'chunks', chunks: [pointer] };
}

/** Takes the files of one `%chunks` directory in order of their names. */
export class ChunkFiles {
  readonly #chunks: Chunk[] = [];
  #sizeBytes = 0;
  #reason: string | undefined;

  /** `bytes` null: the file was too large to be a pointer and not read. */
  add(index: number, bytes: Uint8Array | null): void {
    if (this.#reason !== undefined) return;
    const chunk = bytes ? parsePointer(bytes) : undefined;
    if (index !== this.#chunks.length || index >= CHUNKS_MAX)
      this.#reason = `chunk ${this.#chunks.length} is missing`;
    else if (!chunk || chunk.sizeBytes === 0) this.#reason = `chunk ${index} is no pointer to a chunk`;
    else if (this.#sizeBytes + chunk.sizeBytes > OBJECT_BYTES_MAX)
      this.#reason = `its chunks are more than ${OBJECT_BYTES_MAX} bytes together`;
    else {
      this.#chunks.push(chunk);
      this.#sizeBytes += chunk.sizeBytes;
    }
    if (this.#reason !== undefined) this.#chunks.length = 0;
  }

  /** undefined: there was no file. */
  body(): FileBody | Damaged | undefined {
    if (this.#reason !== undefined) return damaged(this.#reason);
    return this.#chunks.length === 0 ? undefined : { kind: 'chunks', chunks: this.#chunks };
  }
}

function damaged(reason: string): Damaged {
  return { kind: 'damaged', reason };
}
