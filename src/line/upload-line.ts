/** What all buckets of a gateway share of the line to Gitee: its measured speed, who sends next, who may send us more. */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import { LineAdmission } from './admission.js';
import { EstimateFile } from './estimate-file.js';
import { LineScheduler } from './scheduler.js';
import { UplinkMeter, type KernelQueues } from './uplink.js';

export interface UploadLineDeps {
  readonly chunkSizeBytes: number;
  /** Largest bodies at once: `gitee.lfs_parallel` */
  readonly parallel: number;
  /** Bytes per second until something was measured: `uplink_initial` */
  readonly uplinkInitialBytesPerSecond: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What the kernel still has of the bytes handed to each connection; undefined where it doesn't say. */
  readonly kernelQueues?: KernelQueues;
  /** Where the estimate is kept over a restart. */
  readonly estimatePath?: string;
}

/** What is to be said of the line in words and figures. */
export interface UploadLineStatus {
  readonly uplinkBytesPerSecond: number;
  /** Bytes of buckets that somebody waits for which have not crossed the line, with pieces that are being read. */
  readonly pendingBytes: number;
  readonly budgetBytes: number;
  readonly waitingBodies: number;
  readonly oldestWaitMs: number;
}

export class UploadLine {
  readonly uplink: UplinkMeter;
  readonly scheduler: LineScheduler;
  readonly admission: LineAdmission;
  readonly #file: EstimateFile | undefined;

  constructor(
    private readonly deps: UploadLineDeps,
    file?: EstimateFile,
    kept?: number,
  ) {
    const { chunkSizeBytes, clock, metrics, parallel } = deps;
    this.#file = file;
    const initial = kept ?? deps.uplinkInitialBytesPerSecond;
    this.uplink = new UplinkMeter(initial, clock, deps.kernelQueues, kept !== undefined);
    this.scheduler = new LineScheduler({ uplink: this.uplink, parallel, chunkSizeBytes, clock });
    this.admission = new LineAdmission({ chunkSizeBytes, uplink: this.uplink, clock, metrics });
  }

  /** With the estimate of the run before, where there is one. */
  static async open(deps: UploadLineDeps): Promise<UploadLine> {
    const { clock, estimatePath, log } = deps;
    if (estimatePath === undefined) return new UploadLine(deps);
    const file = new EstimateFile(estimatePath, clock, log);
    const line = new UploadLine(deps, file, await file.read());
    file.start(() => line.uplink.bytesPerSecond);
    return line;
  }

  status(): UploadLineStatus {
    const { budgetBytes, grantedBytes, unsentBytes, waiting, waitingSinceMs } = this.admission.status();
    return {
      uplinkBytesPerSecond: this.uplink.bytesPerSecond,
      pendingBytes: unsentBytes + grantedBytes,
      budgetBytes,
      waitingBodies: waiting,
      oldestWaitMs: waitingSinceMs === undefined ? 0 : this.deps.clock.steadyMs() - waitingSinceMs,
    };
  }

  /** The gateway stops: who waits is told to come back, who comes as well. */
  stopTaking(): void {
    this.admission.close();
  }

  /** The buckets are closed before. */
  async close(): Promise<void> {
    this.admission.close();
    this.scheduler.close();
    await this.#file?.close();
  }
}
