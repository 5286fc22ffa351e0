/**
 * What an image needs (manifest, config, layers, child manifests, blobs of artifacts), walked before a tag's answer:
 * Gitee must have all of it. Every blob is looked at once, however often it is named, so that indexes of any depth
 * cost what is in them; and the walk is bounded in blobs, in bytes read and in time. The `subject` of a referrer is not
 * part of it: OCI Distribution 1.1 lets that be missing, and nobody pulls it through the referrer.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { withDeadline } from '../async/deadline.js';
import type { ObjectKey } from '../format/ids.js';
import {
  blobKey,
  digestOfLink,
  layerLinkKey,
  LINK_MAX_BYTES,
  MANIFEST_MAX_BYTES,
  manifestReferences,
  registryKey,
  revisionLinkKey,
  tagIndexLinkKey,
} from '../format/registry-keys.js';
import { readSmall } from './body.js';
import type { Bucket } from './bucket.js';
import { ObjectError } from './errors.js';

export interface ClosureLimits {
  readonly blobs: number;
  /** Of manifests, in all. */
  readonly readBytes: number;
  readonly timeMs: number;
}

/** A hundred platforms of a hundred layers each; some 5 MB of memory while it is walked. */
export const CLOSURE_LIMITS: ClosureLimits = { blobs: 20_000, readBytes: 64 * 1024 * 1024, timeMs: 20_000 };
/** Other requests have their turn between so many. */
const LOOKED_AT_ONCE = 200;

export interface ClosureState {
  /** The first key that Gitee refuses. */
  readonly refused: ObjectKey | undefined;
  /** Keys whose newest change has not landed. */
  readonly pending: readonly ObjectKey[];
}

/** What an image consists of. */
export interface ImageParts {
  /** Keys whose change was set aside. */
  readonly setAside: readonly ObjectKey[];
  /** Manifests, configs, layers. */
  readonly blobs: readonly ObjectKey[];
}

const NO_PARTS: ImageParts = { setAside: [], blobs: [] };

/**
 * Of a tag or revision link; of any other key nothing is asked.
 * @throws ObjectError not-yet-remote where the image is too large to be looked through, or the time is over
 */
export async function closureState(
  bucket: Bucket,
  linkKey: ObjectKey,
  signal: AbortSignal,
  limits: ClosureLimits = CLOSURE_LIMITS,
): Promise<ClosureState> {
  const walk = await walked(bucket, linkKey, signal, { ...limits, stopsAtSetAside: true });
  const [refused] = walk?.setAside ?? [];
  return { refused, pending: refused === undefined ? (walk?.pending ?? []) : [] };
}

/** As closureState, but goes on to the end. @throws ObjectError as closureState */
export async function imageParts(
  bucket: Bucket,
  linkKey: ObjectKey,
  signal: AbortSignal,
  limits: ClosureLimits = CLOSURE_LIMITS,
): Promise<ImageParts> {
  return (await walked(bucket, linkKey, signal, { ...limits, stopsAtSetAside: false })) ?? NO_PARTS;
}

interface WalkOptions extends ClosureLimits {
  readonly stopsAtSetAside: boolean;
}

/** undefined where the key is no link, or leads nowhere. */
async function walked(
  bucket: Bucket,
  linkKey: ObjectKey,
  signal: AbortSignal,
  options: WalkOptions,
): Promise<ClosureWalk | undefined> {
  const what = registryKey(bucket.rules.registryRoot, linkKey);
  if (what?.kind !== 'tag-link' && what?.kind !== 'revision-link') return undefined;
  const tooLong = () =>
    new ObjectError('not-yet-remote', `this image could not be looked through within ${options.timeMs} ms`);
  return withDeadline(
    options.timeMs,
    signal,
    async (own) => {
      const link = await readObject(bucket, linkKey, LINK_MAX_BYTES);
      const digest = link && digestOfLink(link);
      if (!digest) return undefined;
      const walk = new ClosureWalk(bucket, what.repository, options, own);
      await walk.from(digest);
      // Nothing rests on it, and yet it is written with its tag.
      const index = tagIndexLinkKey(linkKey, digest);
      if (what.kind === 'tag-link' && !options.stopsAtSetAside) await walk.look(index);
      return walk;
    },
    tooLong,
  );
}

class ClosureWalk {
  /** Blobs by digest, and whether each may name others; those that are added while it is walked are walked, too. */
  readonly #blobs = new Map<string, boolean>();
  readonly pending: ObjectKey[] = [];
  readonly setAside: ObjectKey[] = [];
  readonly #root: string;
  #readBytes = 0;
  #looked = 0;

  constructor(
    private readonly bucket: Bucket,
    private readonly repository: string,
    private readonly limits: WalkOptions,
    private readonly signal: AbortSignal,
  ) {
    this.#root = bucket.rules.registryRoot;
  }

  get blobs(): ObjectKey[] {
    return [...this.#blobs.keys()].map((digest) => blobKey(this.#root, digest));
  }

  async from(digest: string): Promise<void> {
    const manifests = new Set([digest]);
    this.#blobs.set(digest, true);
    for (const manifest of manifests) {
      await this.look(blobKey(this.#root, manifest));
      await this.look(revisionLinkKey(this.repository, manifest));
      if (this.#isOver) return;
      for (const child of manifestReferences(await this.#read(manifest))) {
        const isKnown = this.#blobs.has(child.digest);
        if (child.isManifest) manifests.add(child.digest);
        if (isKnown) continue;
        this.#blobs.set(child.digest, child.isManifest);
        if (this.#blobs.size > this.limits.blobs)
          throw tooLarge(`names more than ${this.limits.blobs} blobs`);
        // A child manifest is looked at in its turn.
        if (child.isManifest) continue;
        await this.look(blobKey(this.#root, child.digest));
        await this.look(layerLinkKey(this.repository, child.digest));
        if (this.#isOver) return;
      }
    }
  }

  get #isOver(): boolean {
    return this.limits.stopsAtSetAside && this.setAside.length > 0;
  }

  /** Notes what has become of this key. */
  async look(key: ObjectKey): Promise<void> {
    this.#looked += 1;
    if (this.#looked % LOOKED_AT_ONCE === 0) await nextTurn();
    this.signal.throwIfAborted();
    const state = (await this.bucket.state.changeState(key))?.state;
    if (state === 'pending') this.pending.push(key);
    if (state === 'quarantined') this.setAside.push(key);
  }

  async #read(digest: string): Promise<Uint8Array> {
    const bytes = await readObject(this.bucket, blobKey(this.#root, digest), MANIFEST_MAX_BYTES);
    this.#readBytes += bytes?.length ?? 0;
    if (this.#readBytes > this.limits.readBytes)
      throw tooLarge(`has more than ${this.limits.readBytes} bytes of manifests`);
    return bytes ?? new Uint8Array(0);
  }
}

function tooLarge(why: string): ObjectError {
  return new ObjectError(
    'not-yet-remote',
    `this image ${why}, too much to find out whether Gitee has all of it while it refuses some changes, or has yet to get them: see 'gitee-s3 status'`,
  );
}

async function readObject(bucket: Bucket, key: ObjectKey, maxBytes: number): Promise<Uint8Array | undefined> {
  const record = await bucket.state.get(key);
  if (!record || record.sizeBytes > maxBytes) return undefined;
  return readSmall(await bucket.state.openBody(record), record.sizeBytes, maxBytes, bucket.chunks);
}
