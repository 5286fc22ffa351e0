import { decodeMeta, describesBytes, encodeMeta, type MetaDocument } from '../../../src/format/meta.js';

const oid = 'a'.repeat(64);
const other = 'b'.repeat(64);
const full: MetaDocument = {
  etag: '9e107d9d372bb6826bd81d3542a419d6-2',
  lastModifiedMs: 1_700_000_000_123,
  meta: {
    contentType: 'text/plain; charset=utf-8',
    cacheControl: 'no-store',
    userMetadata: { b: '2', a: 'é "quoted"', __proto__x: '1' },
    tags: { 'team name': 'x=y&z' },
  },
  checksum: { algorithm: 'CRC32C', type: 'COMPOSITE', value: 'AAAAAA==-2' },
  partSizesBytes: [8_388_608, 5],
  partChecksums: ['AAAAAA==', 'AAAAAQ=='],
  describes: { oids: [oid, other], sizeBytes: 8_388_613 },
};
const decodeText = (text: string) => decodeMeta(Buffer.from(text));

describe('metadata documents', () => {
  test('come back as they were written', () => {
    expect(decodeMeta(encodeMeta(full))).toEqual(full);
  });

  test('have the documented text', () => {
    const small: MetaDocument = {
      etag: 'x',
      lastModifiedMs: 5,
      meta: { contentType: 'a/b' },
      describes: { blobId: 'c'.repeat(40), sizeBytes: 1 },
    };
    expect(Buffer.from(encodeMeta(small)).toString()).toBe(`{
 "etag": "x",
 "lastModifiedMs": 5,
 "meta": {
  "contentType": "a/b"
 },
 "describes": {
  "blobId": "${'c'.repeat(40)}",
  "sizeBytes": 1
 }
}
`);
  });

  test('are the same bytes whatever the order of fields was', () => {
    const turned: MetaDocument = {
      ...full,
      meta: {
        tags: { 'team name': 'x=y&z' },
        userMetadata: { __proto__x: '1', a: 'é "quoted"', b: '2' },
        cacheControl: 'no-store',
        contentType: 'text/plain; charset=utf-8',
      },
    };
    expect(Buffer.from(encodeMeta(turned)).equals(Buffer.from(encodeMeta(full)))).toBe(true);
  });

  test('keep user metadata that is called __proto__', () => {
    const userMetadata = Object.fromEntries([['__proto__', 'v']]);
    const decoded = decodeMeta(encodeMeta({ ...full, meta: { userMetadata } }));
    expect(Object.entries(decoded?.meta.userMetadata ?? {})).toEqual([['__proto__', 'v']]);
  });

  test('ignore fields of a later gateway', () => {
    const text = Buffer.from(encodeMeta(full)).toString();
    expect(decodeText(text.replace('{', '{ "later": 1,'))).toEqual(full);
  });

  test.each([
    ['no JSON', '{'],
    ['not an object', '[]'],
    ['without an ETag', '{"lastModifiedMs":1,"meta":{},"describes":{"sizeBytes":1}}'],
    [
      'with a time that is no integer',
      '{"etag":"x","lastModifiedMs":1.5,"meta":{},"describes":{"sizeBytes":1}}',
    ],
    [
      'with user metadata that is no text',
      '{"etag":"x","lastModifiedMs":1,"meta":{"userMetadata":{"a":1}},"describes":{"sizeBytes":1}}',
    ],
    [
      'with an oid that is none',
      '{"etag":"x","lastModifiedMs":1,"meta":{},"describes":{"oids":["x"],"sizeBytes":1}}',
    ],
  ])('are as if absent where they are %s', (_how, text) => {
    expect(decodeText(text)).toBeUndefined();
  });

  test('are as if absent where they are no UTF-8', () => {
    expect(decodeMeta(Buffer.from([0x22, 0xff, 0x22]))).toBeUndefined();
  });

  test('count only for the bytes that they describe', () => {
    expect(describesBytes(full, { oids: [oid, other], sizeBytes: 8_388_613 })).toBe(true);
    expect(describesBytes(full, { oids: [other, oid], sizeBytes: 8_388_613 })).toBe(false);
    expect(describesBytes(full, { oids: [oid], sizeBytes: 8_388_613 })).toBe(false);
    expect(describesBytes(full, { oids: [oid, other], sizeBytes: 1 })).toBe(false);
    expect(describesBytes(full, { blobId: 'c'.repeat(40), sizeBytes: 8_388_613 })).toBe(false);
    const plain = { ...full, describes: { blobId: 'c'.repeat(40), sizeBytes: 1 } };
    expect(describesBytes(plain, { blobId: 'c'.repeat(40), sizeBytes: 1 })).toBe(true);
    expect(describesBytes(plain, { blobId: 'd'.repeat(40), sizeBytes: 1 })).toBe(false);
    expect(describesBytes({ ...full, describes: { sizeBytes: 1 } }, { sizeBytes: 1 })).toBe(false);
  });

  test('stay small for an object of many chunks, and still know its bytes', () => {
    const oids = Array.from({ length: 1001 }, (_, i) => i.toString(16).padStart(64, '0'));
    const encoded = encodeMeta({ ...full, partSizesBytes: [3, 2], describes: { oids, sizeBytes: 5 } });
    expect(encoded.length).toBeLessThan(1000);
    const doc = decodeMeta(encoded)!;
    expect(doc.describes).toEqual({
      // sha256 over the raw oids, computed with another program
      oidsSha256: '63d4a2e4501a5db1cc3f4529f6b9962064b10e8c8efcc784ed96b9ec6dd22389',
      sizeBytes: 5,
    });
    expect(describesBytes(doc, { oids, sizeBytes: 5 })).toBe(true);
    expect(describesBytes(doc, { oids: oids.toReversed(), sizeBytes: 5 })).toBe(false);
    expect(describesBytes(doc, { oids: oids.slice(1), sizeBytes: 5 })).toBe(false);
    expect(encodeMeta(doc)).toEqual(encoded);
  });
});
