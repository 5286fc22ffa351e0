/** A tag waits for what it rests on, and for nothing else; and every commit is closed. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import { until } from '../../support/child.js';
import { bytesOf, JournalBucket, key, REGISTRY as SMALL, signal } from '../../support/journal-bucket.js';
import {
  blobPath,
  layerLinkPath,
  linkManifest,
  named,
  openImages,
  pushImage,
  putBlob,
  putLinks,
  putLayer,
  putManifest,
  tagPath,
} from '../../support/journal-images.js';

/** Links are plain files, as with the usual limit. */
const REGISTRY = { ...SMALL, inlineLimitBytes: 80 };
const big = (letter: string) => letter.repeat(350);

describe('a bucket of preset registry', () => {
  let b: JournalBucket;
  /** Chunks that don't go out until `release`. */
  let stuck: Set<string>;
  let release: () => void;
  let hold: typeof b.chunks.beforeUpload;

  beforeEach(async () => {
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 3_600_000 } });
    await b.start();
    stuck = new Set();
    let released: () => void = () => {};
    const whenReleased = new Promise<void>((resolve) => {
      released = resolve;
    });
    release = () => {
      stuck.clear();
      released();
    };
    hold = async (chunks: readonly { oid: string }[], aborted?: AbortSignal) => {
      if (!chunks.some(({ oid }) => stuck.has(oid))) return;
      const stopped = new Promise<never>((_, reject) =>
        aborted?.addEventListener('abort', () => reject(aborted.reason as Error)),
      );
      await Promise.race([whenReleased, stopped]);
    };
    b.chunks.beforeUpload = hold;
    // The committer asks for exactly what its commit names: nothing that is stuck.
    b.chunks.beforeEnsure = async (chunks) => {
      const early = chunks.filter(({ oid }) => stuck.has(oid));
      if (early.length > 0) throw new RemoteError('timeout', 'stuck on the line');
    };
  });

  afterEach(async () => {
    release();
    expect(openImages(b)).toEqual([]);
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  const stickBytes = (text: string) => {
    for (const { oid } of b.chunks.cut(bytesOf(text))) stuck.add(oid);
  };
  const wait = (seq: number, timeoutMs = 300) => b.state.waitLanded(seq, { timeoutMs, signal });

  test('a small push does not wait for a big one before it', async () => {
    stickBytes(big('x'));
    const first = await pushImage(b, 'big', 'v1', [big('x')]);
    const small = await pushImage(b, 'small', 'v1', ['s']);
    const bigLands = wait(first.seq, 4_000);
    await b.landed(small.seq);
    expect([...b.tree().keys()]).toContain(tagPath('small', 'v1'));
    expect([...b.tree().keys()]).not.toContain(tagPath('big', 'v1'));
    expect(b.state.status().pendingChanges).toBeGreaterThan(0);
    release();
    expect(await bigLands).toBe(true);
    expect([...b.tree().keys()]).toContain(tagPath('big', 'v1'));
    b.bucket.committer.flush();
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
    expect(await b.problems()).toEqual([]);
  });

  test('an image whose layer somebody else pushed, and which waits still, waits for it too', async () => {
    stickBytes(big('x'));
    await putLayer(b, 'one', big('x'));
    const tag = await pushImage(b, 'two', 'v1', [big('x'), 't']);
    expect(await wait(tag.seq)).toBe(false);
    expect(b.tree().size).toBe(0);
    release();
    await b.landed(tag.seq);
  });

  test('an index waits for its children, and each of them for its layers', async () => {
    stickBytes(big('x'));
    const layer = await putLayer(b, 'm', big('x'));
    const config = await putLayer(b, 'm', '{"a":1}');
    const child = await putManifest(b, 'm', undefined, { config: named(config), layers: [named(layer)] });
    const index = await putManifest(b, 'm', 'v1', { manifests: [named(child.digest)] });
    const outer = await putManifest(b, 'm', 'v2', { manifests: [named(index.digest)] });
    expect(await wait(outer.seq)).toBe(false);
    expect(b.tree().size).toBe(0);
    release();
    await b.landed(outer.seq);
    expect([...b.tree().keys()]).toContain(tagPath('m', 'v2'));
  });

  test('later changes of the same key wait for the earlier one', async () => {
    await b.landed((await pushImage(b, 'a', 'v1', ['0'])).seq);
    stickBytes(big('x'));
    const first = await pushImage(b, 'a', 'v1', [big('x')]);
    const second = await pushImage(b, 'a', 'v1', ['small']);
    expect(await wait(second.seq)).toBe(false);
    release();
    await b.landed(second.seq);
    expect(await wait(first.seq)).toBe(true);
    expect(b.tree().get(tagPath('a', 'v1'))).toBe(`sha256:${second.digest}`);
  });

  test('what is deleted stays as long as an earlier change may need it', async () => {
    const old = await pushImage(b, 'a', 'v1', ['old']);
    await b.landed(old.seq);
    stickBytes(big('x'));
    const tag = await pushImage(b, 'a', 'v1', [big('x')]);
    // Collected by the registry: the tag has moved on.
    const gone = await b.delete(blobPath(old.digest));
    expect(await wait(gone)).toBe(false);
    expect([...b.tree().keys()]).toContain(blobPath(old.digest) + '%chunks/000000');
    release();
    await b.landed(gone);
    expect(await wait(tag.seq)).toBe(true);
  });

  test('a kill and a lost answer between two sets keep both', async () => {
    stickBytes(big('x'));
    const first = await pushImage(b, 'big', 'v1', [big('x')]);
    const small = await pushImage(b, 'small', 'v1', ['s']);
    b.remote.fail('push-answer', new RemoteError('outcome-unknown', 'no answer'), 1);
    await b.landed(small.seq);
    await b.restart();
    expect(await b.read(tagPath('big', 'v1'))).toBe(`sha256:${first.digest}`);
    release();
    await b.landed(first.seq);
    expect(b.repository.commits.size).toBeLessThanOrEqual(2);
    expect(await b.problems()).toEqual([]);
  });

  test('what rests on a change that was set aside is set aside with it, and the tag that was there stays', async () => {
    const good = await pushImage(b, 'a', 'v1', ['good']);
    await b.landed(good.seq);
    const refused = b.chunks.cut(bytesOf('bad'))[0]!.oid;
    b.chunks.beforeUpload = async (chunks) => {
      if (chunks.some(({ oid }) => oid === refused))
        throw new RemoteError('chunk-refused', 'no', { oids: [refused] });
    };
    const bad = await pushImage(b, 'a', 'v1', ['bad']);
    const other = await pushImage(b, 'b', 'v1', ['fine']);
    await b.landed(other.seq);
    await b.landed(bad.seq);
    expect(await b.state.changeState(key(tagPath('a', 'v1')))).toMatchObject({ state: 'quarantined' });
    expect(b.tree().get(tagPath('a', 'v1'))).toBe(`sha256:${good.digest}`);
    b.bucket.committer.flush();
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
  });

  test.each([
    ['', async () => {}],
    [', also after a kill', () => b.restart()],
  ])(
    'a tag that is pushed again waits for what was set aside and is tried again behind it%s',
    async (_, kill) => {
      const good = await pushImage(b, 'a', 'v1', ['good']);
      await b.landed(good.seq);
      const refused = b.chunks.cut(bytesOf('bad'))[0]!.oid;
      b.chunks.beforeUpload = async (chunks) => {
        if (chunks.some(({ oid }) => oid === refused))
          throw new RemoteError('chunk-refused', 'no', { oids: [refused] });
      };
      const bad = await pushImage(b, 'a', 'v1', ['bad']);
      await b.landed(bad.seq);
      expect(await b.state.changeState(key(tagPath('a', 'v1')))).toMatchObject({ state: 'quarantined' });
      // Tried again, it is long on its way.
      b.chunks.beforeUpload = hold;
      stuck.add(refused);
      const tag = await b.put(tagPath('a', 'v1'), `sha256:${bad.digest}`);
      const layer = createHash('sha256').update('bad').digest('hex');
      const revision = `docker/registry/v2/repositories/a/_manifests/revisions/sha256/${bad.digest}/link`;
      for (const path of [blobPath(layer), layerLinkPath('a', layer), blobPath(bad.digest), revision])
        expect(await b.state.retrySetAside(key(path))).toBeGreaterThan(tag);
      await kill();
      expect(await wait(tag)).toBe(false);
      expect(b.tree().get(tagPath('a', 'v1'))).toBe(`sha256:${good.digest}`);
      release();
      await b.landed(tag);
      expect(b.tree().get(tagPath('a', 'v1'))).toBe(`sha256:${bad.digest}`);
    },
  );

  test('what waits for a change that is farther away than is looked at lands with it, and not before', async () => {
    await b.remove();
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 3_600_000, lookedAtMax: 2 } });
    await b.start();
    const layer = createHash('sha256').update('late').digest('hex');
    // As a copy by other tools may write it: links before what they name.
    const links = ['a', 'b', 'c', 'd', 'e'].map((name) => layerLinkPath(name, layer));
    for (const path of links) await b.put(path, `sha256:${layer}`);
    const seq = await b.put(blobPath(layer), 'late');
    await b.restart();
    b.bucket.committer.flush();
    await b.landed(seq);
    await b.landed(seq - 1);
    expect([...b.tree().keys()]).toEqual(expect.arrayContaining(links));
    for (const { tree } of b.repository.commits.values())
      if (links.some((path) => tree.has(path))) expect([...tree.keys()]).toContain(blobPath(layer));
  });

  /** Changes of which each waits for another: a blob goes and comes again, and its tag gets a new image. */
  async function pushCollected(): Promise<{ gone: number; tag: { seq: number; digest: string } }> {
    await b.remove();
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 3_600_000, maxChanges: 1 } });
    await b.start();
    await b.landed((await pushImage(b, 'a', 'v1', ['old'])).seq);
    // Nothing is looked at before all of it is there.
    await b.kill();
    await b.reopen();
    // Collected, and pushed again: it goes once the tag names another image, and that one needs it again.
    const gone = await b.delete(blobPath(createHash('sha256').update('old').digest('hex')));
    const tag = await pushImage(b, 'a', 'v1', ['old', 'new']);
    return { gone, tag };
  }

  test('changes that wait for each other land in one commit, however few one has', async () => {
    const { gone, tag } = await pushCollected();
    await b.restart();
    b.bucket.committer.flush();
    await b.landed(tag.seq);
    await b.landed(gone);
    expect(b.tree().get(tagPath('a', 'v1'))).toBe(`sha256:${tag.digest}`);
  });

  test('and are set aside together where Gitee refuses one of them', async () => {
    const { tag } = await pushCollected();
    const before = b.tree().get(tagPath('a', 'v1'));
    await b.restart();
    b.remote.refuse = (path) =>
      path === tagPath('a', 'v1') ? new RemoteError('content-refused', 'no') : undefined;
    const other = await pushImage(b, 'b', 'v1', ['fine']);
    b.bucket.committer.flush();
    await b.landed(other.seq);
    await b.landed(tag.seq);
    expect(await b.state.changeState(key(tagPath('a', 'v1')))).toMatchObject({ state: 'quarantined' });
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
    expect(b.tree().get(tagPath('a', 'v1'))).toBe(before);
  });

  /** The next push is heard of no more, and meanwhile every copy of these bytes is lost. */
  function losesWithNextPush(text: string): void {
    b.remote.fail('push', new RemoteError('timeout', 'no answer in time'), 1);
    b.remote.beforePush = async () => {
      b.remote.beforePush = async () => {};
      lose(text);
    };
  }
  function lose(text: string): void {
    for (const { oid } of b.chunks.cut(bytesOf(text))) {
      b.chunks.local.delete(oid);
      b.chunks.remote.delete(oid);
    }
  }

  test('what is sent again after a lost answer goes without all that rests on what was set aside since', async () => {
    losesWithNextPush(big('x'));
    const tag = await pushImage(b, 'a', 'v1', [big('x'), 'small']);
    await b.landed(tag.seq);
    expect(await b.state.changeState(key(tagPath('a', 'v1')))).toMatchObject({ state: 'quarantined' });
    await b.landed((await pushImage(b, 'b', 'v1', ['small'])).seq);
    expect([...b.tree().keys()]).not.toContain(tagPath('a', 'v1'));
  });

  test('Gitee is not asked without a pause what became of a push of which nothing is left', async () => {
    stickBytes(big('y'));
    const stuckSeq = await b.put(blobPath(await putBlob(b, big('y'))), big('y'));
    losesWithNextPush(big('x'));
    await b.landed(await b.put(blobPath('00'), big('x')));
    expect(b.state.status().quarantinedChanges).toBe(1);
    const before = b.remote.calls.fetch;
    expect(await wait(stuckSeq, 600)).toBe(false);
    expect(b.remote.calls.fetch - before).toBeLessThan(10);
    release();
    await b.landed(stuckSeq);
  });

  test('a manifest whose bytes were lost is read anew when it is pushed again', async () => {
    const layer = createHash('sha256').update(big('x')).digest('hex');
    const manifest = { layers: [named(layer)] };
    const text = JSON.stringify(manifest);
    const path = blobPath(createHash('sha256').update(text).digest('hex'));
    const lost = await b.put(path, text);
    lose(text);
    await b.landed(lost);
    expect(await b.state.changeState(key(path))).toMatchObject({ state: 'quarantined' });
    stickBytes(big('x'));
    await putLayer(b, 'a', big('x'));
    const tag = await putManifest(b, 'a', 'v1', manifest);
    expect(await wait(tag.seq)).toBe(false);
    expect([...b.tree().keys()]).not.toContain(tagPath('a', 'v1'));
    release();
    await b.landed(tag.seq);
  });

  test('a change whose bytes are lost is set aside, however much else lands meanwhile', async () => {
    const gone = b.chunks.cut(bytesOf(big('x')))[0]!.oid;
    let tries = 0;
    b.chunks.beforeUpload = async (chunks) => {
      if (!chunks.some(({ oid }) => oid === gone)) return;
      tries += 1;
      // Between any two failures something lands.
      if (tries < 20) await b.landed((await pushImage(b, 'small', `v${tries}`, [`s${tries}`])).seq);
      throw new RemoteError('chunk-missing', 'neither here nor there', { oids: [gone] });
    };
    await b.landed((await pushImage(b, 'a', 'v1', [big('x')])).seq);
    expect(await b.state.changeState(key(tagPath('a', 'v1')))).toMatchObject({ state: 'quarantined' });
    expect(tries).toBe(3);
  });

  test('what is only due does not stand on the line before what somebody waits for', async () => {
    await b.remove();
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 100 } });
    b.chunks.beforeUpload = hold;
    await b.start();
    const classesOf = (text: string) => [
      ...(b.chunks.askedIn.get(b.chunks.cut(bytesOf(text))[0]!.oid) ?? []),
    ];
    for (const letter of ['x', 'y']) stickBytes(big(letter));
    await putLayer(b, 'big', big('x'));
    await until('it is asked for', () => classesOf(big('x')).length > 0);
    expect(classesOf(big('x'))).toEqual(['push']);
    const small = await pushImage(b, 'small', 'v1', [big('y')]);
    expect(await wait(small.seq)).toBe(false);
    expect(classesOf(big('y'))).toContain('waited');
    expect(classesOf(big('x'))).toEqual(['push']);
    // Somebody waits for all that is pending: for what was only due as well.
    const all = b.bucket.settle({ timeoutMs: 4_000, signal });
    await until('it is waited for', () => classesOf(big('x')).includes('waited'));
    release();
    expect(await all).toBe(true);
    await b.landed(small.seq);
  });

  test('a commit says whether somebody waits for it', async () => {
    const waited: (boolean | undefined)[] = [];
    const push = b.remote.push.bind(b.remote);
    b.remote.push = (request, aborted) => {
      waited.push(request.isWaited);
      return push(request, aborted);
    };
    await b.landed((await pushImage(b, 'a', 'v1', ['s'])).seq);
    expect(waited).toEqual([true]);
    await putLayer(b, 'b', 't');
    b.bucket.committer.flush();
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
    expect(waited.at(-1)).toBe(false);
  });

  test('what nobody waits for lands by its age, and goes on while something else is stuck', async () => {
    await b.remove();
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 100 } });
    await b.start();
    stickBytes(big('x'));
    b.chunks.beforeUpload = async (chunks) => {
      if (chunks.some(({ oid }) => stuck.has(oid))) throw new RemoteError('timeout', 'stuck');
    };
    await putBlob(b, big('x'));
    const small = await putLayer(b, 'a', 'small');
    await until('the small one lands', () => b.tree().has(blobPath(small)));
    const commits = b.repository.commits.size;
    expect(commits).toBeLessThanOrEqual(3);
    stuck.clear();
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
  });

  test('what nobody waits for lands, though what is older had begun to fail before it came', async () => {
    await b.remove();
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 100 } });
    await b.start();
    stickBytes(big('x'));
    let tries = 0;
    b.chunks.beforeUpload = async (chunks) => {
      if (!chunks.some(({ oid }) => stuck.has(oid))) return;
      tries += 1;
      throw new RemoteError('timeout', 'stuck');
    };
    await putBlob(b, big('x'));
    await until('it is tried', () => tries > 0);
    const small = await putLayer(b, 'a', 'small');
    await until('the small one lands', () => b.tree().has(blobPath(small)));
    stuck.clear();
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
  });

  test('what all uploads met once, on this machine, holds nothing up for longer than one of them would', async () => {
    await b.remove();
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 3_600_000, retryMaxMs: 120_000 } });
    await b.start();
    const pushes = Array.from({ length: 16 }, (_, i) => `layer ${i}`);
    const tags: number[] = [];
    let failed = 0;
    let goOn: () => void = () => {};
    const allAreThere = new Promise<void>((resolve) => (goOn = resolve));
    b.chunks.beforeUpload = async () => {
      await allAreThere;
      failed += 1;
      throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE', syscall: 'open' });
    };
    for (const layer of pushes) tags.push((await pushImage(b, layer.replace(' ', '-'), 'v1', [layer])).seq);
    const landed = tags.map((seq) => b.landed(seq));
    await until('all are sent', () => b.chunks.askedIn.size >= pushes.length);
    goOn();
    await until('all have failed', () => failed >= pushes.length);
    b.chunks.beforeUpload = async () => {};
    await Promise.all(landed);
  });

  test('a batch has no more changes than it may, and the rest follows at once', async () => {
    await b.remove();
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 3_600_000, maxChanges: 4 } });
    await b.start();
    const { seq } = await pushImage(b, 'a', 'v1', ['1', '2', '3']);
    await b.landed(seq);
    expect(b.repository.commits.size).toBeGreaterThanOrEqual(3);
  });

  test('an image that is mounted where its link is refused is set aside, though its manifest is on the branch', async () => {
    const first = await pushImage(b, 'one', 'v1', ['layer']);
    await b.landed(first.seq);
    b.remote.refuse = (path) =>
      path.includes('repositories/two/_layers/') ? new RemoteError('content-refused', 'no') : undefined;
    const layer = createHash('sha256').update('layer').digest('hex');
    // As the registry does it: the bytes are there, so that only links are written.
    await b.landed(await b.put(layerLinkPath('two', layer), `sha256:${layer}`));
    const tag = await linkManifest(b, 'two', 'v1', first.digest);
    await b.landed(tag);
    expect(await b.state.changeState(key(tagPath('two', 'v1')))).toMatchObject({ state: 'quarantined' });
    expect([...b.tree().keys()]).not.toContain(tagPath('two', 'v1'));
    expect(b.tree().get(tagPath('one', 'v1'))).toBe(`sha256:${first.digest}`);
  });

  test('an image that is tagged again waits for a layer of it that was deleted and pushed anew', async () => {
    const first = await pushImage(b, 'one', 'v1', [big('x')]);
    await b.landed(first.seq);
    const layer = createHash('sha256').update(big('x')).digest('hex');
    await b.landed(await b.delete(tagPath('one', 'v1'), blobPath(layer)));
    for (const { oid } of b.chunks.cut(bytesOf(big('x')))) b.chunks.remote.delete(oid);
    stickBytes(big('x'));
    await putBlob(b, big('x'));
    const tag = await b.put(tagPath('one', 'v2'), `sha256:${first.digest}`);
    expect(await wait(tag)).toBe(false);
    release();
    await b.landed(tag);
    expect([...b.tree().keys()]).toContain(tagPath('one', 'v2'));
  });

  test('a mounted image waits while its manifest, which is on the branch, can not be read', async () => {
    const first = await pushImage(b, 'one', 'v1', ['layer']);
    await b.landed(first.seq);
    await b.restart();
    stickBytes(big('x'));
    await putBlob(b, big('x'));
    let isAway = true;
    const read = b.chunks.read.bind(b.chunks);
    b.chunks.read = (...range) => {
      if (isAway) throw new RemoteError('timeout', 'Gitee gives no answer');
      return read(...range);
    };
    await putLinks(b, 'two', ['layer', '{"config":"one:v1"}']);
    const tag = await linkManifest(b, 'two', 'v1', first.digest);
    expect(await wait(tag)).toBe(false);
    const other = await pushImage(b, 'other', 'v1', ['s']);
    isAway = false;
    await b.landed(other.seq);
    await b.landed(tag);
    release();
  });

  test('mounted images wait while their manifests, which are on the branch, are read from a Gitee that stands still, and nothing else does', async () => {
    const mounted = [];
    for (let i = 0; i < 7; i += 1) mounted.push(await pushImage(b, `of-${i}`, 'v1', [`layer ${i}`]));
    for (const { seq } of mounted) await b.landed(seq);
    await b.restart();
    stickBytes(big('x'));
    await putBlob(b, big('x'));
    const read = b.chunks.read.bind(b.chunks);
    const ofBranch = new Set(b.chunks.remote.keys());
    let goOn: () => void = () => {};
    const goesOn = new Promise<void>((resolve) => (goOn = resolve));
    b.chunks.read = (list, start, end, aborted) =>
      Readable.from(
        (async function* () {
          for await (const { oid } of list.range(start, end)) {
            if (!ofBranch.has(oid)) continue;
            const ended = new Promise<never>((_, reject) =>
              aborted?.addEventListener('abort', () => reject(aborted.reason as Error)),
            );
            await Promise.race([goesOn, ended]);
          }
          yield* read(list, start, end);
        })(),
      );
    const tags = [];
    for (const [i, { digest }] of mounted.entries()) {
      await putLinks(b, `to-${i}`, [`layer ${i}`, `{"config":"of-${i}:v1"}`]);
      tags.push(await linkManifest(b, `to-${i}`, 'v1', digest));
    }
    for (const tag of tags) expect(await wait(tag, 0)).toBe(false);
    for (let i = 0; i < 3; i += 1) await b.landed((await pushImage(b, `other-${i}`, 'v1', ['s'])).seq);
    for (const tag of tags) expect(await wait(tag, 0)).toBe(false);
    goOn();
    for (const tag of tags) await b.landed(tag);
    release();
  });

  test('what Gitee refuses without naming it is found among all that somebody waits for', async () => {
    const bad = b.chunks.cut(bytesOf(big('x')))[0]!.oid;
    b.chunks.beforeUpload = async (chunks) => {
      if (chunks.some(({ oid }) => oid === bad)) throw new RemoteError('chunk-refused', 'one of them');
    };
    const tag = await pushImage(b, 'a', 'v1', ['1', big('x'), '3', '4']);
    await b.landed(tag.seq);
    expect(await b.state.changeState(key(tagPath('a', 'v1')))).toMatchObject({ state: 'quarantined' });
    b.bucket.committer.flush();
    await until('the others land', () => b.state.status().pendingChanges === 0);
  });

  test('what is sent again names no chunk that the store has forgotten since', async () => {
    b.remote.fail('push', new RemoteError('timeout', 'no answer in time'), 1);
    let pushes = 0;
    b.remote.beforePush = async () => {
      pushes += 1;
      expect([...b.chunks.local.keys()].filter((oid) => !b.chunks.remote.has(oid))).toEqual([]);
      if (pushes === 1) b.chunks.remote.clear();
    };
    const tag = await pushImage(b, 'a', 'v1', [big('x'), 'small']);
    await b.landed(tag.seq);
    expect(pushes).toBe(2);
    expect([...b.tree().keys()]).toContain(tagPath('a', 'v1'));
  });
});
