import fc from 'fast-check';
import { crc32 } from 'node:zlib';
import { combineCrc } from '../../../src/objects/crc-combine.js';
import { crc32cOf } from '../../../src/objects/crc32c.js';
import { multipartChecksum } from '../../../src/objects/multipart-checksum.js';

function u32(value: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(value >>> 0);
  return b;
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
        expect(combineCrc('CRC32C', u32(crc32cOf(a)), u32(crc32cOf(b)), b.length)).toEqual(
          u32(crc32cOf(both)),
        );
        expect(combineCrc('CRC64NVME', crc64(a), crc64(b), b.length)).toEqual(crc64(both));
      }),
      { numRuns: 60 },
    );
  });

  test('check values of the catalogue of CRCs', () => {
    const check = Buffer.from('123456789');
    expect(crc32cOf(check)).toBe(0xe3069283);
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
});
