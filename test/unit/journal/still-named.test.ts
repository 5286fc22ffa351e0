/**
 * A tag's new image was set aside, so that on Gitee the tag has the old one still; here it has the new one, and a
 * registry that collects garbage deletes what only the old one needs. It stays on Gitee as long as it is named there.
 */
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import { until } from '../../support/child.js';
import { bytesOf, JournalBucket, key, REGISTRY } from '../../support/journal-bucket.js';
import {
  blobPath,
  layerLinkPath,
  openImages,
  pushImage,
  revisionPath,
  tagPath,
} from '../../support/journal-images.js';

const OLD = 'y'.repeat(95);
const NEW = 'x'.repeat(95);
const TAG = tagPath('a', 'v');
const hash = (text: string) => createHash('sha256').update(text).digest('hex');

let b: JournalBucket;
let isRefused: boolean;
let old: string;
/** Of the old image, and of no other. */
let garbage: string[];

afterEach(async () => {
  const problems = openImages(b);
  await b.remove();
  expect(problems).toEqual([]);
  expect(b.fatal).toEqual([]);
});

const rest = () => until('nothing waits', () => b.state.status().pendingChanges === 0);

/** A tag with an image; then another one is pushed to it, and refused. */
async function pushOver(maxAgeMs = 20): Promise<void> {
  b = await JournalBucket.open({ rules: { ...REGISTRY, inlineLimitBytes: 80 }, timings: { maxAgeMs } });
  await b.start();
  ({ digest: old } = await pushImage(b, 'a', 'v', [OLD]));
  b.bucket.committer.flush();
  await rest();
  garbage = [revisionPath('a', old), blobPath(old), blobPath(hash(OLD)), layerLinkPath('a', hash(OLD))];
  isRefused = true;
  const refused = b.chunks.cut(bytesOf(NEW))[0]!.oid;
  const refuse = async (chunks: readonly { oid: string }[]) => {
    if (isRefused && chunks.some(({ oid }) => oid === refused))
      throw new RemoteError('chunk-refused', 'no', { oids: [refused] });
  };
  b.chunks.beforeUpload = refuse;
  b.chunks.beforeEnsure = refuse;
  await pushImage(b, 'a', 'v', [NEW]);
  b.bucket.committer.flush();
  await rest();
  expect(await b.state.changeState(key(TAG))).toMatchObject({ state: 'quarantined' });
}

async function collect(): Promise<void> {
  for (const each of garbage) await b.delete(each);
}

test('what a tag on Gitee names is not deleted there while what replaces it is set aside', async () => {
  await pushOver();
  await collect();
  const other = await b.delete('docker/registry/v2/other');
  await rest();
  await b.landed(other);
  expect(b.tree().get(TAG)).toBe(`sha256:${old}`);
  for (const each of garbage) {
    expect(await b.read(each)).toBeUndefined();
    expect(await b.state.changeState(key(each))).toMatchObject({ state: 'quarantined' });
  }
});

test.each(['kick', 'restart'] as const)(
  'and is deleted after a %s, once Gitee takes the new image',
  async (how) => {
    await pushOver();
    await collect();
    await rest();
    isRefused = false;
    if (how === 'kick') b.bucket.kick();
    else await b.restart();
    await until('all is tried again', () => b.state.status().quarantinedChanges === 0);
    await rest();
    const tree = b.tree();
    expect(tree.get(TAG)).toBe(`sha256:${hash(await manifestOf())}`);
    expect([...tree.keys()].filter((path) => garbage.some((each) => path.startsWith(each)))).toEqual([]);
  },
);

test('nor where the deletion of the tag itself was refused', async () => {
  b = await JournalBucket.open({ rules: { ...REGISTRY, inlineLimitBytes: 80 }, timings: { maxAgeMs: 20 } });
  await b.start();
  ({ digest: old } = await pushImage(b, 'a', 'v', [OLD]));
  await rest();
  b.remote.refuse = (path) => (path === TAG ? new RemoteError('content-refused', 'no') : undefined);
  await b.delete(TAG);
  await rest();
  await b.delete(revisionPath('a', old), blobPath(old), blobPath(hash(OLD)));
  await rest();
  expect(b.tree().get(TAG)).toBe(`sha256:${old}`);
});

test('nor where the tag is pushed once more before any of it was looked at', async () => {
  await pushOver(3_600_000);
  await collect();
  // On its way, and in the same batch as none of the others.
  b.remote.refuse = (path) => (path === TAG ? new RemoteError('content-refused', 'no') : undefined);
  isRefused = false;
  b.bucket.kick();
  await until('it is tried again', () => b.state.status().quarantinedChanges === 0);
  b.bucket.committer.flush();
  await rest();
  expect(b.tree().get(TAG)).toBe(`sha256:${old}`);
});

test('who gives up the new image keeps the old one', async () => {
  await pushOver();
  await collect();
  await rest();
  const drop = async (name: string) => b.bucket.setAside.drop((await b.bucket.setAside.row(key(name)))!);
  await expect(drop(TAG)).rejects.toThrow(/drop them first/);
  for (const each of garbage) await drop(each);
  expect(await drop(TAG)).toBe(true);
  expect(await b.read(TAG)).toBe(`sha256:${old}`);
  expect(await b.read(blobPath(hash(OLD)))).toBe(OLD);
});

async function manifestOf(): Promise<string> {
  const link = (await b.read(TAG))!;
  return (await b.read(blobPath(link.slice('sha256:'.length))))!;
}
