const WINDOW_MS = 60_000;

/** Calls a minute and caller, told in Gitee's headers. */
export class RateLimit {
  readonly #windows = new Map<string, { startMs: number; calls: number }>();

  constructor(
    private readonly limits: { anonymous: number; authenticated: number },
    private readonly now: () => number,
  ) {}

  /** Counts one call. `login` undefined: nobody in particular. */
  count(login: string | undefined): {
    headers: Record<string, string>;
    over: boolean;
    retryAfterSeconds: number;
  } {
    const nowMs = this.now();
    const limit = login === undefined ? this.limits.anonymous : this.limits.authenticated;
    const key = login ?? '';
    let window = this.#windows.get(key);
    if (!window || nowMs - window.startMs >= WINDOW_MS) {
      this.#windows.set(key, (window = { startMs: nowMs, calls: 0 }));
    }
    window.calls++;
    const resetMs = window.startMs + WINDOW_MS;
    return {
      headers: {
        'X-RateLimit-Limit': String(limit),
        'X-RateLimit-Remaining': String(Math.max(0, limit - window.calls)),
        'X-RateLimit-Reset': String(Math.ceil(resetMs / 1000)),
      },
      over: window.calls > limit,
      retryAfterSeconds: Math.ceil((resetMs - nowMs) / 1000),
    };
  }
}
