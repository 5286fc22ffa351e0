import { readFileSync } from 'node:fs';

/** Anonymous resident memory of one process, in MiB: what is not file pages (LMDB maps its file). */
export function rssAnonMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
}

/** Samples a process until stopped; the maximum counts. */
export class RssSampler {
  #maxMiB = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#timer = setInterval(() => {
      try {
        this.#maxMiB = Math.max(this.#maxMiB, rssAnonMiB(pid));
      } catch {
        // The process has ended; what was seen stands.
      }
    }, 100);
  }

  stop(): number {
    clearInterval(this.#timer);
    return Math.round(this.#maxMiB);
  }
}
