import { createHash } from 'node:crypto';
import type { DigestName } from '../../../src/chunks/api.js';
import { BodyDigests } from '../../../src/chunks/digests.js';
import { bytesOf } from '../../support/chunk-bench.js';

function hexOf(name: DigestName, ...runs: Uint8Array[]): string {
  const digests = new BodyDigests([name]);
  for (const run of runs) digests.update(run);
  return Buffer.from(digests.finish().get(name)!).toString('hex');
}

/** Bit by bit, straight from the definition: slow and plain. */
function plainCrc(bytes: Uint8Array, widthBits: bigint, reflectedPolynomial: bigint): string {
  const ones = (1n << widthBits) - 1n;
  let crc = ones;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1n ? (crc >> 1n) ^ reflectedPolynomial : crc >> 1n;
  }
  return (crc ^ ones).toString(16).padStart(Number(widthBits / 4n), '0');
}

describe('digests of a body', () => {
  const check = Buffer.from('123456789');

  // Check values of the CRC catalogue (reveng): CRC-32/ISO-HDLC, CRC-32/ISCSI, CRC-64/NVME.
  test.each([
    ['crc32', 'cbf43926'],
    ['crc32c', 'e3069283'],
    ['crc64nvme', 'ae8b14860a799888'],
    ['md5', '25f9e794323b453885f5181f1b624d0b'],
    ['sha1', 'f7c3bc1d808e04732adf679965ccc34ca7ae3441'],
    ['sha256', '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225'],
    [
      'sha512',
      'd9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85',
    ],
    // Of the reference implementation, libxxhash 0.8.
    ['xxhash64', '8cb841db40e6ae83'],
    ['xxhash3', '72dcb18b67a17dff'],
    ['xxhash128', '33119477ede5dcd5e9716427681d5860'],
  ] as const)('%s of "123456789" is the catalogue value', (name, hex) => {
    expect(hexOf(name, check)).toBe(hex);
  });

  test.each([
    ['crc32', '00000000'],
    ['crc32c', '00000000'],
    ['crc64nvme', '0000000000000000'],
    ['md5', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['xxhash64', 'ef46db3751d8e999'],
    ['xxhash3', '2d06800538d394c2'],
    ['xxhash128', '99aa06d3014798d86001c324468d497f'],
  ] as const)('%s of nothing is the value of the empty body', (name, hex) => {
    expect(hexOf(name)).toBe(hex);
  });

  test.each(['xxhash64', 'xxhash3', 'xxhash128'] as const)(
    '%s of bodies side by side does not mix them',
    (name) => {
      const bytes = Buffer.from(Array.from({ length: 5120 }, (_, i) => i % 256));
      const [a, b] = [new BodyDigests([name]), new BodyDigests([name])];
      for (let at = 0; at < bytes.length; at += 700) {
        a.update(bytes.subarray(at, at + 700));
        b.update(Buffer.from('123456789'));
      }
      const hex = (digests: BodyDigests) => Buffer.from(digests.finish().get(name)!).toString('hex');
      const [ofA, ofB] = [hex(a), hex(b)];
      // Of libxxhash 0.8.
      expect(ofA).toBe(
        {
          xxhash64: '53fb246813d6de9f',
          xxhash3: 'f875f2fa2e99df80',
          xxhash128: '87cf83cc9a055cf4f875f2fa2e99df80',
        }[name],
      );
      expect(ofB).toBe(hexOf(name, Buffer.from('123456789'.repeat(8))));
    },
  );

  // RFC 3720 B.4: CRC-32C of 32 zero bytes, 32 bytes of ones, and 0 to 31.
  test.each([
    [Buffer.alloc(32), '8a9136aa'],
    [Buffer.alloc(32, 0xff), '62a8ab43'],
    [Buffer.from(Array.from({ length: 32 }, (_, i) => i)), '46dd794e'],
  ])('crc32c gives the values of RFC 3720', (bytes, hex) => {
    expect(hexOf('crc32c', bytes)).toBe(hex);
  });

  test('the fast CRCs agree with the definition at every length around eight', () => {
    for (let lengthBytes = 0; lengthBytes <= 40; lengthBytes += 1) {
      const bytes = bytesOf(lengthBytes, lengthBytes);
      expect(hexOf('crc32c', bytes)).toBe(plainCrc(bytes, 32n, 0x82f63b78n));
      expect(hexOf('crc64nvme', bytes)).toBe(plainCrc(bytes, 64n, 0x9a6c9329ac4bc9b5n));
    }
  });

  test.each(['md5', 'sha1', 'sha256', 'crc32', 'crc32c', 'crc64nvme'] as const)(
    '%s does not depend on how the body is split',
    (name) => {
      const bytes = bytesOf(7, 10_007);
      const whole = hexOf(name, bytes);
      expect(hexOf(name, bytes.subarray(0, 3), bytes.subarray(3, 4_099), bytes.subarray(4_099))).toBe(whole);
    },
  );

  test('SHA-256 so far is that of the bytes so far, and does not end the count', () => {
    const digests = new BodyDigests(['sha256', 'md5']);
    digests.update(Buffer.from('ab'));
    expect(digests.sha256SoFarHex()).toBe(createHash('sha256').update('ab').digest('hex'));
    digests.update(Buffer.from('c'));
    expect(Buffer.from(digests.finish().get('sha256')!).toString('hex')).toBe(
      createHash('sha256').update('abc').digest('hex'),
    );
  });
});
