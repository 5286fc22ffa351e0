import { ConfiguredKeys, type BucketOwners } from '../../../src/server/access-keys.js';
import type { Config } from '../../../src/server/config/config.js';
import { Secret } from '../../../src/server/config/secret.js';

const key = (accessKeyId: string, buckets: Record<string, 'read' | 'write'>, createBuckets = false) => ({
  accessKeyId,
  secretAccessKey: new Secret('secret of a test'),
  buckets,
  createBuckets,
});
const config = {
  accessKeys: [
    key('AKMAKER', {}, true),
    key('AKREADER', { '*': 'read' }),
    key('AKWRITER', { photos: 'write' }),
  ],
} as unknown as Config;
const owners: BucketOwners = { ownerOf: (bucket) => (bucket === 'photos' ? 'AKMAKER' : undefined) };

test('whoever made a bucket may write it, others have what the configuration says', () => {
  const keys = new ConfiguredKeys(config, owners);
  const rights = (accessKeyId: string) =>
    ['photos', 'other'].map((bucket) => keys.find(accessKeyId)!.rights(bucket));
  expect(rights('AKMAKER')).toEqual(['write', 'none']);
  expect(rights('AKREADER')).toEqual(['read', 'read']);
  expect(rights('AKWRITER')).toEqual(['write', 'none']);
  expect(keys.find('AKMAKER')!.mayCreateBuckets).toBe(true);
  expect(keys.find('AKREADER')!.mayCreateBuckets).toBe(false);
});

test('no name of a bucket is taken for a property of every object', () => {
  expect(new ConfiguredKeys(config).find('AKMAKER')!.rights('constructor')).toBe('none');
});
