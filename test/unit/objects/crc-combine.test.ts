import fc from 'fast-check';
import { crc32 } from 'node:zlib';
import { BodyDigests } from '../../../src/chunks/digests.js';
import { combineCrc } from '../../../src/objects/crc-combine.js';
import { DIGEST_OF } from '../../../src/objects/body-check.js';
import { multipartChecksum } from '../../../src/objects/multipart-checksum.js';

function u32(value: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(value >>> 0);
  return b;
}

function digestOf(algorithm: keyof typeof DIGEST_OF, bytes: Uint8Array): Buffer {
  const digests = new BodyDigests([DIGEST_OF[algorithm]]);
  digests.update(bytes);
  return Buffer.from(digests.finish().get(DIGEST_OF[algorithm])!);
}

/** CRC-64/NVME bit by bit, as its definition reads. */
function crc64(bytes: Uint8Array): Buffer {
  let crc = 0xffffffffffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let i = 0; i < 8; i += 1) crc = crc & 1n ? (crc >> 1n) ^ 0x9a6c9329ac4bc9b5n : crc >> 1n;
  }
  const b = Buffer.alloc(8);
  b.writeBigUInt64BE(crc ^ 0xffffffffffffffffn);
  return b;
}

describe('joined checksums', () => {
  const bytes = fc.uint8Array({ maxLength: 300 });

  test('the CRC of two runs follows from the CRCs of each', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        const both = Buffer.concat([a, b]);
        expect(combineCrc('CRC32', u32(crc32(a)), u32(crc32(b)), b.length)).toEqual(u32(crc32(both)));
        expect(combineCrc('CRC32C', digestOf('CRC32C', a), digestOf('CRC32C', b), b.length)).toEqual(
          digestOf('CRC32C', both),
        );
        expect(combineCrc('CRC64NVME', crc64(a), crc64(b), b.length)).toEqual(crc64(both));
      }),
      { numRuns: 60 },
    );
  });

  test('check values of the catalogue of CRCs', () => {
    const check = Buffer.from('123456789');
    expect(digestOf('CRC32C', check).toString('hex')).toBe('e3069283');
    expect(crc64(check).toString('hex')).toBe('ae8b14860a799888');
  });

  test('a composite checksum names its number of parts, a wrong promise is refused', () => {
    const parts = [Buffer.from('one'), Buffer.from('two')].map((b) => ({
      sizeBytes: b.length,
      checksum: {
        algorithm: 'CRC32' as const,
        type: 'FULL_OBJECT' as const,
        value: u32(crc32(b)).toString('base64'),
      },
    }));
    const joined = Buffer.concat(parts.map((p) => Buffer.from(p.checksum.value, 'base64')));
    const composite = multipartChecksum({ checksumAlgorithm: 'CRC32' }, parts, undefined);
    expect(composite?.value).toBe(`${u32(crc32(joined)).toString('base64')}-2`);
    const whole = multipartChecksum(
      { checksumAlgorithm: 'CRC32', checksumType: 'FULL_OBJECT' },
      parts,
      undefined,
    );
    expect(whole?.value).toBe(u32(crc32(Buffer.from('onetwo'))).toString('base64'));
    expect(() =>
      multipartChecksum({ checksumAlgorithm: 'CRC32' }, parts, { algorithm: 'CRC32', value: 'AAAAAA==-2' }),
    ).toThrow(/does not match its parts/);
  });

  // AWS "Checking object integrity": only CRCs of parts can be joined to the checksum of the whole.
  test.each(['SHA1', 'SHA256', 'SHA512', 'MD5', 'XXHASH64', 'XXHASH3', 'XXHASH128'] as const)(
    '%s of an upload is the sum of the sums of its parts, and has no other form',
    (algorithm) => {
      const raw = ['one', 'two'].map((text) => digestOf(algorithm, Buffer.from(text)));
      const parts = raw.map((sum) => ({
        sizeBytes: 3,
        checksum: { algorithm, type: 'FULL_OBJECT' as const, value: sum.toString('base64') },
      }));
      const composite = multipartChecksum({ checksumAlgorithm: algorithm }, parts, undefined);
      const value = digestOf(algorithm, Buffer.concat(raw)).toString('base64');
      expect(composite).toEqual({ algorithm, type: 'COMPOSITE', value: `${value}-2` });
      const whole = { checksumAlgorithm: algorithm, checksumType: 'FULL_OBJECT' as const };
      expect(() => multipartChecksum(whole, parts, undefined)).toThrow(/no full-object form/);
    },
  );
});
