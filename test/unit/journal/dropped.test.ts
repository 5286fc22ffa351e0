/** An operator gives up a part of an image that was set aside: what rests on it never lands without it. */
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import { until } from '../../support/child.js';
import { bytesOf, JournalBucket, key, REGISTRY } from '../../support/journal-bucket.js';
import { blobPath, openImages, pushImage, tagPath } from '../../support/journal-images.js';

const REFUSED = 'x'.repeat(95);

let b: JournalBucket;
afterEach(async () => {
  expect(b.fatal).toEqual([]);
  await b.remove();
});

/** An image is pushed over another one, and its layer is refused: all of it is set aside. */
async function pushOver(): Promise<{ old: string; keys: string[] }> {
  b = await JournalBucket.open({ rules: { ...REGISTRY, inlineLimitBytes: 80 }, timings: { maxAgeMs: 20 } });
  await b.start();
  const old = await pushImage(b, 'a', 'v', ['y'.repeat(95)]);
  await b.landed(old.seq);
  const refused = b.chunks.cut(bytesOf(REFUSED))[0]!.oid;
  const refuse = async (chunks: readonly { oid: string }[]) => {
    if (chunks.some(({ oid }) => oid === refused))
      throw new RemoteError('chunk-refused', 'no', { oids: [refused] });
  };
  b.chunks.beforeUpload = refuse;
  b.chunks.beforeEnsure = refuse;
  await b.landed((await pushImage(b, 'a', 'v', [REFUSED])).seq);
  await until('nothing waits', () => b.state.status().pendingChanges === 0);
  const keys: string[] = [];
  for await (const row of b.bucket.setAside.rows()) keys.push(row.key);
  return { old: old.digest, keys };
}

const drop = async (name: string) => {
  const row = await b.bucket.setAside.row(key(name));
  return b.bucket.setAside.drop(row!);
};

const LAYER = blobPath(createHash('sha256').update(REFUSED).digest('hex'));
const TAG = tagPath('a', 'v');

test('a layer is not dropped while a tag would land without it', async () => {
  const { old, keys } = await pushOver();
  expect(keys).toEqual(expect.arrayContaining([LAYER, TAG]));
  await expect(drop(LAYER)).rejects.toThrow(/changes rest on .*drop them first/);
  b.bucket.kick();
  await until('all was tried again', () => b.state.status().quarantinedChanges === keys.length);
  expect(b.tree().get(TAG)).toBe(`sha256:${old}`);
  expect(openImages(b)).toEqual([]);
});

test('dropped from its top, all of it goes, and the tag that was there stays', async () => {
  const { old, keys } = await pushOver();
  // Whatever rests on nothing that is left can go, until nothing is left.
  const left = new Set(keys);
  for (let round = 0; left.size > 0 && round < keys.length; round += 1)
    for (const name of left) if (await drop(name).catch(() => false)) left.delete(name);
  expect([...left]).toEqual([]);
  expect(await b.read(TAG)).toBe(`sha256:${old}`);
  await b.restart();
  await b.landed(await b.put('docker/registry/v2/other', 'x'));
  expect(b.tree().get(TAG)).toBe(`sha256:${old}`);
  expect(openImages(b)).toEqual([]);
  expect(b.state.status()).toMatchObject({ pendingChanges: 0, quarantinedChanges: 0 });
});
