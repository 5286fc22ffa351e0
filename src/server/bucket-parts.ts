import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BucketChunks, type ChunkLimits } from '../chunks/bucket-chunks.js';
import type { ChunkCache } from '../chunks/cache.js';
import type { DiskBallast } from '../chunks/disk-ballast.js';
import type { LayoutRules } from '../format/tree-layout.js';
import { GitHeadRemote } from '../gitee/git/git-head-remote.js';
import { lfsEndpointUrl, LfsChunkRemote } from '../gitee/lfs/lfs-chunk-remote.js';
import type { KeyValueStore } from '../index/key-value-store.js';
import type { Downlink } from '../line/downlink.js';
import type { LineHealth } from '../line/health.js';
import type { UploadLine } from '../line/upload-line.js';
import type { BucketState } from '../journal/bucket-state.js';
import { openBucket, type OpenBucket } from '../journal/open-bucket.js';
import type { Bucket } from '../objects/bucket.js';
import type { AuditParts } from './audit-parts.js';
import type { AuthParts } from './auth-parts.js';
import type { Branches } from './branches.js';
import { UploadTable } from '../objects/upload-table.js';
import { GatedChunks, GatedState, type BucketGate } from '../objects/bucket-gate.js';
import type { BucketConfig, Config } from './config/config.js';
import { compileKeyPattern } from './config/key-pattern.js';
import type { GatewayParts } from './gateway.js';
import type { GiteeClient } from './gitee-client.js';
import type { HookParts } from './hook-parts.js';
import type { LfsParts } from './lfs-parts.js';
import type { LoginParts } from './login-parts.js';

const GRACE_MS = 24 * 3600_000;

/** What all buckets of a gateway share. */
export interface SharedParts {
  readonly config: Config;
  readonly parts: GatewayParts;
  readonly gitee: GiteeClient;
  readonly branches: Branches;
  /** One line: all buckets have the same host and account. */
  readonly line: LineHealth;
  readonly downlink: Downlink;
  /** Who sends next over the line, and how much may wait for it. */
  readonly uploads: UploadLine;
  readonly overlay: KeyValueStore;
  readonly cache: ChunkCache;
  readonly ballast: DiskBallast;
  /** See LmdbStoreOptions. */
  readonly checkLease: () => void;
  readonly lfs: LfsParts;
  readonly audit: AuditParts;
  readonly hooks: HookParts;
  /** undefined: auth is switched off. */
  readonly auth: AuthParts | undefined;
  /** undefined: auth.oauth is not set. */
  readonly login: LoginParts | undefined;
}

/** One bucket from its connection to Gitee up to what the objects layer works on. */
export interface BucketParts {
  readonly config: BucketConfig;
  readonly lfs: LfsChunkRemote;
  readonly head: GitHeadRemote;
  readonly chunks: BucketChunks;
  readonly open: OpenBucket;
  readonly bucket: Bucket;
}

/** What sets a bucket that stands in no configuration apart. */
export interface UnconfiguredBucket {
  /** See BucketPlace.stateName. */
  readonly stateName?: string;
  /** The way in, for a bucket that may be deleted. */
  readonly gate?: BucketGate;
  readonly inlineLimitBytes?: number;
}

/** Opens the state of one bucket; asks Gitee nothing. */
export async function openBucketParts(
  shared: SharedParts,
  config: BucketConfig,
  own: UnconfiguredBucket = {},
): Promise<BucketParts> {
  const { clock, failpoints, log, metrics: observer } = shared.parts;
  const common = { clock, log, observer };
  const { gitee } = shared.config;
  const [owner, name] = config.repository.split('/') as [string, string];
  const layout: LayoutRules = {
    preset: config.preset,
    registryRoot: config.registryRoot,
    inlineLimitBytes: own.inlineLimitBytes ?? shared.config.inlineLimitBytes,
    chunkSizeBytes: shared.config.chunkSizeBytes,
  };
  const stateName = own.stateName ?? config.name;
  const lfs = new LfsChunkRemote({
    ...common,
    http: shared.gitee.http,
    endpointUrl: lfsEndpointUrl(gitee.url, owner, name),
    token: shared.gitee.token,
    user: gitee.lfsUser,
    batchSizeMax: gitee.lfsBatchMax,
    apiTimeouts: shared.gitee.apiTimeouts,
    line: shared.line,
  });
  const ledger = await shared.lfs.ledger.repository(config.repository);
  ledger.askWith((asked, signal) => lfs.missing(asked, signal));
  const chunks = new BucketChunks({
    ...common,
    failpoints,
    bucket: stateName,
    directory: join(shared.config.stateDir, 'chunks'),
    cache: shared.cache,
    remote: lfs,
    downlink: shared.downlink,
    line: shared.uploads,
    isBackground: config.writeConcern === 'local',
    limits: chunkLimits(shared.config),
    ledger,
    space: shared.lfs.space,
  });
  await chunks.open();
  const { git, step } = shared.branches.of(config, stateName);
  // Others push to the branch while this one is being opened, and ask.
  const opened: { bucket?: OpenBucket } = {};
  const keyCount = () => opened.bucket?.keyCount() ?? 0;
  const head = new GitHeadRemote({ pathPrefix: config.pathPrefix, keyCount }, git);
  await shared.branches.removeUnused(stateName);
  const open = await openBucket({
    ...common,
    failpoints,
    bucket: {
      name: config.name,
      stateName,
      repository: config.repository,
      repositoryId: () => shared.gitee.repositoryId(config.repository),
      branch: config.branch,
      pathPrefix: config.pathPrefix,
      layout,
      // The barrier of a generic bucket waits for all that was written before.
      isStrictOrder: config.writeConcern === 'barrier',
    },
    stateDirectory: shared.config.stateDir,
    overlay: shared.overlay,
    chunks,
    head,
    step,
    census: await ledger.censusOf(stateName, () => shared.lfs.space.recounted()),
    timings: {
      maxAgeMs: shared.config.commit.intervalMs,
      maxChanges: shared.config.commit.maxChanges,
      pollMs: shared.config.pollIntervalMs,
    },
    onFatal: shared.parts.onFatal,
    makeRoom: () => shared.ballast.giveUp(),
    checkLease: shared.checkLease,
    admits: (bytes) => shared.ballast.admits(bytes),
  }).catch(async (error: unknown) => {
    // A bucket made at run time is tried again while the gateway runs.
    await chunks.close();
    await head.close();
    throw error;
  });
  opened.bucket = open;
  chunks.keepNamed(() => namedIn(open.state));
  return {
    config,
    lfs,
    head,
    chunks,
    open,
    bucket: {
      name: config.name,
      // Since when this gateway keeps the bucket: it must not change with every start.
      createdMs: (await stat(join(shared.config.stateDir, 'buckets', stateName))).birthtimeMs,
      rules: layout,
      state: own.gate ? new GatedState(open.state, own.gate) : open.state,
      chunks: own.gate ? new GatedChunks(chunks, own.gate) : chunks,
      concern: {
        mode: config.writeConcern,
        barrierPatterns: config.barrierPatterns.map(compileKeyPattern),
        holdMs: shared.config.barrier.holdMs,
        holdMaxMs: shared.config.barrier.holdMaxMs,
        lineHeardMs: () => shared.line.heardMs('upload', 'commit'),
        outage: shared.config.outage,
      },
    },
  };
}

/** Chunks of what Gitee's branch does not name yet: pending changes, local keys, open uploads. */
async function namedIn(state: BucketState): Promise<ReadonlySet<string>> {
  const named = new Set<string>();
  for await (const { extents } of new UploadTable(state).allParts())
    for (const { oid } of extents) named.add(oid);
  for await (const { oid } of state.overlayExtents()) named.add(oid);
  return named;
}

/** Lets go of all that openBucketParts opened. The committer has stopped, and nobody reads any more. */
export async function closeBucketParts(parts: BucketParts): Promise<void> {
  await parts.open.close();
  await parts.chunks.close();
  await parts.head.close();
}

function chunkLimits(config: Config): ChunkLimits {
  return {
    chunkSizeBytes: config.chunkSizeBytes,
    eagerFromBytes: config.eagerFromBytes,
    spoolSoftBytes: config.spoolSoftBytes,
    spoolHardBytes: config.spoolHardBytes,
    diskReserveBytes: config.diskReserveBytes,
    graceMs: GRACE_MS,
  };
}
