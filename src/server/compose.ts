/** Puts the layers together; nothing else but src/cli builds things. */
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { AccountAdmin } from '../auth/accounts/account-admin.js';
import { ChunkCache } from '../chunks/cache.js';
import { DiskBallast } from '../chunks/disk-ballast.js';
import { freeBytesOfDisk } from '../chunks/disk-reserve.js';
import type { LfsSpaceStatus } from '../chunks/lfs-space.js';
import { RemoteError } from '../gitee/errors.js';
import { LmdbStore, type LmdbStoreOptions } from '../index/lmdb-store.js';
import type { AcceptPreview } from '../journal/accept-preview.js';
import type { BucketStatus } from '../journal/bucket-state.js';
import { StorageError } from '../index/errors.js';
import { FileLease } from '../journal/state-lock.js';
import { Downlink } from '../line/downlink.js';
import { LineHealth } from '../line/health.js';
import { UploadLine, type UploadLineStatus } from '../line/upload-line.js';
import type { NotificationAdmin } from '../notifications/notifier.js';
import { Buckets } from '../objects/bucket.js';
import { Housekeeping } from '../objects/housekeeping.js';
import { ObjectService } from '../objects/object-service.js';
import { createS3App } from '../s3/endpoint.js';
import { ConfiguredKeys } from './access-keys.js';
import { AuditParts, byOperator } from './audit-parts.js';
import { noGrants, openAuth } from './auth-parts.js';
import { Branches } from './branches.js';
import { closeBucketParts, openBucketParts, type BucketParts, type SharedParts } from './bucket-parts.js';
import { BucketQuarantine } from './bucket-quarantine.js';
import type { Config } from './config/config.js';
import { ConfiguredBuckets } from './configured-buckets.js';
import { doctor } from './doctor.js';
import type {
  Compose,
  FsckOptions,
  FsckStep,
  Gateway,
  ListenAddress,
  LocalSpace,
  ProbeResult,
  Problem,
} from './gateway.js';
import { GiteeClient } from './gitee-client.js';
import { HealthServer } from './health.js';
import { HookParts } from './hook-parts.js';
import { LfsParts } from './lfs-parts.js';
import { LoginParts } from './login-parts.js';
import type { QuarantineAdmin } from './quarantine.js';
import { s3Audit } from './s3-audit.js';
import { registryFailureRouter } from './registry-failure-router.js';
import type { RegistryConditions } from './registry-failure.js';
import { RunTimeBucketSet } from './run-time-buckets.js';
import { S3Listener } from './s3-listener.js';
import { VERSION } from './version.js';
import { webAccessLog } from './web-access-log.js';
import { WebListener } from './web-listener.js';
import { webRouters } from './web-routers.js';

const HOUSEKEEPING_MS = 15 * 60_000;
/** What a stop leaves to the committers of the time it has; the rest is for running requests. */
const COMMIT_SHARE = 0.5;

/** Opens everything and starts nothing. */
export const compose: Compose = async (config, parts) => {
  const lease = new FileLease(config.stateDir, parts.clock, parts.onLeaseLost);
  await lease.acquire();
  const opened: (() => Promise<void>)[] = [() => lease.release()];
  try {
    // First, so that it is closed last.
    const audit = await AuditParts.open(config, parts, lease);
    opened.push(() => audit.close());
    const ballast = new DiskBallast({
      path: join(config.stateDir, 'disk-ballast'),
      ...{ directory: config.stateDir, reserveBytes: config.diskReserveBytes, freeBytes: freeBytesOfDisk },
      ...{ clock: parts.clock, log: parts.log, observer: parts.metrics },
    });
    await ballast.open();
    opened.push(() => ballast.close());
    const checkLease = () => {
      try {
        lease.check();
      } catch (cause) {
        throw new StorageError('failed', (cause as Error).message, { cause });
      }
    };
    const stores: LmdbStoreOptions = {
      ...{ onFailed: parts.onFatal, checkLease },
      makeRoom: () => ballast.giveUp(),
    };
    const hooks = await HookParts.open(config, parts, audit, stores);
    opened.push(() => hooks.close());
    const chunkDirectory = join(config.stateDir, 'chunks');
    await mkdir(chunkDirectory, { recursive: true });
    const overlay = LmdbStore.open(join(config.stateDir, 'overlay'), stores);
    opened.push(() => overlay.close());
    const lfs = await LfsParts.open(config, parts, stores);
    opened.push(() => lfs.close());
    const gitee = await GiteeClient.open(config, parts, VERSION);
    opened.push(() => gitee.close());
    const cache = new ChunkCache({
      directory: chunkDirectory,
      ...(await diskShares(config, chunkDirectory)),
      ...{ clock: parts.clock, log: parts.log, observer: parts.metrics },
    });
    await cache.open();
    opened.push(() => cache.close());
    const login = LoginParts.of({ config, parts, gitee, audit: audit.summarised });
    const auth = await openAuth({
      ...{ config, parts, gitee, stores, audit: audit.summarised },
      grants: (store, sealer) => login?.grants(store, sealer) ?? noGrants,
    });
    if (auth) opened.push(() => auth.close());
    const line = new LineHealth(parts.clock);
    const uploads = await UploadLine.open({
      ...{ clock: parts.clock, log: parts.log, observer: parts.metrics },
      chunkSizeBytes: config.chunkSizeBytes,
      parallel: config.gitee.lfsParallel,
      uplinkInitialBytesPerSecond: config.uplinkInitialBytesPerSecond,
      kernelQueues: () => gitee.kernelQueues(),
      estimatePath: join(config.stateDir, 'uplink.json'),
    });
    opened.push(() => uploads.close());
    const downlink = new Downlink({ clock: parts.clock, health: line });
    const shared: SharedParts = {
      ...{ config, parts, gitee, line, downlink, uploads, overlay, cache, ballast, lfs },
      branches: new Branches({ config, parts, gitee, line, uploads }),
      ...{ audit, hooks, auth, login, checkLease },
    };
    const buckets: BucketParts[] = [];
    for (const bucket of config.buckets) {
      const one = await openBucketParts(shared, bucket);
      buckets.push(one);
      opened.push(() => closeBucketParts(one));
    }
    const runTime = await RunTimeBucketSet.open(shared);
    if (runTime) opened.push(() => runTime.close());
    return new ComposedGateway(shared, buckets, runTime, opened);
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
};

class ComposedGateway implements Gateway {
  readonly #health: HealthServer;
  readonly #listener: S3Listener;
  /** undefined: nothing of it is switched on. */
  readonly #web: WebListener | undefined;
  readonly #housekeeping: Housekeeping;
  #started = false;
  #stopping: Promise<void> | undefined;

  constructor(
    private readonly shared: SharedParts,
    private readonly configured: readonly BucketParts[],
    /** undefined: no buckets are made at run time. */
    private readonly runTime: RunTimeBucketSet | undefined,
    private readonly opened: readonly (() => Promise<void>)[],
  ) {
    const { config, parts } = shared;
    const { clock, log, metrics } = parts;
    const names = new Buckets(
      configured.map((b) => b.bucket),
      runTime,
    );
    const objects = new ObjectService(names, { clock, log, observer: metrics });
    this.#housekeeping = new Housekeeping(
      names,
      objects.multipart,
      { intervalMs: HOUSEKEEPING_MS, localKeyTtlMs: config.localKeyTtlMs },
      { clock, log },
    );
    this.#health = new HealthServer({
      host: config.metrics.host,
      port: config.metrics.port,
      metrics,
      problems: () => this.problems(),
      refresh: () => this.#refreshGauges(),
    });
    this.#listener = new S3Listener(
      createS3App({
        objects,
        credentials: new ConfiguredKeys(config, runTime),
        settings: new ConfiguredBuckets(config),
        region: config.region,
        ...{ log, clock, observer: metrics },
        trustedProxies: config.web.trustedProxies,
        onAccess: s3Audit({
          audit: shared.audit.log,
          guarded: shared.audit.guarded,
          registryBuckets: new Set(config.buckets.filter((b) => b.preset === 'registry').map((b) => b.name)),
        }),
        bodyIdleTimeoutMs: config.s3.bodyIdleMs,
        answerIdleTimeoutMs: config.s3.answerIdleMs,
        ...(config.s3.domain === undefined ? {} : { domain: config.s3.domain }),
      }),
      { host: config.s3.host, port: config.s3.port },
    );
    const hooked = configured.map(({ config: { name, repository, branch }, open }) => ({
      ...{ name, repository, branch },
      hint: () => open.hint(),
    }));
    if (runTime) hooked.push(runTime.hooked());
    const routers = [...shared.hooks.routers(hooked), ...webRouters(shared)];
    if (routers.length > 0) {
      const { host, port, trustedProxies } = config.web;
      const accessLog = webAccessLog({ clock, log, observer: metrics });
      const failures = registryFailureRouter({
        conditions: () => this.#registryConditions(),
        observer: metrics,
      });
      this.#web = new WebListener({
        ...{ host, port, trustedProxies, log },
        routers: [accessLog, failures, ...routers],
      });
    }
    metrics.set('gateway_lfs_quota_bytes', config.gitee.lfsQuotaBytes ?? 0);
    metrics.set('gateway_spool_limit_bytes', config.spoolSoftBytes, { limit: 'soft' });
    metrics.set('gateway_spool_limit_bytes', config.spoolHardBytes, { limit: 'hard' });
    metrics.set('gateway_disk_reserve_bytes', config.diskReserveBytes);
    metrics.set('gateway_cache_limit_bytes', shared.cache.maxBytes);
    metrics.set('gateway_spool_grace_limit_bytes', shared.cache.graceMaxBytes);
  }

  async start(): Promise<void> {
    await this.#health.listen();
    this.shared.ballast.start();
    for (const { open } of this.configured) open.start();
    this.runTime?.start();
    await this.#listener.listen();
    await this.shared.hooks.start();
    await this.#web?.listen();
    this.#housekeeping.start();
    this.shared.lfs.space.start();
    this.#started = true;
    this.shared.audit.log.start();
    await this.#recordOwn('gateway.start');
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    const commitMs = this.#started ? graceMs * COMMIT_SHARE : 0;
    // Bodies that wait for the line would wait for all of the grace time, and be cut without an answer.
    this.shared.uploads.stopTaking();
    // Requests that wait for a barrier end when their commit lands, so both go on side by side.
    await Promise.all([
      this.#listener.close(graceMs),
      this.#web?.close(graceMs),
      ...this.configured.map(({ open }) => open.stop(commitMs)),
      this.runTime?.stop(commitMs),
    ]);
    if (this.#started) await this.#housekeeping.stop();
    if (this.#started) await this.#recordOwn('gateway.stop');
    await closeAll(this.opened);
    // Whoever scrapes asks again.
    await this.#health.close(0);
  }

  s3Address(): ListenAddress {
    return this.#listener.address();
  }

  metricsAddress(): ListenAddress {
    return this.#health.address();
  }

  webAddress(): ListenAddress | undefined {
    return this.#web?.address();
  }

  /** Those of the configuration, the catalogue of the others, the others. */
  #buckets(): readonly BucketParts[] {
    return [...this.configured, ...(this.runTime?.parts() ?? [])];
  }

  statuses(): BucketStatus[] {
    return this.#buckets().map(({ open }) => open.state.status());
  }

  uploadLine(): UploadLineStatus {
    return this.shared.uploads.status();
  }

  lfsSpace(): LfsSpaceStatus {
    return this.shared.lfs.space.status();
  }

  localSpace(): LocalSpace {
    const { cache } = this.shared;
    return {
      unsentBytes: this.#buckets().reduce((sum, { chunks }) => sum + chunks.stats().unsentBytes, 0),
      graceBytes: cache.graceBytes,
      graceMaxBytes: cache.graceMaxBytes,
      cacheBytes: cache.sizeBytes,
      cacheMaxBytes: cache.maxBytes,
    };
  }

  problems(): Problem[] {
    const problems: Problem[] = [];
    if (this.#stopping) problems.push({ name: 'stopping', detail: 'the gateway stops' });
    else if (!this.#started) problems.push({ name: 'starting', detail: 'the gateway starts' });
    for (const { bucket, chunks, open } of this.#buckets()) {
      const name = `bucket:${bucket.name}`;
      const status = open.state.status();
      if (status.frozen) {
        problems.push({
          name,
          detail: `read-only: ${status.frozen.reason}. Look at the branch, then run gitee-s3 accept-remote --bucket ${bucket.name}`,
        });
      }
      const paused = status.paused ?? chunks.uploadsPausedBy;
      if (paused) {
        const advice = paused.code === 'quota-full' ? ` ${this.shared.lfs.advice()}` : '';
        problems.push({ name, detail: `${paused.code}: ${paused.message}${advice}` });
      }
      if (!status.ready && !paused)
        problems.push({ name, detail: 'the index is not there yet: the branch is being read from Gitee' });
    }
    problems.push(...(this.runTime?.problems() ?? []));
    if (this.shared.ballast.isGivenUp)
      problems.push({
        name: 'disk',
        detail: `full: reads, deletions and commits go on, other writes are refused. Free space on the disk of ${this.shared.config.stateDir}`,
        keepsReady: true,
      });
    for (const detail of this.shared.line.state.words)
      problems.push({ name: 'gitee', detail, keepsReady: true });
    return problems;
  }

  /** What stands in the way of a registry. */
  #registryConditions(): RegistryConditions {
    const { line, parts } = this.shared;
    const buckets = this.configured.filter(({ config }) => config.preset === 'registry');
    return {
      isStopping: this.#stopping !== undefined,
      buckets: buckets.map(({ chunks, open }) => {
        const { frozen, paused, ready } = open.state.status();
        const pausedBy = paused?.code ?? chunks.uploadsPausedBy?.code;
        return { isFrozen: frozen !== undefined, isReady: ready, pausedBy };
      }),
      line: line.state,
      nowMs: parts.clock.nowMs(),
    };
  }

  reload(): Promise<void> {
    return byOperator(this.shared.audit.log, 'gateway.reload', '', () => this.#reload());
  }

  async #reload(): Promise<void> {
    for (const secret of this.shared.config.secrets) {
      if (await secret.refresh()) this.shared.parts.redactor.register(secret.reveal());
    }
    this.shared.line.forget();
    for (const { chunks, open } of this.#buckets()) {
      chunks.kick();
      open.kick();
    }
  }

  async *fsck(options: FsckOptions): AsyncGenerator<FsckStep> {
    const { deep, repair = false } = options;
    const recounted = new Set<string>();
    for (const part of this.#chosen(options.bucket)) {
      const check = () => part.open.check({ deep, repair, chunkRemote: part.lfs });
      const steps = await (repair
        ? byOperator(this.shared.audit.log, 'bucket.repair', part.bucket.name, check)
        : check());
      for (const { name, figures, problems } of steps) {
        yield { step: `${part.bucket.name}: ${name}`, figures, problems };
      }
      if (!deep) continue;
      const problems: string[] = [];
      for await (const { oid, problem } of part.chunks.verifyLocal())
        problems.push(`chunk ${oid}: ${problem}`);
      yield { step: `${part.bucket.name}: local chunks`, figures: { bad: problems.length }, problems };
      const { repository } = part.config;
      if (recounted.has(repository)) continue;
      recounted.add(repository);
      const ledger = await this.shared.lfs.ledger.repository(repository);
      yield await recountStep(`${repository}: LFS objects on Gitee`, () =>
        ledger.recount((chunks, signal) => part.lfs.missing(chunks, signal)),
      );
    }
  }

  async rebuild(bucket: string): Promise<{ keys: number; seconds: number; head: string | null }> {
    const [{ open }] = this.#chosen(bucket) as [BucketParts];
    const { clock } = this.shared.parts;
    const startedMs = clock.steadyMs();
    await byOperator(this.shared.audit.log, 'bucket.rebuild', bucket, () => open.rebuild());
    return {
      keys: open.keyCount(),
      seconds: (clock.steadyMs() - startedMs) / 1000,
      head: open.state.status().head,
    };
  }

  async acceptRemote(bucket: string): Promise<{ previousHead: string | null; head: string | null }> {
    const [{ open }] = this.#chosen(bucket) as [BucketParts];
    const previousHead = open.state.status().head;
    await byOperator(this.shared.audit.log, 'bucket.accept-remote', bucket, () => open.acceptRemote());
    return { previousHead, head: open.state.status().head };
  }

  previewAccept(bucket: string): Promise<AcceptPreview> {
    const [{ open }] = this.#chosen(bucket) as [BucketParts];
    return open.previewAccept();
  }

  quarantine(): QuarantineAdmin {
    return new BucketQuarantine((bucket) => this.#chosen(bucket), this.shared.audit.log);
  }

  accounts(): AccountAdmin | undefined {
    return this.shared.auth?.admin;
  }

  notifications(): NotificationAdmin {
    return this.shared.hooks.admin();
  }

  doctor(): Promise<ProbeResult[]> {
    return doctor(this.shared);
  }

  #chosen(bucket: string | undefined): readonly BucketParts[] {
    if (bucket === undefined) return this.#buckets();
    const one = this.#buckets().find((b) => b.bucket.name === bucket);
    if (!one) throw new RangeError(`there is no bucket ${bucket}`);
    return [one];
  }

  #recordOwn(action: 'gateway.start' | 'gateway.stop'): Promise<void> {
    const detail = { version: VERSION, pid: process.pid };
    return this.shared.audit.log.record({
      ...{ who: 'gateway', action, subject: '', from: 'local', result: 'ok' as const },
      detail,
    });
  }

  async #refreshGauges(): Promise<void> {
    const { config, lfs, parts } = this.shared;
    const { metrics } = parts;
    let atRiskBytes = 0;
    for (const { chunks, open } of this.#buckets()) {
      open.state.report();
      const { pendingBytes, quarantinedBytes } = open.state.status();
      // What is sent and in no commit yet is an object that Gitee may clean up: only here is it safe.
      atRiskBytes += Math.max(chunks.stats().unsentBytes, pendingBytes + quarantinedBytes);
    }
    metrics.set('gateway_spool_bytes_at_risk', atRiskBytes);
    const pace = this.uploadLine();
    metrics.set('gateway_uplink_bytes_per_second', pace.uplinkBytesPerSecond);
    metrics.set('gateway_admission_pending_bytes', pace.pendingBytes);
    metrics.set('gateway_admission_budget_bytes', pace.budgetBytes);
    metrics.set('gateway_admission_waiting', pace.waitingBodies);
    metrics.set('gateway_admission_oldest_wait_seconds', pace.oldestWaitMs / 1000);
    this.#reportLine();
    metrics.set('gateway_lfs_used_bytes', lfs.space.status().usedBytes);
    metrics.set('gateway_disk_free_bytes', await freeBytesOfDisk(config.stateDir));
  }

  #reportLine(): void {
    const { downlink, line, parts } = this.shared;
    const { clock, metrics } = parts;
    for (const { use, isDown, sinceMs } of line.state.uses) {
      const seconds = isDown && sinceMs !== undefined ? (clock.nowMs() - sinceMs) / 1000 : 0;
      metrics.set('gateway_gitee_unanswered_seconds', seconds, { use });
    }
    metrics.set('gateway_downlink_bytes_per_second', downlink.bytesPerSecond);
    metrics.set('gateway_downloads', downlink.running, { state: 'running' });
    metrics.set('gateway_downloads', downlink.waiting, { state: 'waiting' });
  }
}

async function recountStep(step: string, recount: () => Promise<FsckStep['figures']>): Promise<FsckStep> {
  try {
    return { step, figures: await recount(), problems: [] };
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error;
    return { step, figures: {}, problems: [`could not be counted: ${error.message}`] };
  }
}

/** What was opened last is closed first; one that fails does not keep the others open. */
async function closeAll(opened: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const close of [...opened].reverse()) {
    await close().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new AggregateError(failures, 'the state could not be closed in order');
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
