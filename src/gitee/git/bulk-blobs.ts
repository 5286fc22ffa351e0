import { BatchOutput } from './batch-output.js';
import { LocalDamageError } from './failures.js';
import type { GitProgram } from './git-process.js';
import { splitRecords } from './record-streams.js';

/**
 * Questions in flight between the size pass and the content pass. More than git's output buffer (4 KiB) holds
 * answers for, or both would wait for each other: an answer has at least 47 bytes.
 */
const IN_FLIGHT_MAX = 4_096;

/**
 * Contents of many blobs, in order; null where one is larger than `maxBytes`, which is then not read. Two
 * processes with `--buffer` (7 s for a million keys): one tells the sizes, the other reads what fits. Memory is
 * bounded by the pipes, the questions in flight and one blob.
 * @throws LocalDamageError where a blob is missing.
 */
export async function* readBlobs(
  program: GitProgram,
  ids: AsyncIterable<string> | Iterable<string>,
  maxBytes: number,
): AsyncGenerator<Uint8Array | null, void, undefined> {
  const rest = lines(ids);
  try {
    const first = await rest.next();
    // An empty bucket needs no program.
    if (!first.done) yield* readLines(program, first.value, rest, maxBytes);
  } finally {
    // Not waited for: whoever tells the ids may have none for long.
    void rest.return(undefined).catch(() => {});
  }
}

async function* readLines(
  program: GitProgram,
  first: string,
  rest: AsyncIterable<string>,
  maxBytes: number,
): AsyncGenerator<Uint8Array | null, void, undefined> {
  // Ends both processes however the loop is left, even while the ids keep us waiting.
  const left = new AbortController();
  const { signal } = left;
  const input = (async function* () {
    yield first;
    yield* rest;
  })();
  const sizes = splitRecords(
    program.stream(['cat-file', '--batch-check', '--buffer'], { input, signal }),
    0x0a,
  );
  const verdicts = new Verdicts();
  const fitting = async function* (): AsyncGenerator<string> {
    try {
      for await (const line of sizes) {
        const match = /^([0-9a-f]{40}) blob (\d+)$/.exec(line.toString('latin1'));
        if (!match) throw new LocalDamageError(`no blob: ${JSON.stringify(line.toString('latin1', 0, 100))}`);
        const fits = Number(match[2]) <= maxBytes;
        await verdicts.push(fits);
        if (fits) yield `${match[1]}\n`;
      }
      verdicts.end();
    } catch (e) {
      verdicts.fail(e);
      throw e;
    }
  };
  const contents = bodies(program.stream(['cat-file', '--batch', '--buffer'], { input: fitting(), signal }));
  // The content pass starts with the first call of next(); its input then feeds the verdicts.
  let next = contents.next();
  next.catch(() => {});
  try {
    for (;;) {
      const fits = await verdicts.shift();
      if (fits === undefined) break;
      if (!fits) {
        yield null;
        continue;
      }
      const item = await next;
      if (item.done) throw new LocalDamageError('cat-file ended before it had told every blob');
      next = contents.next();
      next.catch(() => {});
      yield item.value;
    }
    await next;
  } finally {
    const reason = new Error('nobody reads the blobs any more');
    verdicts.fail(reason);
    left.abort(reason);
    await Promise.allSettled([contents.return(), sizes.return()]);
  }
}

async function* lines(ids: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string> {
  for await (const id of ids) yield `${id}\n`;
}

async function* bodies(output: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array, void, undefined> {
  const parser = new BatchOutput();
  for await (const chunk of output)
    for (const answer of parser.push(chunk)) {
      if (answer instanceof Error) throw answer;
      yield answer.body;
    }
}

/** Which of the blobs asked for fit, in order: a bounded queue with one writer and one reader. */
class Verdicts {
  readonly #queue: boolean[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void)[] = [];

  async push(fits: boolean): Promise<void> {
    while (this.#queue.length >= IN_FLIGHT_MAX && !this.#error) await this.#change();
    if (this.#error) throw this.#error;
    this.#queue.push(fits);
    this.#changed();
  }

  end(): void {
    this.#ended = true;
    this.#changed();
  }

  fail(error: unknown): void {
    this.#error ??= error as Error;
    this.#changed();
  }

  async shift(): Promise<boolean | undefined> {
    for (;;) {
      if (this.#error) throw this.#error;
      const fits = this.#queue.shift();
      if (fits !== undefined) {
        this.#changed();
        return fits;
      }
      if (this.#ended) return undefined;
      await this.#change();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
