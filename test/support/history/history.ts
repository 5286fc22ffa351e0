/**
 * What clients asked for and were told, and whether it fits to what is there: the one judge of "an acknowledged write
 * is never lost" in the tests with faults. Per key:
 *
 * - a write that was acknowledged is there, until a later one is;
 * - one that was refused (4xx) never is;
 * - one without a word (503, a time-out, a connection that was cut) may be there or not, and then stays so;
 * - of such as were under way at the same time either may be the last;
 * - nobody reads what was not written, or what an acknowledged later write had replaced before he asked.
 *
 * Moments are counted, not measured: all clients of a test are in one process.
 */
import { createHash } from 'node:crypto';
import { ABSENT, unexplained, type Operation, type Value } from './register.js';

export { ABSENT, type Value } from './register.js';

/** What stands for these bytes. */
export function valueOf(bytes: Uint8Array | string): Value {
  return `${createHash('sha256').update(bytes).digest('hex').slice(0, 16)} (${Buffer.byteLength(bytes)} bytes)`;
}

/** What an acknowledgement promises: the change is safe on the gateway's disk, or is on Gitee. */
export type Concern = 'local' | 'remote';

/**
 * How a call ended: acknowledged; refused for good; put off, by an answer that leaves open whether it is done (5xx);
 * or without an answer.
 */
export type Outcome = 'ok' | 'refused' | 'put off' | 'no answer';

/** Of an HTTP status; undefined where there was no whole answer. */
export function outcomeOf(status: number | undefined): Outcome {
  if (status === undefined) return 'no answer';
  if (status < 400) return 'ok';
  return status < 500 ? 'refused' : 'put off';
}

interface Write {
  readonly value: Value;
  readonly concern: Concern;
  readonly calledAt: number;
  overAt: number;
  outcome: Outcome | 'under way';
}

interface Read {
  readonly value: Value;
  readonly calledAt: number;
  readonly overAt: number;
}

/** Reads a key as it stands somewhere: digest of its bytes, or ABSENT. Rejects where it can't be read. */
export type View = (key: string) => Promise<Value>;

/** A call that is under way. */
export interface Call {
  /** Of a write: how it ended. */
  ended(outcome: Outcome): void;
}

export class History {
  #now = 0;
  readonly #initial = new Map<string, Value>();
  readonly #writes = new Map<string, Write[]>();
  readonly #reads = new Map<string, Read[]>();

  /** Every key that somebody wrote, or tried to. */
  get keys(): string[] {
    return [...new Set([...this.#initial.keys(), ...this.#writes.keys()])];
  }

  /** What was there before anybody was asked for anything. */
  begins(key: string, value: Value): void {
    this.#initial.set(key, value);
  }

  /** What was there at first. */
  beginning(key: string): Value {
    return this.#initial.get(key) ?? ABSENT;
  }

  /** A write (or a deletion: of ABSENT) is called. */
  begin(key: string, value: Value, concern: Concern): Call {
    const write: Write = {
      ...{ value, concern, calledAt: (this.#now += 1), overAt: Infinity },
      outcome: 'under way',
    };
    this.#writes.set(key, [...(this.#writes.get(key) ?? []), write]);
    return {
      ended: (outcome) => {
        write.outcome = outcome;
        // Who heard nothing does not know either whether it is still being worked on.
        if (outcome !== 'no answer') write.overAt = this.#now += 1;
      },
    };
  }

  /** One write from call to answer. */
  async write(
    key: string,
    value: Value,
    concern: Concern,
    request: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const call = this.begin(key, value, concern);
    const outcome = await request();
    call.ended(outcome);
    return outcome;
  }

  /** A read is called; what is not told of its end says nothing. */
  beginRead(key: string): { saw(value: Value): void } {
    const calledAt = (this.#now += 1);
    return { saw: (value) => this.#saw(key, value, calledAt) };
  }

  /** One read from call to answer; what fails says nothing, and rejects here too. */
  async read(key: string, view: View): Promise<Value> {
    const call = this.beginRead(key);
    const value = await view(key);
    call.saw(value);
    return value;
  }

  /** The process that was asked has ended: what it did not answer comes into effect no more, if it is not by now. */
  serverEnded(): void {
    this.#now += 1;
    for (const writes of this.#writes.values())
      for (const write of writes) if (write.overAt === Infinity) write.overAt = this.#now;
  }

  /** What may stand at the key now: of its writes, and of what it was before. In no order. */
  possible(key: string, concern: Concern = 'local'): Value[] {
    const all = [
      this.#initial.get(key) ?? ABSENT,
      ...(this.#writes.get(key) ?? []).map(({ value }) => value),
    ];
    return [...new Set(all)].filter((value) => this.#disproof(key, value, concern) === undefined);
  }

  /**
   * Reads every key there and says what does not fit, a line each; none where all is well. What can't be read does
   * not fit. What the gateway showed once is a read like any other: nothing may show something older afterwards.
   * @param concern remote: of a copy of what is on Gitee, where what was acknowledged as safe here may be missing still
   * @param keys default: all that were written
   */
  async problems(
    view: View,
    concern: Concern = 'local',
    keys: Iterable<string> = this.keys,
  ): Promise<string[]> {
    const found: string[] = [];
    for (const key of keys) {
      const calledAt = (this.#now += 1);
      const read = await view(key).then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
      if ('error' in read) {
        found.push(`${key}: can't be read: ${(read.error as Error).message}\n${this.#told(key)}`);
        continue;
      }
      const problem = this.#disproof(key, read.value, concern, calledAt);
      if (problem) found.push(problem);
      else if (concern === 'local') this.#saw(key, read.value, calledAt);
    }
    return found;
  }

  /** What every client saw while the faults were there. */
  problemsOfReads(): string[] {
    return this.keys.flatMap((key) => {
      const lost = unexplained(this.#operations(key, 'local'), this.#initial.get(key) ?? ABSENT);
      return lost ? [this.#say(key, lost.value)] : [];
    });
  }

  #saw(key: string, value: Value, calledAt: number): void {
    const read = { value, calledAt, overAt: (this.#now += 1) };
    this.#reads.set(key, [...(this.#reads.get(key) ?? []), read]);
  }

  /** What speaks against this value at the key now. */
  #disproof(key: string, value: Value, concern: Concern, calledAt = this.#now + 1): string | undefined {
    const read: Operation = { kind: 'read', value, calledAt, overAt: Number.MAX_VALUE, isSure: true };
    // A copy of Gitee is older than what the gateway's clients saw.
    const before = this.#operations(key, concern).filter(
      ({ kind }) => concern === 'local' || kind === 'write',
    );
    const lost = unexplained([...before, read], this.#initial.get(key) ?? ABSENT);
    return lost && this.#say(key, value);
  }

  #operations(key: string, concern: Concern): Operation[] {
    const writes = (this.#writes.get(key) ?? [])
      .filter(({ outcome }) => outcome !== 'refused')
      .map(({ value, calledAt, overAt, ...write }): Operation => {
        const isSure = write.outcome === 'ok' && (concern === 'local' || write.concern === 'remote');
        return { kind: 'write', value, calledAt, overAt, isSure };
      });
    const reads = (this.#reads.get(key) ?? []).map(({ value, calledAt, overAt }): Operation => ({
      kind: 'read',
      value,
      calledAt,
      overAt,
      isSure: true,
    }));
    return [...writes, ...reads];
  }

  #say(key: string, value: Value): string {
    return `${key}: ${value} is there, which does not fit to what was told\n${this.#told(key)}`;
  }

  /** All that was said of a key, for whoever looks for the fault. */
  #told(key: string): string {
    const lines = [
      `  at first: ${this.#initial.get(key) ?? ABSENT}`,
      ...(this.#writes.get(key) ?? []).map(
        ({ value, concern, calledAt, overAt, outcome }) =>
          `  write (${concern}) at ${calledAt} to ${overAt}: ${value}: ${outcome}`,
      ),
      ...(this.#reads.get(key) ?? []).map(
        ({ value, calledAt, overAt }) => `  read at ${calledAt} to ${overAt}: ${value}`,
      ),
    ];
    return lines.join('\n');
  }
}
