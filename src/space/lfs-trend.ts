/** How fast the LFS space fills: one figure a day, of the last week, kept over restarts. */
import { joinBytes, prefixEnd, readU64, u64, utf8 } from '../index/key-bytes.js';
import type { KeyValueStore } from '../index/key-value-store.js';

const DAY_MS = 86_400_000;
const KEPT_MS = 8 * DAY_MS;
const ROW = utf8('d');

interface Sample {
  readonly atMs: number;
  readonly usedBytes: number;
}

export class LfsTrend {
  private constructor(
    private readonly store: KeyValueStore,
    private samples: readonly Sample[],
  ) {}

  static async open(store: KeyValueStore): Promise<LfsTrend> {
    const rows = await store.page(ROW, prefixEnd(ROW), 100);
    return new LfsTrend(
      store,
      rows.map(({ key, value }) => ({ atMs: readU64(key, ROW.length), usedBytes: readU64(value, 0) })),
    );
  }

  /** Keeps the figure where the last one is a day old. */
  async note(nowMs: number, usedBytes: number): Promise<void> {
    const last = this.samples.at(-1);
    if (last && nowMs - last.atMs < DAY_MS) return;
    await this.#keep([...this.samples.filter((s) => nowMs - s.atMs < KEPT_MS), { atMs: nowMs, usedBytes }]);
  }

  /** Forgets what was: bytes that a count of the branch has found are no growth. */
  async restart(nowMs: number, usedBytes: number): Promise<void> {
    await this.#keep([{ atMs: nowMs, usedBytes }]);
  }

  /** Over the days that are known; undefined before there is a whole one. */
  bytesPerDay(nowMs: number, usedBytes: number): number | undefined {
    const [first] = this.samples;
    if (!first || nowMs - first.atMs < DAY_MS) return undefined;
    return ((usedBytes - first.usedBytes) * DAY_MS) / (nowMs - first.atMs);
  }

  async #keep(samples: readonly Sample[]): Promise<void> {
    const key = ({ atMs }: Sample) => joinBytes(ROW, u64(atMs));
    const gone = this.samples.filter((old) => !samples.includes(old));
    await this.store.commit(
      [],
      [
        ...gone.map((sample) => ({ key: key(sample), value: undefined })),
        ...samples.map((sample) => ({ key: key(sample), value: u64(sample.usedBytes) })),
      ],
    );
    this.samples = samples;
  }
}
