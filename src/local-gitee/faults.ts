import { z } from 'zod';
import type { Exchange } from './exchange.js';

/** Every fault that can be asked for. docs/local-gitee.md says what each does; a test checks both ways. */
export const FAULT_NAMES = [
  'git-refuse-push',
  'git-stall',
  'git-stall-info-refs',
  'git-stall-receive-pack',
  'git-cut-mid-body',
  'git-lose-after-accept',
  'git-late-push',
  'git-slow-after-push',
  'git-move-branch-before-push',
  'git-lagging-copy',
  'git-garbage',
  'git-hook-refuse',
  'git-ge007',
  'lfs-stall',
  'lfs-batch-status',
  'lfs-batch-garbage',
  'lfs-object-status',
  'lfs-upload-status',
  'lfs-upload-cut',
  'lfs-upload-slow',
  'lfs-upload-lose-after-accept',
  'lfs-download-status',
  'lfs-download-cut',
  'lfs-download-corrupt',
  'lfs-download-slow',
  'lfs-no-range',
  'lfs-link-expired',
  'lfs-quota-full',
  'lfs-no-verify',
  'lfs-verify-status',
  'lfs-present-with-download-action',
  'lfs-forget',
  'lfs-chunked-header',
  'api-status',
  'api-stall',
  'rate-limit',
] as const;
export type FaultName = (typeof FAULT_NAMES)[number];

export const faultSchema = z.strictObject({
  name: z.enum(FAULT_NAMES),
  match: z
    .strictObject({
      /** owner/name */
      repo: z.string().optional(),
      oid: z.string().optional(),
    })
    .optional(),
  /** How many requests it meets; without it, all until it is cleared. */
  count: z.number().int().positive().optional(),
  /** Of the requests that it could meet, each so-manieth only. */
  every: z.number().int().positive().optional(),
  afterBytes: z.number().int().nonnegative().optional(),
  ms: z.number().nonnegative().optional(),
  status: z.number().int().min(400).max(599).optional(),
  retryAfterSeconds: z.number().nonnegative().optional(),
  text: z.string().optional(),
  branch: z.string().optional(),
});
export type FaultSpec = z.infer<typeof faultSchema>;

interface Standing {
  readonly id: number;
  readonly spec: FaultSpec;
  left: number;
  hits: number;
  /** Requests that it could have met. */
  seen: number;
}

/** The faults in force, and the connections they hold. */
export class Faults {
  #standing: Standing[] = [];
  #nextId = 1;
  readonly #held = new Map<Exchange, number>();

  add(spec: FaultSpec): number {
    const id = this.#nextId++;
    this.#standing.push({ id, spec, left: spec.count ?? Infinity, hits: 0, seen: 0 });
    return id;
  }

  /** Ends all faults, or those of one name, and closes every connection that they hold. */
  clear(name?: string): void {
    const gone = this.#standing.filter((f) => name === undefined || f.spec.name === name);
    this.#standing = this.#standing.filter((f) => !gone.includes(f));
    const ids = new Set(gone.map((f) => f.id));
    for (const [exchange, id] of this.#held) {
      if (!ids.has(id)) continue;
      this.#held.delete(exchange);
      exchange.cut();
    }
  }

  /** The oldest fault of this name that meets the request; one use of it is then gone. */
  take(name: FaultName, target: { repo?: string; oid?: string }): FaultSpec | undefined {
    return this.#take(name, target)?.spec;
  }

  /** As `take`; where one is met the connection is held, unanswered, until the fault is cleared. */
  stall(name: FaultName, target: { repo?: string; oid?: string }, exchange: Exchange): boolean {
    const fault = this.#take(name, target);
    if (!fault) return false;
    this.#held.set(exchange, fault.id);
    exchange.response.once('close', () => this.#held.delete(exchange));
    // Otherwise a client with a body larger than the socket's buffers would hang in sending instead.
    exchange.request.resume();
    return true;
  }

  list(): { id: number; name: FaultName; hits: number; left: number | null }[] {
    return this.#standing.map((f) => ({
      id: f.id,
      name: f.spec.name,
      hits: f.hits,
      left: f.left === Infinity ? null : f.left,
    }));
  }

  get heldConnections(): number {
    return this.#held.size;
  }

  #take(name: FaultName, target: { repo?: string; oid?: string }): Standing | undefined {
    const fault = this.#standing.find(
      ({ spec, left }) =>
        spec.name === name &&
        left > 0 &&
        (spec.match?.repo === undefined || spec.match.repo === target.repo) &&
        (spec.match?.oid === undefined || spec.match.oid === target.oid),
    );
    if (!fault) return undefined;
    fault.seen++;
    if (fault.seen % (fault.spec.every ?? 1) !== 0) return undefined;
    fault.left--;
    fault.hits++;
    return fault;
  }
}

/** `Retry-After` as the fault asks for it. */
export function retryAfter(spec: FaultSpec): Record<string, string> {
  return spec.retryAfterSeconds === undefined ? {} : { 'Retry-After': String(spec.retryAfterSeconds) };
}
