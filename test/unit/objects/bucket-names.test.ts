import { isBucketName } from '../../../src/objects/bucket-names.js';

// AWS "General purpose bucket naming rules", rule by rule.
test.each(['abc', 'a1b', 'my.bucket', 'my-bucket.2', '1abc', 'a'.repeat(63), '192.168.1', 'x--s3'])(
  '%s is a name for a bucket',
  (name) => expect(isBucketName(name)).toBe(true),
);

test.each([
  'ab',
  'a'.repeat(64),
  'Abc',
  'a_b',
  'a b',
  'ähm',
  '-abc',
  'abc-',
  '.abc',
  'abc.',
  'a..b',
  '192.168.5.4',
  'xn--abc',
  'sthree-abc',
  'amzn-s3-demo-abc',
  'abc-s3alias',
  'abc--ol-s3',
  'abc.mrap',
  'abc--x-s3',
  'abc--table-s3',
  '',
])('%j is none', (name) => expect(isBucketName(name)).toBe(false));
