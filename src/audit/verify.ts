/** Checks an audit log by itself: every hash, every link, every number, and where the chain begins. */
import { stat } from 'node:fs/promises';
import type { Clock } from '../async/clock.js';
import { readAnchor, type Anchor } from './anchor.js';
import { readLines } from './lines.js';
import { decodeLine, GENESIS, type AuditRecord } from './record.js';
import { listSegments, type Segment } from './segments.js';

interface AuditBreak {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly problem: string;
}

export interface AuditReport {
  /** undefined: the chain holds. */
  readonly break: AuditBreak | undefined;
  readonly files: number;
  /** Events up to the break. */
  readonly events: number;
  readonly head: { readonly seq: number; readonly hash: string; readonly time: string } | undefined;
  /** What the log says about itself: files deleted by age, ends cut off after a kill, events lost. */
  readonly notes: readonly string[];
}

export interface VerifyOptions {
  /** An event that was noted elsewhere (metric, log, syslog): it must be there with this hash. */
  readonly expected?: { readonly seq: number; readonly hash: string };
  readonly clock: Clock;
}

const WRITER_MS = 200;

/** Rejects with the system's error where the directory cannot be read. */
export async function verifyAudit(directory: string, options: VerifyOptions): Promise<AuditReport> {
  const segments = await listSegments(directory);
  const check = new ChainCheck(options.expected);
  let anchor: Anchor | undefined;
  try {
    anchor = await readAnchor(directory);
  } catch (error) {
    return check.report(segments.length, {
      file: 'anchor.json',
      line: 1,
      problem: error instanceof Error ? error.message : String(error),
    });
  }
  check.begin(anchor);
  for (const segment of segments) {
    const isLast = segment === segments.at(-1);
    let first = true;
    for await (const { text, number, isWhole } of readLines(segment.path)) {
      if (!isWhole && isLast && (await grows(segment, options.clock))) break; // a gateway is writing this line
      const problem = isWhole
        ? check.next(text, first ? segment.firstSeq : undefined)
        : 'has no end: the write was cut off, and no gateway has started since';
      if (problem !== undefined)
        return check.report(segments.length, { file: segment.name, line: number, problem });
      first = false;
    }
  }
  return check.report(segments.length, check.end(segments.at(-1)?.name));
}

class ChainCheck {
  #anchor: Anchor | undefined;
  #isAnchorConfirmed = false;
  #last: AuditRecord | undefined;
  #events = 0;
  #isExpectedSeen = false;
  readonly #notes: string[] = [];

  constructor(private readonly expected: VerifyOptions['expected']) {}

  begin(anchor: Anchor | undefined): void {
    this.#anchor = anchor;
  }

  /** What is wrong with the next line, if anything. */
  next(text: string, seqOfFile: number | undefined): string | undefined {
    const record = decodeLine(text);
    if ('problem' in record) return record.problem;
    const problem = this.#last ? this.#follows(record, this.#last) : this.#begins(record);
    if (problem !== undefined) return problem;
    if (seqOfFile !== undefined && seqOfFile !== record.seq)
      return `is event ${record.seq}, but the name of the file says ${seqOfFile}`;
    const { expected } = this;
    if (expected?.seq === record.seq) {
      if (expected.hash !== record.hash) return `is event ${record.seq} with another hash than was noted`;
      this.#isExpectedSeen = true;
    }
    this.#last = record;
    this.#events += 1;
    this.#note(record);
    return undefined;
  }

  /** What is missing at the end, if anything. */
  end(file: string | undefined): AuditBreak | undefined {
    const at = { file: file ?? 'anchor.json', line: 0 };
    if (this.#anchor && !this.#isAnchorConfirmed)
      return {
        file: 'anchor.json',
        line: 1,
        problem: `says that events before ${this.#anchor.firstSeq} were deleted by age, but the chain does not`,
      };
    const { expected } = this;
    if (expected && !this.#isExpectedSeen && expected.seq >= (this.#anchor?.firstSeq ?? 1))
      return {
        ...at,
        problem: `is the end, at event ${this.#last?.seq ?? 0}, but event ${expected.seq} was noted: the end was cut off`,
      };
    return undefined;
  }

  report(files: number, broken: AuditBreak | undefined): AuditReport {
    const { seq, hash, time } = this.#last ?? {};
    return {
      break: broken,
      files,
      events: this.#events,
      head: seq === undefined ? undefined : { seq, hash: hash!, time: time! },
      notes: this.#notes,
    };
  }

  #follows(record: AuditRecord, last: AuditRecord): string | undefined {
    if (record.seq !== last.seq + 1)
      return `is event ${record.seq} after ${last.seq}: events are missing, added or in another order`;
    if (record.prev !== last.hash) return `does not follow the line before: that one was changed or replaced`;
    return this.#passesAnchor(record);
  }

  #begins(record: AuditRecord): string | undefined {
    const anchor = this.#anchor;
    if (!anchor && record.seq !== 1)
      return `is event ${record.seq}, and nothing says that those before it were deleted by age`;
    if (record.seq === 1 && record.prev !== GENESIS) return 'is the first event, but names one before it';
    if (anchor && record.seq > anchor.firstSeq)
      return `is event ${record.seq}, but by anchor.json the log begins with ${anchor.firstSeq}: files are missing`;
    return this.#passesAnchor(record);
  }

  /** Files that are older than the anchor may be there still: the gateway was killed while it deleted them. */
  #passesAnchor(record: AuditRecord): string | undefined {
    const anchor = this.#anchor;
    if (anchor?.firstSeq === record.seq && anchor.firstPrev !== record.prev)
      return 'does not follow what anchor.json says was deleted';
    return undefined;
  }

  #note(record: AuditRecord): void {
    const { action, seq, time, detail, who } = record;
    if (who !== 'gateway') return;
    const at = `event ${seq}, ${time}`;
    if (action === 'audit.retire') {
      if (detail?.firstSeq === this.#anchor?.firstSeq && detail?.firstPrev === this.#anchor?.firstPrev)
        this.#isAnchorConfirmed = true;
      this.#notes.push(`${at}: events before ${detail?.firstSeq} were deleted by age`);
    } else if (action === 'audit.recover') {
      this.#notes.push(
        `${at}: after a kill, ${detail?.bytes} bytes were cut off ${detail?.file} and kept as ${detail?.aside}`,
      );
    } else if (action === 'audit.drop') {
      this.#notes.push(`${at}: ${detail?.events} events before it could not be written and are lost`);
    }
  }
}

async function grows(segment: Segment, clock: Clock): Promise<boolean> {
  const before = (await stat(segment.path)).size;
  // A line is one write: where it is still under way, its end is there a moment later.
  await clock.sleep(WRITER_MS);
  const after = (await stat(segment.path)).size;
  if (after !== before) return true;
  for await (const { isWhole } of readLines(segment.path)) if (!isWhole) return false;
  return true;
}
