/**
 * The CRC of two runs of bytes from the CRCs of each: appending n zero bytes to a message is multiplication by
 * x^(8n) modulo the polynomial (Mark Adler's crc32_combine, as in zlib). Initial and final inversions of these
 * reflected CRCs cancel out.
 */

type CrcAlgorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME';

const REFLECTED: Record<CrcAlgorithm, { polynomial: bigint; bits: bigint }> = {
  CRC32: { polynomial: 0xedb88320n, bits: 32n },
  CRC32C: { polynomial: 0x82f63b78n, bits: 32n },
  CRC64NVME: { polynomial: 0x9a6c9329ac4bc9b5n, bits: 64n },
};

/** Product of two polynomials modulo the CRC polynomial, all in reflected form (highest bit is x^0). */
function multiply(a: bigint, b: bigint, polynomial: bigint, bits: bigint): bigint {
  let product = 0n;
  let term = b;
  for (let mask = 1n << (bits - 1n); mask > 0n; mask >>= 1n) {
    if (a & mask) product ^= term;
    term = term & 1n ? (term >> 1n) ^ polynomial : term >> 1n;
  }
  return product;
}

/**
 * CRC of `first` followed by `second`.
 * @param secondSizeBytes length of the second run.
 */
export function combineCrc(
  algorithm: CrcAlgorithm,
  first: Buffer,
  second: Buffer,
  secondSizeBytes: number,
): Buffer {
  const { polynomial, bits } = REFLECTED[algorithm];
  const one = 1n << (bits - 1n);
  let power = one >> 8n; // x^8: one byte of zeros
  let shift = one;
  for (let n = BigInt(secondSizeBytes); n > 0n; n >>= 1n) {
    if (n & 1n) shift = multiply(power, shift, polynomial, bits);
    power = multiply(power, power, polynomial, bits);
  }
  const combined = multiply(shift, toBig(first), polynomial, bits) ^ toBig(second);
  const out = Buffer.alloc(Number(bits / 8n));
  if (bits === 64n) out.writeBigUInt64BE(combined);
  else out.writeUInt32BE(Number(combined));
  return out;
}

function toBig(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}
