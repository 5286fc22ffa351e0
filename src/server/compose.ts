/** Puts the layers together; nothing else but src/cli builds things. */
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Branches } from '../buckets/branches.js';
import { BucketOpener, type BucketParts } from '../buckets/parts.js';
import { RunTimeBucketSet } from '../buckets/run-time-buckets.js';
import { RunTimeState } from '../buckets/run-time-state.js';
import type { ChunkLimits } from '../chunks/bucket-chunks.js';
import { ChunkCache } from '../chunks/cache.js';
import { DiskBallast } from '../chunks/disk-ballast.js';
import { freeBytesOfDisk } from '../chunks/disk-reserve.js';
import { StorageError } from '../index/errors.js';
import type { StoreOptions } from '../index/open-store.js';
import type { ChangeLogs } from '../journal/change-log.js';
import { LmdbChangeLogs } from '../journal/lmdb-change-logs.js';
import type { Lease } from '../journal/lease.js';
import { FileLease } from '../journal/state-lock.js';
import { Downlink } from '../line/downlink.js';
import { LineHealth } from '../line/health.js';
import { UploadLine } from '../line/upload-line.js';
import { AuditParts } from './audit-parts.js';
import { noGrants, openAuth } from './auth-parts.js';
import { groupOfMade, placeByDefaults, placeOf } from './bucket-places.js';
import type { GatewayComponents } from './components.js';
import { ComposedGateway } from './composed-gateway.js';
import type { Config } from './config/config.js';
import type { Compose, GatewayParts } from './gateway.js';
import { GiteeClient } from './gitee-client.js';
import { HookParts } from './hook-parts.js';
import { LfsParts } from './lfs-parts.js';
import { LoginParts } from './login-parts.js';
import { Opened } from './opened.js';
import { VERSION } from './version.js';

/** How long a chunk stays on this disk after its commit. */
const GRACE_MS = 24 * 3600_000;

/** Opens everything and starts nothing. */
export const compose: Compose = async (config, parts) => {
  const lease = new FileLease(config.stateDir, parts.clock, parts.onLeaseLost);
  await lease.acquire();
  const opened = new Opened();
  opened.onClose(() => lease.release());
  try {
    const { components, logs, stores } = await openFoundation(config, parts, lease, opened);
    const opener = bucketOpener(components, logs, stores);
    const buckets: BucketParts[] = [];
    for (const bucket of config.buckets) buckets.push(opened.add(await opener.open(placeOf(config, bucket))));
    const runTime = await openRunTime(components, logs, opener);
    if (runTime) opened.add(runTime);
    return new ComposedGateway({ ...components, configured: buckets, runTime, opened });
  } catch (error) {
    await opened.closeAll();
    throw error;
  }
};

/** For every store of the gateway. */
type StoreGuards = Required<Pick<StoreOptions, 'onFailed' | 'checkLease' | 'makeRoom'>>;

/** What stands below the buckets. */
interface Foundation {
  readonly components: GatewayComponents;
  /** Of all buckets. */
  readonly logs: ChangeLogs;
  readonly stores: StoreGuards;
}

async function openFoundation(
  config: Config,
  parts: GatewayParts,
  lease: Lease,
  opened: Opened,
): Promise<Foundation> {
  const { clock, log, metrics } = parts;
  // First, so that it is closed last.
  const audit = opened.add(await AuditParts.open(config, parts, lease));
  const ballast = new DiskBallast({
    path: join(config.stateDir, 'disk-ballast'),
    ...{ directory: config.stateDir, reserveBytes: config.diskReserveBytes, freeBytes: freeBytesOfDisk },
    ...{ clock, log, metrics },
  });
  await ballast.open();
  opened.add(ballast);
  const stores: StoreGuards = {
    onFailed: parts.onFatal,
    checkLease: () => checkLease(lease),
    makeRoom: () => ballast.giveUp(),
  };
  const hooks = opened.add(await HookParts.open(config, parts, audit, stores));
  await mkdir(chunkDirectory(config), { recursive: true });
  const logs = opened.add(LmdbChangeLogs.openAt(join(config.stateDir, 'overlay'), stores));
  const lfs = opened.add(await LfsParts.open(config, parts, stores));
  const gitee = opened.add(await GiteeClient.open(config, parts, VERSION));
  const cache = new ChunkCache({
    directory: chunkDirectory(config),
    ...(await diskShares(config, chunkDirectory(config))),
    ...{ clock, log, metrics },
  });
  await cache.open();
  opened.add(cache);
  const around = { config, parts, gitee, audit: audit.summarised };
  const login = LoginParts.of(around);
  const auth = await openAuth({
    ...{ ...around, stores },
    grants: (store, sealer) => login?.grants(store, sealer) ?? noGrants,
  });
  if (auth) opened.add(auth);
  const line = new LineHealth(clock);
  const uploads = opened.add(await openUploads(config, parts, gitee));
  const downlink = new Downlink({ clock, health: line });
  return {
    components: {
      config,
      parts,
      gitee,
      line,
      downlink,
      uploads,
      cache,
      ballast,
      lfs,
      audit,
      hooks,
      auth,
      login,
    },
    ...{ logs, stores },
  };
}

/** @throws StorageError failed */
function checkLease(lease: Lease): void {
  try {
    lease.check();
  } catch (cause) {
    throw new StorageError('failed', (cause as Error).message, { cause });
  }
}

function openUploads(config: Config, parts: GatewayParts, gitee: GiteeClient): Promise<UploadLine> {
  return UploadLine.open({
    ...{ clock: parts.clock, log: parts.log, metrics: parts.metrics },
    chunkSizeBytes: config.chunkSizeBytes,
    parallel: config.gitee.lfsParallel,
    uplinkInitialBytesPerSecond: config.uplinkInitialBytesPerSecond,
    kernelQueues: () => gitee.kernelQueues(),
    estimatePath: join(config.stateDir, 'uplink.json'),
  });
}

/** All buckets have the same host, account, disk and line. */
function bucketOpener(components: GatewayComponents, logs: ChangeLogs, stores: StoreGuards): BucketOpener {
  const { ballast, cache, config, downlink, gitee, lfs, line, parts, uploads } = components;
  const { clock, failpoints, log, metrics } = parts;
  return new BucketOpener({
    gitee: {
      url: config.gitee.url,
      repositoryId: (repository) => gitee.repositoryId(repository),
      lfs: {
        ...{ http: gitee.http, token: gitee.token, apiTimeouts: gitee.apiTimeouts, line },
        ...{ user: config.gitee.lfsUser, batchSizeMax: config.gitee.lfsBatchMax },
        ...{ clock, log, metrics },
      },
    },
    branches: branches(components),
    ...{ ledger: lfs.ledger, space: lfs.space },
    chunks: {
      directory: chunkDirectory(config),
      limits: chunkLimits(config),
      ...{ cache, downlink, line: uploads, clock, log, metrics, failpoints },
    },
    journal: {
      stateDirectory: config.stateDir,
      timings: {
        maxAgeMs: config.commit.intervalMs,
        maxChanges: config.commit.maxChanges,
        pollMs: config.pollIntervalMs,
      },
      onFatal: parts.onFatal,
      ...{ makeRoom: stores.makeRoom, checkLease: stores.checkLease },
      admits: (bytes) => ballast.admits(bytes),
      ...{ logs, clock, log, metrics, failpoints },
    },
    lineHeardMs: () => line.heardMs('upload', 'commit'),
  });
}

function branches({ config, gitee, line, parts, uploads }: GatewayComponents): Branches {
  const { caFile, identityEmail, identityName, timeouts, url, user } = config.gitee;
  const { clock, failpoints, log, metrics } = parts;
  return new Branches({
    ...{ clock, giteeUrl: url, stateDirectory: config.stateDir },
    settings: {
      ...{ http: gitee.http, token: gitee.token, user, line, clock, log, metrics, failpoints },
      identity: { name: identityName, email: identityEmail },
      clearLine: () => uploads.scheduler.clear(),
      timeouts: { pushBaseMs: timeouts.pushMs, per100kKeysMs: timeouts.pushPer100kKeysMs },
      ...(caFile === undefined ? {} : { caFile }),
    },
  });
}

function chunkLimits(config: Config): ChunkLimits {
  const { chunkSizeBytes, eagerFromBytes, spoolSoftBytes, spoolHardBytes, diskReserveBytes } = config;
  return {
    ...{ chunkSizeBytes, eagerFromBytes, spoolSoftBytes, spoolHardBytes, diskReserveBytes },
    graceMs: GRACE_MS,
  };
}

const chunkDirectory = ({ stateDir }: Config): string => join(stateDir, 'chunks');

/** undefined: no buckets are made at run time. */
async function openRunTime(
  { config, parts }: GatewayComponents,
  logs: ChangeLogs,
  opener: BucketOpener,
): Promise<RunTimeBucketSet | undefined> {
  const group = groupOfMade(config);
  if (!group) return undefined;
  const { clock, failpoints, log, metrics } = parts;
  return RunTimeBucketSet.open({
    ...{ opener, group, clock, log, failpoints },
    files: new RunTimeState(config.stateDir, logs),
    placeOf: (where) => placeByDefaults(config, where),
    configured: new Set(config.buckets.map(({ name }) => name)),
    max: config.createBuckets.max,
    forgetMetrics: (bucket) => metrics.forgetBucket(bucket),
  });
}

/** cache.max_bytes, but at most half of the disk that it lies on; cache.grace_max_bytes, at most a quarter. */
async function diskShares(
  { cache }: Config,
  directory: string,
): Promise<{ maxBytes: number; graceMaxBytes: number }> {
  const { blocks, bsize } = await statfs(directory);
  return {
    maxBytes: Math.min(cache.maxBytes, Math.floor((blocks * bsize) / 2)),
    graceMaxBytes: Math.min(cache.graceMaxBytes, Math.floor((blocks * bsize) / 4)),
  };
}
