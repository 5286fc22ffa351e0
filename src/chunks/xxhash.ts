/**
 * xxHash, which neither Node nor OpenSSL has, from a WebAssembly library: XXH64, XXH3 with 64 and with 128 bits, seed
 * 0, in the canonical big-endian form that S3 encodes as base64. There is one instance of each; a body's own state is
 * put into it before its bytes and taken out after them, so that bodies may come side by side.
 */
import { createXXHash128, createXXHash3, createXXHash64, type IHasher } from 'hash-wasm';

export type XxhashName = 'xxhash64' | 'xxhash3' | 'xxhash128';

// Compiled once, when the module is loaded: a body's first byte must not wait for it.
const ENGINES: Readonly<Record<XxhashName, IHasher>> = {
  xxhash64: await createXXHash64(),
  xxhash3: await createXXHash3(),
  xxhash128: await createXXHash128(),
};

export class XxhashDigest {
  readonly #engine: IHasher;
  /** Some hundred bytes. */
  #state: Uint8Array;

  constructor(name: XxhashName) {
    this.#engine = ENGINES[name];
    this.#state = this.#engine.init().save();
  }

  update(bytes: Uint8Array): void {
    this.#state = this.#engine.load(this.#state).update(bytes).save();
  }

  finish(): Uint8Array {
    return this.#engine.load(this.#state).digest('binary');
  }
}
