/** What an image needs, however it is nested: whether Gitee refuses any of it, found within bounds. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import type { ObjectKey } from '../../../src/format/ids.js';
import { blobKey } from '../../../src/format/registry-keys.js';
import type { Bucket } from '../../../src/objects/bucket.js';
import { CLOSURE_LIMITS, closureState } from '../../../src/objects/manifest-closure.js';

const REPOSITORY = 'docker/registry/v2/repositories/a';
const TAG = `${REPOSITORY}/_manifests/tags/v1/current/link` as ObjectKey;
const { signal } = new AbortController();
const named = (digest: string) => ({ digest: `sha256:${digest}` });
const hex = (text: string) => createHash('sha256').update(text).digest('hex');
const times = (count: number, item: object) => Array.from({ length: count }, () => item);

/** Objects in memory; counts what is asked of it. */
class Images {
  readonly objects = new Map<string, Uint8Array>();
  readonly states = new Map<string, 'pending' | 'quarantined'>();
  asked = 0;
  read = 0;
  /** A read that never ends. */
  stuck: string | undefined;

  put(json: object): string {
    const bytes = Buffer.from(JSON.stringify(json));
    const digest = createHash('sha256').update(bytes).digest('hex');
    this.objects.set(blobKey('', digest), bytes);
    return digest;
  }

  tag(digest: string): void {
    this.objects.set(TAG, Buffer.from(`sha256:${digest}`));
  }

  state(digest: string, state: 'pending' | 'quarantined'): ObjectKey {
    const at = blobKey('', digest);
    this.states.set(at, state);
    return at;
  }

  get bucket(): Bucket {
    const state = {
      changeState: async (at: string) => {
        this.asked += 1;
        const state = this.states.get(at);
        return state && { seq: 1, appendedMs: 0, state };
      },
      get: async (at: string) => {
        const bytes = this.objects.get(at);
        return bytes && { sizeBytes: bytes.length, at };
      },
      openBody: async ({ at }: { at: string }) => {
        this.read += 1;
        if (at === this.stuck) await new Promise(() => {});
        return { kind: 'plain', bytes: this.objects.get(at)! };
      },
    };
    return { name: 'registry', rules: { registryRoot: '' }, state } as unknown as Bucket;
  }

  look(limits = {}) {
    return closureState(this.bucket, TAG, signal, { ...CLOSURE_LIMITS, ...limits });
  }
}

describe('the closure of a tag', () => {
  test.each(['config', 'layer', 'artifact blob', 'child', 'leaf of an index nested ten deep'])(
    'a refused %s refuses the tag',
    async (what) => {
      const images = new Images();
      const [config, layer, blob] = [hex('config'), hex('layer'), hex('blob')];
      const image = images.put({ config: named(config), layers: [named(layer)] });
      const artifact = images.put({ blobs: [named(blob)] });
      let top = images.put({ manifests: [named(image), named(artifact)] });
      for (let depth = 0; depth < 10; depth += 1) top = images.put({ manifests: [named(top)] });
      images.tag(top);
      expect(await images.look()).toEqual({ refused: undefined, pending: [] });
      const bad = {
        config,
        layer,
        'artifact blob': blob,
        child: image,
        'leaf of an index nested ten deep': layer,
      }[what]!;
      const refused = images.state(bad, 'quarantined');
      expect(await images.look()).toMatchObject({ refused });
    },
  );

  test('the subject of a referrer may be missing', async () => {
    const images = new Images();
    images.tag(images.put({ subject: named(hex('subject')), layers: [named(hex('layer'))] }));
    images.state(hex('subject'), 'quarantined');
    expect(await images.look()).toEqual({ refused: undefined, pending: [] });
  });

  test('what waits still is told', async () => {
    const images = new Images();
    images.tag(images.put({ layers: [named(hex('1')), named(hex('2'))] }));
    const waiting = images.state(hex('2'), 'pending');
    expect(await images.look()).toEqual({ refused: undefined, pending: [waiting] });
  });

  test('each blob is looked at once, however often it is named', async () => {
    const images = new Images();
    let top = images.put({ layers: times(300, named(hex('layer'))) });
    for (let depth = 0; depth < 5; depth += 1) top = images.put({ manifests: times(300, named(top)) });
    images.tag(top);
    await images.look();
    expect(images.read).toBe(7); // six manifests and the tag
    expect(images.asked).toBeLessThanOrEqual(2 * 7);
  });

  test('a ring of indexes ends', async () => {
    const images = new Images();
    const [one, two] = [hex('one'), hex('two')];
    images.objects.set(blobKey('', one), Buffer.from(JSON.stringify({ manifests: [named(two)] })));
    images.objects.set(blobKey('', two), Buffer.from(JSON.stringify({ manifests: [named(one)] })));
    images.tag(one);
    expect(await images.look()).toEqual({ refused: undefined, pending: [] });
  });

  test('an image that is larger than any is refused with a reason, not walked', async () => {
    const images = new Images();
    const layers = Array.from({ length: 400 }, (_, i) => named(hex(`layer ${i}`)));
    images.tag(images.put({ layers }));
    await expect(images.look({ blobs: 100 })).rejects.toThrow('names more than 100 blobs');
    await expect(images.look({ readBytes: 1000 })).rejects.toThrow('more than 1000 bytes of manifests');
    expect(images.asked).toBeLessThan(500);
  });

  test('a manifest that can not be read in time ends the look', async () => {
    const images = new Images();
    const child = images.put({ layers: [] });
    images.tag(images.put({ manifests: [named(child)] }));
    images.stuck = blobKey('', child);
    await expect(images.look({ timeMs: 50 })).rejects.toMatchObject({ code: 'not-yet-remote' });
  });
});
