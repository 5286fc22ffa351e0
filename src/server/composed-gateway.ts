/** A gateway that was put together: what it listens to, and what operators ask of it. */
import type { AccountAdmin } from '../auth/accounts/account-admin.js';
import { byOperator } from '../async/audit.js';
import { BucketQuarantine } from '../buckets/bucket-quarantine.js';
import type { BucketParts } from '../buckets/parts.js';
import type { QuarantineAdmin } from '../buckets/quarantine.js';
import type { RunTimeBucketSet } from '../buckets/run-time-buckets.js';
import type { LfsSpaceStatus } from '../space/lfs-space.js';
import type { AcceptPreview } from '../journal/accept-preview.js';
import type { BucketStatus } from '../journal/bucket-state.js';
import type { UploadLineStatus } from '../line/upload-line.js';
import type { NotificationAdmin } from '../notifications/notifier.js';
import { Buckets } from '../objects/bucket.js';
import { Housekeeping } from '../objects/housekeeping.js';
import { ObjectService } from '../objects/object-service.js';
import { createS3App } from '../s3/endpoint.js';
import { ConfiguredKeys } from './access-keys.js';
import type { GatewayComponents } from './components.js';
import { ConfiguredBuckets } from './configured-buckets.js';
import { doctor } from './doctor.js';
import { fsck } from './fsck.js';
import { Gauges } from './gauges.js';
import type {
  FsckOptions,
  FsckStep,
  Gateway,
  ListenAddress,
  LocalSpace,
  ProbeResult,
  Problem,
} from './gateway.js';
import { HealthServer } from './health.js';
import type { Opened } from './opened.js';
import { bucketProblems, gatewayProblems } from './problems.js';
import { registryFailureRouter } from './registry-failure-router.js';
import type { RegistryConditions } from './registry-failure.js';
import { s3Audit } from './s3-audit.js';
import { S3Listener } from './s3-listener.js';
import { VERSION } from './version.js';
import { webAccessLog } from './web-access-log.js';
import { WebListener } from './web-listener.js';
import { webRouters } from './web-routers.js';

const HOUSEKEEPING_MS = 15 * 60_000;
/** What a stop leaves to the committers of the time it has; the rest is for running requests. */
const COMMIT_SHARE = 0.5;

/** What a gateway consists of. */
export interface ComposedParts extends GatewayComponents {
  readonly configured: readonly BucketParts[];
  /** undefined: no buckets are made at run time. */
  readonly runTime: RunTimeBucketSet | undefined;
  /** All of it, to be closed. */
  readonly opened: Opened;
}

export class ComposedGateway implements Gateway {
  readonly #health: HealthServer;
  readonly #listener: S3Listener;
  /** undefined: nothing of it is switched on. */
  readonly #web: WebListener | undefined;
  readonly #housekeeping: Housekeeping;
  #started = false;
  #stopping: Promise<void> | undefined;

  constructor(private readonly composed: ComposedParts) {
    const { config, configured, parts, runTime } = composed;
    const { clock, log, metrics } = parts;
    const names = new Buckets(
      configured.map((b) => b.bucket),
      runTime,
    );
    const objects = new ObjectService(names, { clock, log, metrics });
    this.#housekeeping = new Housekeeping(
      names,
      objects.multipart,
      { intervalMs: HOUSEKEEPING_MS, localKeyTtlMs: config.localKeyTtlMs },
      { clock, log },
    );
    const gauges = new Gauges(composed);
    this.#health = new HealthServer({
      host: config.metrics.host,
      port: config.metrics.port,
      metrics,
      problems: () => this.problems(),
      refresh: () => gauges.refresh(this.#buckets()),
    });
    this.#listener = this.#s3Listener(objects);
    this.#web = this.#webListener();
    gauges.setLimits();
  }

  #s3Listener(objects: ObjectService): S3Listener {
    const { audit, config, parts, runTime } = this.composed;
    const { clock, log, metrics } = parts;
    const app = createS3App({
      objects,
      credentials: new ConfiguredKeys(config, runTime),
      settings: new ConfiguredBuckets(config),
      region: config.region,
      ...{ log, clock, metrics },
      trustedProxies: config.web.trustedProxies,
      onAccess: s3Audit({
        audit: audit.log,
        guarded: audit.guarded,
        registryBuckets: new Set(config.buckets.filter((b) => b.preset === 'registry').map((b) => b.name)),
      }),
      bodyIdleTimeoutMs: config.s3.bodyIdleMs,
      answerIdleTimeoutMs: config.s3.answerIdleMs,
      ...(config.s3.domain === undefined ? {} : { domain: config.s3.domain }),
    });
    return new S3Listener(app, { host: config.s3.host, port: config.s3.port });
  }

  #webListener(): WebListener | undefined {
    const { config, configured, hooks, parts, runTime } = this.composed;
    const { clock, log, metrics } = parts;
    const hooked = configured.map(({ place: { name, repository, branch }, open }) => ({
      ...{ name, repository, branch },
      hint: () => open.hint(),
    }));
    if (runTime) hooked.push(runTime.hooked());
    const routers = [...hooks.routers(hooked), ...webRouters(this.composed)];
    if (routers.length === 0) return undefined;
    const { host, port, trustedProxies } = config.web;
    const accessLog = webAccessLog({ clock, log, metrics });
    const failures = registryFailureRouter({ conditions: () => this.#registryConditions(), metrics });
    return new WebListener({
      ...{ host, port, trustedProxies, log },
      routers: [accessLog, failures, ...routers],
    });
  }

  async start(): Promise<void> {
    await this.#health.listen();
    this.composed.ballast.start();
    for (const { open } of this.composed.configured) open.start();
    this.composed.runTime?.start();
    await this.#listener.listen();
    await this.composed.hooks.start();
    await this.#web?.listen();
    this.#housekeeping.start();
    this.composed.lfs.space.start();
    this.#started = true;
    this.composed.audit.log.start();
    await this.#recordOwn('gateway.start');
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    const commitMs = this.#started ? graceMs * COMMIT_SHARE : 0;
    // Bodies that wait for the line would wait for all of the grace time, and be cut without an answer.
    this.composed.uploads.stopTaking();
    // Requests that wait for a barrier end when their commit lands, so both go on side by side.
    await Promise.all([
      this.#listener.close(graceMs),
      this.#web?.close(graceMs),
      ...this.composed.configured.map(({ open }) => open.stop(commitMs)),
      this.composed.runTime?.stop(commitMs),
    ]);
    if (this.#started) await this.#housekeeping.stop();
    if (this.#started) await this.#recordOwn('gateway.stop');
    await this.composed.opened.closeAll();
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
    return [...this.composed.configured, ...(this.composed.runTime?.parts() ?? [])];
  }

  statuses(): BucketStatus[] {
    return this.#buckets().map(({ open }) => open.state.status());
  }

  uploadLine(): UploadLineStatus {
    return this.composed.uploads.status();
  }

  lfsSpace(): LfsSpaceStatus {
    return this.composed.lfs.space.status();
  }

  localSpace(): LocalSpace {
    const { cache } = this.composed;
    return {
      unsentBytes: this.#buckets().reduce((sum, { chunks }) => sum + chunks.stats().unsentBytes, 0),
      graceBytes: cache.graceBytes,
      graceMaxBytes: cache.graceMaxBytes,
      cacheBytes: cache.sizeBytes,
      cacheMaxBytes: cache.maxBytes,
    };
  }

  problems(): Problem[] {
    const { lfs, runTime } = this.composed;
    const problems: Problem[] = [];
    if (this.#stopping) problems.push({ name: 'stopping', detail: 'the gateway stops' });
    else if (!this.#started) problems.push({ name: 'starting', detail: 'the gateway starts' });
    for (const one of this.#buckets()) problems.push(...bucketProblems(one, lfs));
    problems.push(...(runTime?.problems() ?? []), ...gatewayProblems(this.composed));
    return problems;
  }

  /** What stands in the way of a registry. */
  #registryConditions(): RegistryConditions {
    const { configured, line, parts } = this.composed;
    const buckets = configured.filter(({ place }) => place.layout.preset === 'registry');
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
    return byOperator(this.composed.audit.log, 'gateway.reload', '', () => this.#reload());
  }

  async #reload(): Promise<void> {
    for (const secret of this.composed.config.secrets) {
      if (await secret.refresh()) this.composed.parts.redactor.register(secret.reveal());
    }
    this.composed.line.forget();
    for (const { chunks, open } of this.#buckets()) {
      chunks.kick();
      open.kick();
    }
  }

  fsck(options: FsckOptions): AsyncGenerator<FsckStep> {
    const { audit, lfs } = this.composed;
    return fsck(this.#chosen(options.bucket), options, { audit: audit.log, ledger: lfs.ledger });
  }

  async rebuild(bucket: string): Promise<{ keys: number; seconds: number; head: string | null }> {
    const [{ open }] = this.#chosen(bucket) as [BucketParts];
    const { clock } = this.composed.parts;
    const startedMs = clock.steadyMs();
    await byOperator(this.composed.audit.log, 'bucket.rebuild', bucket, () => open.rebuild());
    return {
      keys: open.keyCount(),
      seconds: (clock.steadyMs() - startedMs) / 1000,
      head: open.state.status().head,
    };
  }

  async acceptRemote(bucket: string): Promise<{ previousHead: string | null; head: string | null }> {
    const [{ open }] = this.#chosen(bucket) as [BucketParts];
    const previousHead = open.state.status().head;
    await byOperator(this.composed.audit.log, 'bucket.accept-remote', bucket, () => open.acceptRemote());
    return { previousHead, head: open.state.status().head };
  }

  previewAccept(bucket: string): Promise<AcceptPreview> {
    const [{ open }] = this.#chosen(bucket) as [BucketParts];
    return open.previewAccept();
  }

  quarantine(): QuarantineAdmin {
    return new BucketQuarantine((bucket) => this.#chosen(bucket), this.composed.audit.log);
  }

  accounts(): AccountAdmin | undefined {
    return this.composed.auth?.admin;
  }

  notifications(): NotificationAdmin {
    return this.composed.hooks.admin();
  }

  doctor(): Promise<ProbeResult[]> {
    return doctor(this.composed);
  }

  #chosen(bucket: string | undefined): readonly BucketParts[] {
    if (bucket === undefined) return this.#buckets();
    const one = this.#buckets().find((b) => b.bucket.name === bucket);
    if (!one) throw new RangeError(`there is no bucket ${bucket}`);
    return [one];
  }

  #recordOwn(action: 'gateway.start' | 'gateway.stop'): Promise<void> {
    const detail = { version: VERSION, pid: process.pid };
    return this.composed.audit.log.record({
      ...{ who: 'gateway', action, subject: '', from: 'local', result: 'ok' as const },
      detail,
    });
  }
}
