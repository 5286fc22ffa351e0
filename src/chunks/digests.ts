/**
 * Streaming digests of a body. MD5, SHA-1, SHA-256 and SHA-512 come from OpenSSL, CRC-32 from zlib, xxHash from
 * WebAssembly (xxhash.ts); the two CRCs that Node lacks are computed here eight bytes at a time ("slicing by 8": no
 * dependency, no BigInt in the loop).
 *
 * CRC-32C: Castagnoli, reflected 0x82F63B78. CRC-64/NVME: reflected 0x9A6C9329AC4BC9B5. Both start with and
 * end in a complement. Catalogue check values for "123456789" stand in the test.
 */
import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { DigestName } from './api.js';
import { XxhashDigest } from './xxhash.js';

interface Digest {
  update(bytes: Uint8Array): void;
  /** Raw bytes, big-endian for CRCs. */
  finish(): Uint8Array;
}

function crc32Tables(polynomial: number): Uint32Array[] {
  const first = new Uint32Array(256);
  for (let i = 0; i < 256; i += 1) {
    let c = i;
    for (let bit = 0; bit < 8; bit += 1) c = c & 1 ? (c >>> 1) ^ polynomial : c >>> 1;
    first[i] = c;
  }
  const tables = [first];
  for (let t = 1; t < 8; t += 1) {
    const previous = tables[t - 1]!;
    tables.push(previous.map((c) => (c >>> 8) ^ first[c & 0xff]!));
  }
  return tables;
}

interface HalfTables {
  readonly hi: Uint32Array[];
  readonly lo: Uint32Array[];
}

function crc64Tables(polynomialHi: number, polynomialLo: number): HalfTables {
  const hi = [new Uint32Array(256)];
  const lo = [new Uint32Array(256)];
  for (let i = 0; i < 256; i += 1) {
    let h = 0;
    let l = i;
    for (let bit = 0; bit < 8; bit += 1) {
      const carry = l & 1;
      l = ((l >>> 1) | (h << 31)) >>> 0;
      h >>>= 1;
      if (carry) {
        h = (h ^ polynomialHi) >>> 0;
        l = (l ^ polynomialLo) >>> 0;
      }
    }
    hi[0]![i] = h;
    lo[0]![i] = l;
  }
  for (let t = 1; t < 8; t += 1) {
    hi.push(new Uint32Array(256));
    lo.push(new Uint32Array(256));
    for (let i = 0; i < 256; i += 1) {
      const h = hi[t - 1]![i]!;
      const l = lo[t - 1]![i]!;
      hi[t]![i] = (h >>> 8) ^ hi[0]![l & 0xff]!;
      lo[t]![i] = ((l >>> 8) | (h << 24)) ^ lo[0]![l & 0xff]!;
    }
  }
  return { hi, lo };
}

const CRC32C = crc32Tables(0x82f63b78);
const CRC64NVME = crc64Tables(0x9a6c9329, 0xac4bc9b5);

function bigEndian32(value: number): Uint8Array {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value >>> 0);
  return out;
}

class Crc32Digest implements Digest {
  #crc = 0;
  update(bytes: Uint8Array): void {
    this.#crc = crc32(bytes, this.#crc);
  }
  finish(): Uint8Array {
    return bigEndian32(this.#crc);
  }
}

class Crc32cDigest implements Digest {
  #crc = 0xffffffff;

  update(bytes: Uint8Array): void {
    const [t0, t1, t2, t3, t4, t5, t6, t7] = CRC32C as [
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
    ];
    let crc = this.#crc;
    let i = 0;
    for (const end = bytes.length - 7; i < end; i += 8) {
      const x = crc ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
      crc =
        t7[x & 0xff]! ^
        t6[(x >>> 8) & 0xff]! ^
        t5[(x >>> 16) & 0xff]! ^
        t4[x >>> 24]! ^
        t3[bytes[i + 4]!]! ^
        t2[bytes[i + 5]!]! ^
        t1[bytes[i + 6]!]! ^
        t0[bytes[i + 7]!]!;
    }
    for (; i < bytes.length; i += 1) crc = (crc >>> 8) ^ t0[(crc ^ bytes[i]!) & 0xff]!;
    this.#crc = crc;
  }

  finish(): Uint8Array {
    return bigEndian32(~this.#crc);
  }
}

class Crc64NvmeDigest implements Digest {
  #hi = 0xffffffff;
  #lo = 0xffffffff;

  update(bytes: Uint8Array): void {
    const { hi: th, lo: tl } = CRC64NVME;
    let hi = this.#hi;
    let lo = this.#lo;
    let i = 0;
    for (const end = bytes.length - 7; i < end; i += 8) {
      const a = lo ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
      const b = hi ^ (bytes[i + 4]! | (bytes[i + 5]! << 8) | (bytes[i + 6]! << 16) | (bytes[i + 7]! << 24));
      const a0 = a & 0xff;
      const a1 = (a >>> 8) & 0xff;
      const a2 = (a >>> 16) & 0xff;
      const a3 = a >>> 24;
      const b0 = b & 0xff;
      const b1 = (b >>> 8) & 0xff;
      const b2 = (b >>> 16) & 0xff;
      const b3 = b >>> 24;
      hi =
        th[7]![a0]! ^
        th[6]![a1]! ^
        th[5]![a2]! ^
        th[4]![a3]! ^
        th[3]![b0]! ^
        th[2]![b1]! ^
        th[1]![b2]! ^
        th[0]![b3]!;
      lo =
        tl[7]![a0]! ^
        tl[6]![a1]! ^
        tl[5]![a2]! ^
        tl[4]![a3]! ^
        tl[3]![b0]! ^
        tl[2]![b1]! ^
        tl[1]![b2]! ^
        tl[0]![b3]!;
    }
    for (; i < bytes.length; i += 1) {
      const at = (lo ^ bytes[i]!) & 0xff;
      lo = ((lo >>> 8) | (hi << 24)) ^ tl[0]![at]!;
      hi = (hi >>> 8) ^ th[0]![at]!;
    }
    this.#hi = hi;
    this.#lo = lo;
  }

  finish(): Uint8Array {
    return Buffer.concat([bigEndian32(~this.#hi), bigEndian32(~this.#lo)]);
  }
}

class OpensslDigest implements Digest {
  readonly #hash: Hash;
  constructor(algorithm: string) {
    this.#hash = createHash(algorithm);
  }
  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }
  soFarHex(): string {
    return this.#hash.copy().digest('hex');
  }
  finish(): Uint8Array {
    return this.#hash.digest();
  }
}

function digestFor(name: Exclude<DigestName, 'sha256'>): Digest {
  switch (name) {
    case 'md5':
    case 'sha1':
    case 'sha512':
      return new OpensslDigest(name);
    case 'crc32':
      return new Crc32Digest();
    case 'crc32c':
      return new Crc32cDigest();
    case 'crc64nvme':
      return new Crc64NvmeDigest();
    case 'xxhash64':
    case 'xxhash3':
    case 'xxhash128':
      return new XxhashDigest(name);
    default:
      return name satisfies never;
  }
}

/** All digests asked for of one body, in one pass. */
export class BodyDigests {
  readonly #digests = new Map<DigestName, Digest>();
  readonly #sha256: OpensslDigest | undefined;

  constructor(names: readonly DigestName[]) {
    for (const name of new Set(names)) if (name !== 'sha256') this.#digests.set(name, digestFor(name));
    this.#sha256 = names.includes('sha256') ? new OpensslDigest('sha256') : undefined;
  }

  update(bytes: Uint8Array): void {
    this.#sha256?.update(bytes);
    for (const digest of this.#digests.values()) digest.update(bytes);
  }

  /** True where SHA-256 is among them: the first chunk of the body then needs no hash of its own. */
  get hasSha256(): boolean {
    return this.#sha256 !== undefined;
  }

  /** SHA-256 of the bytes so far, hex; undefined where it was not asked for. */
  sha256SoFarHex(): string | undefined {
    return this.#sha256?.soFarHex();
  }

  /** Raw digest bytes by name. Once only. */
  finish(): ReadonlyMap<DigestName, Uint8Array> {
    const out = new Map<DigestName, Uint8Array>();
    if (this.#sha256) out.set('sha256', this.#sha256.finish());
    for (const [name, digest] of this.#digests) out.set(name, digest.finish());
    return out;
  }
}
