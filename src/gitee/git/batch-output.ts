import { LocalDamageError } from './failures.js';

export interface RawObject {
  readonly id: string;
  readonly type: string;
  readonly body: Buffer;
}

/**
 * Takes the output of `git cat-file --batch` apart: `<id> <type> <size>\n<body>\n`, or `<id> missing\n`.
 * Bytes are joined once per object, however they arrive.
 */
export class BatchOutput {
  readonly #chunks: Buffer[] = [];
  #heldBytes = 0;
  #header: { id: string; type: string; sizeBytes: number } | undefined;

  /** Adds bytes; the objects that are whole now come out. A missing object is a LocalDamageError in its place. */
  *push(chunk: Buffer): Generator<RawObject | LocalDamageError> {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    for (;;) {
      if (this.#header === undefined) {
        const line = this.#takeLine();
        if (line === undefined) return;
        const match = /^([0-9a-f]{40}) (\w+) (\d+)$/.exec(line);
        if (!match) {
          yield new LocalDamageError(`cat-file answered ${JSON.stringify(line.slice(0, 100))}`);
          continue;
        }
        this.#header = { id: match[1]!, type: match[2]!, sizeBytes: Number(match[3]) };
      }
      const { id, type, sizeBytes } = this.#header;
      if (this.#heldBytes < sizeBytes + 1) return;
      const body = this.#take(sizeBytes + 1).subarray(0, sizeBytes);
      this.#header = undefined;
      yield { id, type, body };
    }
  }

  #takeLine(): string | undefined {
    let scannedBytes = 0;
    for (const chunk of this.#chunks) {
      const end = chunk.indexOf(0x0a);
      if (end >= 0) return this.#take(scannedBytes + end + 1).toString('latin1', 0, scannedBytes + end);
      scannedBytes += chunk.length;
    }
    return undefined;
  }

  #take(bytes: number): Buffer {
    const parts: Buffer[] = [];
    let missing = bytes;
    while (missing > 0) {
      const first = this.#chunks[0]!;
      if (first.length <= missing) {
        parts.push(first);
        this.#chunks.shift();
        missing -= first.length;
      } else {
        parts.push(first.subarray(0, missing));
        this.#chunks[0] = first.subarray(missing);
        missing = 0;
      }
    }
    this.#heldBytes -= bytes;
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts, bytes);
  }
}
