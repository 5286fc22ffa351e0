/** No server makes us wait longer than that in one go, whatever it says. */
const WAIT_MAX_MS = 3_600_000;

/**
 * Milliseconds that an answer asks to wait. RFC 9110 §10.2.3: Retry-After is a number of seconds or a date. A 429
 * without it: X-RateLimit-Reset, in unix seconds (docs/facts/gitee.md §1.1). undefined where neither says anything.
 */
export function retryAfterMs(
  status: number,
  headers: Readonly<Record<string, string>>,
  nowMs: number,
): number | undefined {
  const given = headers['retry-after']?.trim();
  if (given !== undefined && given !== '') {
    const waitMs = /^\d+(\.\d+)?$/.test(given) ? Number(given) * 1000 : Date.parse(given) - nowMs;
    if (!Number.isNaN(waitMs)) return bounded(waitMs);
  }
  const reset = headers['x-ratelimit-reset']?.trim();
  if (status === 429 && reset !== undefined && /^\d+$/.test(reset))
    return bounded(Number(reset) * 1000 - nowMs);
  return undefined;
}

function bounded(ms: number): number {
  return Math.max(0, Math.min(ms, WAIT_MAX_MS));
}
