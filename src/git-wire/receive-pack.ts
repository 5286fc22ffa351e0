/**
 * A push as one POST to git-receive-pack (gitprotocol-pack(5), "Reference Update Request", and gitprotocol-http(5)):
 * the old value of the reference is known, so nothing needs to be asked first, and the server compares it before it
 * moves the reference.
 */
import { FLUSH, lineOf, NotGitError, packet, PacketParser } from './pkt-line.js';

export const RECEIVE_PACK_REQUEST = 'application/x-git-receive-pack-request';
export const RECEIVE_PACK_RESULT = 'application/x-git-receive-pack-result';

export const ZERO_ID = '0'.repeat(40);

/** What the server's words may take in memory; a hook that says more has said enough. */
const WORDS_MAX_CHARS = 64 << 10;

export interface RefUpdate {
  readonly ref: string;
  /** ZERO_ID: the reference must not exist. */
  readonly oldId: string;
  readonly newId: string;
}

/** What stands before the pack. */
export function updateRequest(update: RefUpdate, agent: string): Buffer {
  const { oldId, newId, ref } = update;
  const capabilities = `report-status side-band-64k object-format=sha1 agent=${agent}`;
  return Buffer.concat([packet(`${oldId} ${newId} ${ref}\0 ${capabilities}`), FLUSH]);
}

/** The server's report about one reference. */
export interface RefReport {
  readonly accepted: boolean;
  /** Empty where it was accepted. */
  readonly reason: string;
}

/**
 * Reads the answer: report-status in side-band 1, the server's words in 2 (as git shows them, `remote: ` before each
 * line), its last words in 3. A server that knows no side-band reports without.
 */
export class PushAnswer {
  readonly #outer = new PacketParser();
  readonly #report = new PacketParser();
  readonly #refs = new Map<string, RefReport>();
  #unpack: string | undefined;
  #words = '';
  #fatal = '';
  #began = false;
  #isWhole = false;

  /**
   * The report has come to its end. Hooks that run after a push, and the server's own packing
   * (`receive.autogc`), come before the end of the answer and can take minutes: they decide nothing any more.
   */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** `ok`, or why the pack could not be taken; undefined where the report has not come. */
  get unpack(): string | undefined {
    return this.#unpack;
  }

  /** What hooks and git itself said, each line with `remote: ` before it. */
  get words(): string {
    const lines = this.#words.split(/[\r\n]+/).filter((line) => line.trim() !== '');
    return [
      ...lines.map((line) => `remote: ${line}`),
      ...(this.#fatal === '' ? [] : [`fatal: remote error: ${this.#fatal}`]),
    ].join('\n');
  }

  /** undefined: the report does not name it, or broke off before. */
  of(ref: string): RefReport | undefined {
    return this.#refs.get(ref);
  }

  /** @throws NotGitError */
  push(bytes: Buffer): void {
    for (const item of this.#outer.push(bytes)) {
      // Without side-band the report's own end; with it that of the whole answer.
      if (item.kind === 'flush') this.#isWhole ||= this.#began;
      if (item.kind !== 'data' || item.data.length === 0) continue;
      const band = item.data[0]!;
      if (band === 1) this.#readReport(item.data.subarray(1));
      else if (band === 2)
        this.#words = (this.#words + item.data.toString('utf8', 1)).slice(-WORDS_MAX_CHARS);
      else if (band === 3) this.#fatal = item.data.toString('utf8', 1).trim().slice(0, 2_000);
      else this.#line(item.data);
    }
  }

  #readReport(bytes: Buffer): void {
    for (const item of this.#report.push(bytes)) {
      if (item.kind === 'data') this.#line(item.data);
      else if (item.kind === 'flush') this.#isWhole ||= this.#began;
    }
  }

  #line(data: Buffer): void {
    const line = lineOf(data);
    const [word = '', rest = ''] = split(line);
    if (word === 'unpack') this.#unpack = rest;
    else if (word === 'ok') this.#refs.set(rest, { accepted: true, reason: '' });
    else if (word === 'ng') {
      const [ref = '', reason = ''] = split(rest);
      this.#refs.set(ref, { accepted: false, reason });
    } else if (word === 'ERR') this.#fatal = rest.slice(0, 2_000);
    // report-status-v2 alone adds `option` lines, and it was not asked for.
    else if (!this.#began)
      throw new NotGitError(`no line of a report: ${JSON.stringify(line.slice(0, 100))}`);
    this.#began = true;
  }
}

function split(line: string): [string, string] {
  const space = line.indexOf(' ');
  return space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)];
}
