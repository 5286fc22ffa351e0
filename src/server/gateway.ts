/**
 * What a composed gateway offers to the programs around it (serve, the control socket, the CLI). Implemented by
 * src/server/compose.ts; nothing else knows how the layers are put together.
 */
import type { UploadLineStatus } from '../line/upload-line.js';
import type { Clock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import type { Log } from '../async/log.js';
import type { AccountAdmin } from '../auth/accounts/account-admin.js';
import type { LfsSpaceStatus } from '../space/lfs-space.js';
import type { AcceptPreview } from '../journal/accept-preview.js';
import type { BucketStatus } from '../journal/bucket-state.js';
import type { NotificationAdmin } from '../notifications/notifier.js';
import type { Config } from './config/config.js';
import type { Redactor } from './logging/redact.js';
import type { PrometheusMetrics } from './metrics.js';
import type { QuarantineAdmin } from '../buckets/quarantine.js';

/** What composition gets from outside. */
export interface GatewayParts {
  readonly log: Log;
  /** Also the Metrics of every component. */
  readonly metrics: PrometheusMetrics;
  /** Register every secret here as soon as it is known (after a reload too). */
  readonly redactor: Redactor;
  readonly clock: Clock;
  readonly failpoints: Failpoints;
  /** A broken invariant: stop the process, a restart recovers. */
  readonly onFatal: (error: unknown) => void;
  /** Another process has taken over the state: end without touching it. */
  readonly onLeaseLost: (error: unknown) => void;
}

/**
 * Opens the state (takes the lease on `state_dir`) without asking Gitee anything: a gateway with a wrong token
 * composes, so that status and doctor can say so. Rejects with LeaseHeldError where another process has it.
 */
export type Compose = (config: Config, parts: GatewayParts) => Promise<Gateway>;

/** One thing that is not as it should be, in words for an operator. */
export interface Problem {
  /** Stable name: `gitee`, `bucket:<name>`, `disk`, `starting`, … */
  readonly name: string;
  /** Which setting, which limit, what to do. */
  readonly detail: string;
  /** The gateway is worth asking all the same: Gitee gives no answer, and what is here is served. */
  readonly keepsReady?: true;
}

/** Whether requests should come here. */
export function isReady(problems: readonly Problem[]): boolean {
  return problems.every(({ keepsReady }) => keepsReady === true);
}

/** One answer of `doctor`. */
export interface ProbeResult {
  /** What was asked, e.g. `token`, `repository acme/images`, `lfs acme/images`, `clock`. */
  readonly name: string;
  /** `unknown`: could not be found out, which is no failure. */
  readonly verdict: 'ok' | 'warning' | 'failed' | 'unknown';
  /** A plain sentence. */
  readonly answer: string;
  /** What to do about it, where there is something. */
  readonly nextStep?: string;
}

export interface FsckOptions {
  /** Also hash every chunk on this disk, and read the branch's tree again. */
  readonly deep: boolean;
  /** Send again what Gitee has lost and is here. */
  readonly repair?: boolean;
  readonly bucket?: string;
}

/** One named step of `fsck`. */
export interface FsckStep {
  readonly step: string;
  readonly figures: Readonly<Record<string, number>>;
  /** Sentences; empty: clean. */
  readonly problems: readonly string[];
}

/** Bytes of chunks on this disk: only here; on Gitee, and kept for a day after that; for reading. */
export interface LocalSpace {
  readonly unsentBytes: number;
  readonly graceBytes: number;
  readonly graceMaxBytes: number;
  readonly cacheBytes: number;
  readonly cacheMaxBytes: number;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface Gateway {
  /**
   * Listens on the metrics address first (so that /readyz answers during a long rebuild), then on the S3 address,
   * and starts committers and polls. Resolves when both listen; it does not wait for Gitee.
   */
  start(): Promise<void>;
  /**
   * Stops taking requests, lets running ones and a running commit finish for at most graceMs, cuts the rest,
   * closes the state. Idempotent. Nothing acknowledged depends on it.
   */
  stop(graceMs: number): Promise<void>;
  /** @throws Error before start(). */
  s3Address(): ListenAddress;
  /** @throws Error before start(). */
  metricsAddress(): ListenAddress;
  /** undefined where nothing of `web` is switched on. @throws Error before start(). */
  webAddress(): ListenAddress | undefined;
  statuses(): BucketStatus[];
  /** What Gitee keeps for this gateway, and how much that may be. */
  /** Uploads to Gitee: how fast, what waits, what is held up. */
  uploadLine(): UploadLineStatus;
  lfsSpace(): LfsSpaceStatus;
  /** What chunks take on this disk. */
  localSpace(): LocalSpace;
  /** Empty: all is well; see isReady. */
  problems(): Problem[];
  /** SIGHUP: reads the `_FILE` secrets again and lets paused committers try at once. */
  reload(): Promise<void>;
  /** Steps in order, over one bucket or all. */
  fsck(options: FsckOptions): AsyncIterable<FsckStep>;
  /** Builds the base index anew from Gitee alone, beside the old one, and swaps it in. */
  rebuild(bucket: string): Promise<{ keys: number; seconds: number; head: string | null }>;
  /** Takes a frozen bucket's remote head as the truth; the old head stays under refs/gateway/keep/. */
  acceptRemote(bucket: string): Promise<{ previousHead: string | null; head: string | null }>;
  /** What acceptRemote would do; it asks Gitee for the branch, and changes nothing. */
  previewAccept(bucket: string): Promise<AcceptPreview>;
  /** Robots and sessions; undefined where auth is switched off. */
  accounts(): AccountAdmin | undefined;
  /** @throws Error where notifications are switched off. */
  notifications(): NotificationAdmin;
  /** Changes that Gitee does not take. */
  quarantine(): QuarantineAdmin;
  /** The read-only probes; never throws for what Gitee answers. */
  doctor(): Promise<ProbeResult[]>;
}
