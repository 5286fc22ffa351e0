/**
 * `POST /hook` and `/hook/gitee`: Gitee's word that a branch moved. A hint to look at once, never data: the
 * signature of a hook does not cover its body (src/gitee/webhook.ts).
 */
import { createHash } from 'node:crypto';
import express, { type Request, type RequestHandler, type Response } from 'express';
import { LRUCache } from 'lru-cache';
import { onAbort } from '../async/abort.js';
import type { Audit } from '../async/audit.js';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import { Semaphore } from '../async/semaphore.js';
import { readWebhook, refuseSender, type WebhookVerdict } from '../gitee/webhook.js';

/** A bucket that a push may be about. */
export interface HookedBucket {
  readonly name: string;
  /** `owner/name`. */
  readonly repository: string;
  readonly branch: string;
  readonly hint: () => void;
}

export interface WebhookDeps {
  readonly buckets: readonly HookedBucket[];
  /** Asked for at each delivery: it may be rotated. */
  readonly secret: () => string;
  readonly audit: Audit;
  /** For refusals, which anybody can cause. */
  readonly guarded: Audit;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

type Push = Extract<WebhookVerdict, { kind: 'push' }>;

/** A push of many commits with long messages; Gitee sends about ten commits of it. */
const BODY_MAX = '5mb';
/** Whoever saw one delivery can send any body for an hour: so many are in memory at once, and so many more wait. */
const BODIES_AT_ONCE = 4;
const BODIES_WAITING_MAX = 50;
const PATHS = ['/hook', '/hook/gitee'];
const REMEMBERED_MAX = 1000;
/** A branch is not looked at more often on somebody else's word. */
const HINT_EVERY_MS = 1000;

export function webhookRouter(deps: WebhookDeps): RequestHandler {
  const seen = new LRUCache<string, true>({ max: REMEMBERED_MAX });
  const hints = new Map(deps.buckets.map((bucket) => [bucket, new Debounce(bucket.hint, deps.clock)]));
  const count = (result: string) => deps.metrics.count('gateway_webhooks_total', { result });

  const commonOf = (request: Request, { locals }: Response) => ({
    from: request.ip ?? 'unknown',
    ...(typeof locals.requestId === 'string' ? { requestId: locals.requestId } : {}),
  });
  const refuse = (request: Request, response: Response, reason: string) => {
    count('refused');
    const event = { who: 'anonymous', action: 'webhook.refuse', subject: '', result: 'refused' } as const;
    void deps.guarded.record({ ...event, ...commonOf(request, response), detail: { reason } });
    response.status(reason === 'no-token' ? 401 : 403).json({ error: reason });
  };

  const bodies = new Semaphore(BODIES_AT_ONCE);
  const router = express.Router();
  router.post(PATHS, (request, response, next) => {
    // The secret comes first: nothing of a stranger's body is read.
    const refusal = refuseSender(request.headers, deps.secret(), deps.clock.nowMs());
    // A body that nobody reads must not be waited for either.
    response.set('Connection', 'close');
    if (refusal) return refuse(request, response, refusal.reason);
    if (bodies.waiting >= BODIES_WAITING_MAX) return void response.status(503).json({ error: 'too-many' });
    const over = new AbortController();
    response.once('close', () => over.abort(new Error('the delivery is over')));
    const whole = () =>
      new Promise<void>((resolve) => {
        onAbort(over.signal, () => resolve());
        response.removeHeader('Connection');
        next();
      });
    bodies.run(whole, over.signal).catch(() => {}); // it went away while it waited
  });
  router.post(
    PATHS,
    express.raw({ type: () => true, limit: BODY_MAX }),
    (request: Request, response: Response) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const verdict = readWebhook(request.headers, body);
      const common = commonOf(request, response);
      if (verdict.kind === 'refused') return refuse(request, response, verdict.reason);
      // Nothing is waited for: Gitee gives a delivery up after a few seconds and does not repeat it.
      response.status(200).json({ status: verdict.kind });
      const delivery = deliveryOf(request, body);
      if (seen.has(delivery)) return count('repeated');
      seen.set(delivery, true);
      if (verdict.kind === 'other') return count('other');
      const meant = deps.buckets.filter((bucket) => isAbout(verdict, bucket));
      count(meant.length > 0 ? 'push' : 'unrelated');
      for (const bucket of meant) {
        hints.get(bucket)?.call();
        deps.log.info('Gitee reports a push: the branch is looked at', { bucket: bucket.name });
        const event = { who: 'gitee', action: 'webhook.push', subject: bucket.name, result: 'ok' } as const;
        void deps.audit.record({ ...event, ...common, detail: { after: verdict.after ?? 'deleted' } });
      }
    },
  );
  return router;
}

/** Names at Gitee are the same in any case; where the body names no repository, every bucket of the branch is meant. */
function isAbout(push: Push, bucket: HookedBucket): boolean {
  if (push.ref !== `refs/heads/${bucket.branch}`) return false;
  const { pathWithNamespace } = push;
  return (
    pathWithNamespace === undefined || pathWithNamespace.toLowerCase() === bucket.repository.toLowerCase()
  );
}

/** The same delivery sent twice has the same time, the same token and the same body. */
function deliveryOf(request: Request, body: Buffer): string {
  const hash = createHash('sha256');
  hash.update(`${request.get('x-gitee-timestamp') ?? ''}\n${request.get('x-gitee-token') ?? ''}\n`);
  return hash.update(body).digest('base64');
}

/** Calls at once, then at most once per interval, and after the last of many. */
class Debounce {
  #nextMs = 0;
  #isWaiting = false;

  constructor(
    private readonly run: () => void,
    private readonly clock: Clock,
  ) {}

  call(): void {
    if (this.#isWaiting) return;
    const waitMs = this.#nextMs - this.clock.steadyMs();
    if (waitMs <= 0) return this.#now();
    this.#isWaiting = true;
    void this.clock.sleep(waitMs).then(() => this.#now());
  }

  #now(): void {
    this.#isWaiting = false;
    this.#nextMs = this.clock.steadyMs() + HINT_EVERY_MS;
    this.run();
  }
}
