/** Counters of one repository since the program started. */
export interface RepositoryCounters {
  /** Pushes that moved at least one ref. */
  pushes: number;
  batchCalls: number;
  /** Objects received and kept (a repeated one counts again). */
  uploads: number;
  uploadedBytes: number;
  downloads: number;
  downloadedBytes: number;
  verifyCalls: number;
  /** Gitee tokens that reached the LFS data port. */
  tokenLeaks: number;
}

export interface TokenLeak {
  readonly atMs: number;
  readonly method: string;
  readonly path: string;
  readonly repo: string | undefined;
}

/** What tests ask afterwards. In memory only: a restart begins at zero. */
export class Statistics {
  readonly #repositories = new Map<number, RepositoryCounters>();
  readonly tokenLeaks: TokenLeak[] = [];
  apiCalls = 0;

  of(repositoryId: number): RepositoryCounters {
    let counters = this.#repositories.get(repositoryId);
    if (!counters) {
      counters = {
        pushes: 0,
        batchCalls: 0,
        uploads: 0,
        uploadedBytes: 0,
        downloads: 0,
        downloadedBytes: 0,
        verifyCalls: 0,
        tokenLeaks: 0,
      };
      this.#repositories.set(repositoryId, counters);
    }
    return counters;
  }

  /** Keeps the first thousand with their place; the counter goes on. */
  leak(leak: TokenLeak, repositoryId: number | undefined): void {
    if (repositoryId !== undefined) this.of(repositoryId).tokenLeaks++;
    if (this.tokenLeaks.length < 1000) this.tokenLeaks.push(leak);
  }
}
