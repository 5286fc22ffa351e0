import { expect, test } from '@jest/globals';
import { toOid } from '../../../src/format/ids.js';
import type { ObjectRecord } from '../../../src/index/object-record.js';
import { decodeRecord, encodeRecord, packRow } from '../../../src/index/record-codec.js';

const oid = toOid('ab'.repeat(32));
const bare: ObjectRecord = {
  sizeBytes: 3,
  etag: 'e',
  lastModifiedMs: 1_700_000_000_123,
  meta: {},
  body: { kind: 'plain', bytes: Buffer.from('abc') },
};

test.each<[string, ObjectRecord]>([
  ['bytes in the record', bare],
  ['bytes elsewhere', { ...bare, body: { kind: 'plain', at: Buffer.from([1, 2, 3]) } }],
  ['an empty body', { ...bare, sizeBytes: 0, body: { kind: 'plain', bytes: Buffer.alloc(0) } }],
  [
    'extents of any size',
    {
      ...bare,
      sizeBytes: 5 * 2 ** 40,
      body: {
        kind: 'extents',
        extents: [
          { oid, chunkLengthBytes: 2 ** 40, offsetBytes: 2 ** 39, lengthBytes: 12345678901, volume: 65535 },
        ],
      },
    },
  ],
  ['a long list', { ...bare, body: { kind: 'extent-list', listId: 'b0011', count: 655_360 } }],
  [
    'all metadata',
    {
      ...bare,
      meta: {
        contentType: 'a/b',
        contentEncoding: 'gzip',
        contentDisposition: 'inline',
        contentLanguage: 'de',
        cacheControl: 'no-store',
        expires: 'never',
        storageClass: 'GLACIER',
        userMetadata: Object.fromEntries([
          ['__proto__', 'x'],
          ['k', 'ü'],
        ]),
        tags: { t: '' },
      },
      checksum: { algorithm: 'CRC64NVME', type: 'COMPOSITE', value: 'AAAA-2' },
      partSizesBytes: [5_242_880, 1],
      partChecksums: ['AAAA', 'AAAB'],
    },
  ],
])('a record with %s comes back as it was', (_name, record) => {
  expect(decodeRecord(encodeRecord(record))).toEqual(record);
  expect(encodeRecord(decodeRecord(encodeRecord(record)))).toEqual(encodeRecord(record));
});

test('a name of user metadata that JavaScript gives a meaning to stays a name', () => {
  const userMetadata = JSON.parse('{"__proto__": "x"}') as Record<string, string>;
  const back = decodeRecord(encodeRecord({ ...bare, meta: { userMetadata } }));
  expect(Object.entries(back.meta.userMetadata!)).toEqual([['__proto__', 'x']]);
});

test('damage and later versions are told, never guessed at', () => {
  expect(() => decodeRecord(Buffer.from([0x92, 0x01]))).toThrow('damaged');
  expect(() => decodeRecord(packRow([2, 1, 'e']))).toThrow('version 2');
});
