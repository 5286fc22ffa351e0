import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BucketChunks, type BucketChunksDeps } from '../chunks/bucket-chunks.js';
import type { LfsLedger, RepositoryLedger } from '../space/lfs-ledger.js';
import type { LfsSpace } from '../space/lfs-space.js';
import { GitHeadRemote } from '../gitee/git/git-head-remote.js';
import { lfsEndpointUrl, LfsChunkRemote, type LfsChunkRemoteDeps } from '../gitee/lfs/lfs-chunk-remote.js';
import type { ChunkCensus } from '../index/chunk-census.js';
import type { BucketState } from '../journal/bucket-state.js';
import { openBucket, type OpenBucket, type OpenBucketDeps } from '../journal/open-bucket.js';
import type { Bucket } from '../objects/bucket.js';
import type { Branches } from './branches.js';
import { GatedChunks, GatedState, type BucketGate } from './gate.js';
import type { BucketPlace } from './place.js';

/** What the buckets of a gateway are opened with: for each layer what all of them have in common there. */
export interface BucketOpenerDeps {
  readonly gitee: {
    /** Without trailing `/`. */
    readonly url: string;
    /** Numeric id. @throws RemoteError */
    readonly repositoryId: (repository: string) => Promise<number>;
    readonly lfs: Omit<LfsChunkRemoteDeps, 'endpointUrl'>;
  };
  readonly branches: Branches;
  readonly ledger: Pick<LfsLedger, 'repository'>;
  readonly space: Pick<LfsSpace, 'demand' | 'addBucket' | 'recounted'>;
  readonly chunks: Omit<BucketChunksDeps, 'bucket' | 'remote' | 'isBackground' | 'ledger' | 'space'>;
  readonly journal: Omit<OpenBucketDeps, 'bucket' | 'chunks' | 'head' | 'step' | 'census'>;
  /** When an upload or a commit last got through to Gitee; undefined: never. */
  readonly lineHeardMs: () => number | undefined;
}

/** One bucket from its connection to Gitee up to what the objects layer works on. */
export interface BucketParts {
  readonly place: BucketPlace;
  readonly lfs: LfsChunkRemote;
  readonly head: GitHeadRemote;
  readonly chunks: BucketChunks;
  readonly open: OpenBucket;
  readonly bucket: Bucket;
  /** Lets go of all of it. The committer has stopped, and nobody reads any more. */
  close(): Promise<void>;
}

/** What sets a bucket that may be deleted apart. */
export interface Deletable {
  /** Of its part of the state directory and of the overlay, instead of the bucket's own. */
  readonly stateName: string;
  /** The way in. */
  readonly gate: BucketGate;
}

/** A bucket while it is being opened. */
interface Opening {
  readonly place: BucketPlace;
  readonly stateName: string;
  readonly lfs: LfsChunkRemote;
  readonly ledger: RepositoryLedger;
}

/** Opens the buckets of a gateway, those of the configuration and those made by request alike. */
export class BucketOpener {
  constructor(private readonly deps: BucketOpenerDeps) {}

  /** Opens the state of one bucket; asks Gitee nothing. What it opened before a failure is closed again. */
  async open(place: BucketPlace, deletable?: Deletable): Promise<BucketParts> {
    const stateName = deletable?.stateName ?? place.name;
    const lfs = this.#lfsOf(place);
    const ledger = await this.deps.ledger.repository(place.repository);
    ledger.askWith((asked, signal) => lfs.missing(asked, signal));
    const opening = { place, stateName, lfs, ledger };
    const chunks = await this.#openChunks(opening);
    // A bucket made at run time is tried again while the gateway runs, so nothing of this one may stay open.
    const { head, open } = await this.#openJournal(opening, chunks).catch(async (error: unknown) => {
      await chunks.close();
      throw error;
    });
    chunks.keepNamed(() => namedIn(open.state));
    const close = async () => {
      await open.close();
      await chunks.close();
      await head.close();
    };
    const bucket = await this.#served(opening, { chunks, open }, deletable?.gate).catch(
      async (error: unknown) => {
        await close();
        throw error;
      },
    );
    return { place, lfs, head, chunks, open, bucket, close };
  }

  #lfsOf({ repository }: BucketPlace): LfsChunkRemote {
    const { lfs, url } = this.deps.gitee;
    const [owner, name] = repository.split('/') as [string, string];
    return new LfsChunkRemote({ ...lfs, endpointUrl: lfsEndpointUrl(url, owner, name) });
  }

  async #openChunks({ place, stateName, lfs, ledger }: Opening): Promise<BucketChunks> {
    const { space } = this.deps;
    const chunks = new BucketChunks({
      ...this.deps.chunks,
      ...{ bucket: stateName, remote: lfs, ledger, space },
      isBackground: place.concern.mode === 'local',
    });
    await chunks.open();
    return chunks;
  }

  async #openJournal(
    opening: Opening,
    chunks: BucketChunks,
  ): Promise<{ head: GitHeadRemote; open: OpenBucket }> {
    const { place, stateName } = opening;
    const { branches, gitee, journal } = this.deps;
    const { git, step } = branches.of(place, stateName);
    // Others push to the branch while this one is being opened, and ask.
    const opened: { bucket?: OpenBucket } = {};
    const keyCount = () => opened.bucket?.keyCount() ?? 0;
    const head = new GitHeadRemote({ pathPrefix: place.pathPrefix, keyCount }, git);
    try {
      await branches.removeUnused(stateName);
      const census = await this.#censusOf(opening);
      opened.bucket = await openBucket({
        ...journal,
        ...{ chunks, head, step, census },
        bucket: {
          ...place,
          stateName,
          repositoryId: () => gitee.repositoryId(place.repository),
          // The barrier of a generic bucket waits for all that was written before.
          isStrictOrder: place.concern.mode === 'barrier',
        },
      });
      return { head, open: opened.bucket };
    } catch (error) {
      await head.close();
      throw error;
    }
  }

  #censusOf({ ledger, stateName }: Opening): Promise<ChunkCensus> {
    return ledger.censusOf(stateName, () => this.deps.space.recounted());
  }

  async #served(
    { place, stateName }: Opening,
    { chunks, open }: Pick<BucketParts, 'chunks' | 'open'>,
    gate: BucketGate | undefined,
  ): Promise<Bucket> {
    const { journal, lineHeardMs } = this.deps;
    return {
      name: place.name,
      // Since when this gateway keeps the bucket: it must not change with every start.
      createdMs: (await stat(join(journal.stateDirectory, 'buckets', stateName))).birthtimeMs,
      rules: place.layout,
      state: gate ? new GatedState(open.state, gate) : open.state,
      chunks: gate ? new GatedChunks(chunks, gate) : chunks,
      concern: { ...place.concern, lineHeardMs },
    };
  }
}

/** Chunks of what Gitee's branch does not name yet: pending changes, local keys, open uploads. */
async function namedIn(state: BucketState): Promise<ReadonlySet<string>> {
  const named = new Set<string>();
  for await (const { extents } of state.uploads.allParts()) for (const { oid } of extents) named.add(oid);
  for await (const { oid } of state.overlayExtents()) named.add(oid);
  return named;
}
