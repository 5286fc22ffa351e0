/**
 * `POST /alerts`: takes alerts from Alertmanager and tells them to people. Alertmanager keeps what is not taken and
 * sends it again, so nothing is kept here: an answer of 2xx means that every target has it.
 */
import { createHash } from 'node:crypto';
import express, { type RequestHandler } from 'express';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';
import { linkedDeadline } from '../async/deadline.js';
import type { Log } from '../async/log.js';
import { alertNote } from './alert-note.js';
import { readAlertGroup } from './alert-payload.js';
import { isBearer } from './bearer.js';
import { messageOf, type Note, type Target } from './message.js';
import { send, type SenderOptions } from './sender.js';
import type { Verdict } from './verdict.js';

export interface AlertBridgeDeps {
  readonly targets: readonly Target[];
  /** Asked for at each request: it may be rotated. */
  readonly token: () => string;
  /** Where docs/ is to be read; '' where nowhere. */
  readonly docsUrl: string;
  readonly sender: SenderOptions;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborted at the end of the process. */
  readonly signal: AbortSignal;
}

const BODY_MAX = '4mb';
const ATTEMPTS = 3;
const WAIT_BASE_MS = 500;
/** Alertmanager gives an attempt up after ten seconds at the earliest, whatever its intervals. */
const ANSWER_WITHIN_MS = 9000;
/** Group after group for at most as many deliveries that reached some targets only. */
const PARTLY_MAX = 1000;
const PARTLY_MS = 3600_000;

/** Serves `/alerts`, and `/healthz` for a supervisor. */
export function alertBridge(deps: AlertBridgeDeps): RequestHandler {
  const delivery = new AlertDelivery(deps);
  const router = express.Router();
  router.get('/healthz', (_request, response) => void response.json({ status: 'ok' }));
  // The token comes first: nothing of a stranger's body is read.
  router.post('/alerts', (request, response, next) => {
    if (isBearer(request.get('authorization'), deps.token())) return next();
    deps.log.warn('alerts with a wrong token or none were refused', { from: request.ip });
    response.status(401).set('WWW-Authenticate', 'Bearer').json({ error: 'the token is wrong or missing' });
  });
  router.post('/alerts', express.raw({ type: () => true, limit: BODY_MAX }), async (request, response) => {
    const body: unknown = request.body;
    const group = Buffer.isBuffer(body) ? readAlertGroup(body) : undefined;
    if (!group || !Buffer.isBuffer(body)) {
      deps.log.warn('this is no payload of Alertmanager, version 4');
      response.status(400).json({ error: 'this is no payload of Alertmanager, version 4' });
      return;
    }
    if (group.alerts.length === 0) return void response.json({ delivered: [] });
    const id = createHash('sha256').update(body).digest('hex').slice(0, 32);
    const { delivered, failed } = await delivery.deliver(alertNote(group, id, deps.docsUrl));
    // 5xx: Alertmanager tries again. A robot that refuses this very message would only be asked in vain: 422.
    const mayWork = failed.some(({ verdict }) => verdict.kind === 'retry');
    response.status(failed.length === 0 ? 200 : mayWork ? 502 : 422).json({
      delivered,
      ...(failed.length === 0
        ? {}
        : { failed: failed.map(({ target, verdict }) => ({ target, reason: reasonOf(verdict) })) }),
    });
  });
  return router;
}

interface Outcome {
  readonly delivered: readonly string[];
  readonly failed: readonly { readonly target: string; readonly verdict: Verdict }[];
}

class AlertDelivery {
  /** Who has a note that did not reach all: when Alertmanager sends it again, they are not told twice. */
  readonly #partly = new LRUCache<string, ReadonlySet<string>>({ max: PARTLY_MAX, ttl: PARTLY_MS });

  constructor(private readonly deps: AlertBridgeDeps) {}

  async deliver(note: Note): Promise<Outcome> {
    const { log, signal, targets } = this.deps;
    const told = this.#partly.get(note.id) ?? new Set<string>();
    const deadline = linkedDeadline(ANSWER_WITHIN_MS, signal);
    const outcomes = await Promise.all(
      targets.map(async (target) => ({
        target: target.name,
        verdict: told.has(target.name) ? OK : await this.#toTarget(target, note, deadline.signal),
      })),
    );
    deadline.dispose();
    const delivered = outcomes.filter(({ verdict }) => verdict.kind === 'ok').map(({ target }) => target);
    const failed = outcomes.filter(({ verdict }) => verdict.kind !== 'ok');
    if (failed.length === 0) this.#partly.delete(note.id);
    else this.#partly.set(note.id, new Set(delivered));
    for (const { target, verdict } of failed)
      log.error('an alert was not delivered', { target, alert: note.title, reason: reasonOf(verdict) });
    if (delivered.length > 0) log.info('alert delivered', { targets: delivered, alert: note.title });
    return { delivered, failed };
  }

  /** A few attempts; what Alertmanager would wait for too long is left to its next one. */
  async #toTarget(target: Target, note: Note, signal: AbortSignal): Promise<Verdict> {
    const { clock, sender } = this.deps;
    let verdict: Verdict = { kind: 'retry', reason: `no answer within ${ANSWER_WITHIN_MS} ms` };
    try {
      for (let attempt = 1; ; attempt++) {
        const nowMs = clock.nowMs();
        verdict = await send(target, messageOf(target, note, nowMs), nowMs, sender, signal);
        if (verdict.kind !== 'retry' || attempt === ATTEMPTS) return verdict;
        await clock.sleep(Math.max(verdict.waitMs ?? 0, WAIT_BASE_MS * 2 ** (attempt - 1)), signal);
      }
    } catch {
      return verdict; // the deadline, or the end of the process: as the last attempt ended
    }
  }
}

const OK: Verdict = { kind: 'ok' };

function reasonOf(verdict: Verdict): string {
  return verdict.kind === 'ok' ? '' : verdict.reason;
}
