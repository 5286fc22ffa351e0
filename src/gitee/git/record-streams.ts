/** Takes git's NUL-separated outputs apart as they come. Paths are kept as bytes (one character per byte). */
import { GitFailedError } from './failures.js';

/** Splits at a byte. What stands after the last one is a record too, unless it is empty. */
export async function* splitRecords(
  chunks: AsyncIterable<Buffer>,
  separator: number,
): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer[] = [];
  for await (const chunk of chunks) {
    let at = 0;
    for (let end = chunk.indexOf(separator); end >= 0; end = chunk.indexOf(separator, at)) {
      const tail = chunk.subarray(at, end);
      yield rest.length === 0 ? tail : Buffer.concat([...rest, tail]);
      rest = [];
      at = end + 1;
    }
    if (at < chunk.length) rest.push(chunk.subarray(at));
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}

/** One path of a raw diff. Null ids are all zeros, as git writes them. */
export interface RawChange {
  readonly oldMode: string;
  readonly newMode: string;
  readonly oldId: string;
  readonly newId: string;
  /** One character per byte. */
  readonly path: string;
}

/**
 * Changes of one piece of a log. A commit may touch every path of a branch (an import, a squash): as one list that
 * was half a GiB at a million paths.
 */
const PIECE_CHANGES_MAX = 1_000;

const RAW = /^\n?:(\d{6}) (\d{6}) ([0-9a-f]{40}) ([0-9a-f]{40}) [A-Z]\d*$/;

/** Reads `git diff-tree -r -z --raw --no-renames` (git-diff-tree(1), RAW OUTPUT FORMAT). */
export async function* readRawDiff(
  output: AsyncIterable<Buffer>,
): AsyncGenerator<RawChange, void, undefined> {
  let raw: RegExpExecArray | undefined;
  for await (const record of splitRecords(output, 0)) {
    const text = record.toString('latin1');
    if (raw) {
      yield rawChange(raw, text);
      raw = undefined;
    } else raw = RAW.exec(text) ?? notUnderstood('diff-tree', text);
  }
}

/**
 * Reads `git log --raw -z --no-renames --no-abbrev --format=%H,%ct`: a commit, then its paths. A commit of many
 * paths comes in pieces, one after the other, each with the commit's id and time. The time is what the commit claims.
 */
export async function* readRawLog(
  output: AsyncIterable<Buffer>,
): AsyncGenerator<{ commit: string; timeMs: number; changes: RawChange[] }, void, undefined> {
  let entry: { commit: string; timeMs: number; changes: RawChange[] } | undefined;
  let raw: RegExpExecArray | undefined;
  for await (const record of splitRecords(output, 0)) {
    const text = record.toString('latin1');
    if (raw) {
      // Only when there is one more: a commit does not end with an empty piece.
      if (entry && entry.changes.length >= PIECE_CHANGES_MAX) {
        yield entry;
        entry = { ...entry, changes: [] };
      }
      entry?.changes.push(rawChange(raw, text));
      raw = undefined;
      continue;
    }
    const head = /^\n?([0-9a-f]{40}),(-?\d*)$/.exec(text);
    if (head) {
      if (entry) yield entry;
      entry = { commit: head[1]!, timeMs: Number(head[2]) * 1000, changes: [] };
    } else if (text !== '' && text !== '\n') raw = RAW.exec(text) ?? notUnderstood('log', text);
  }
  if (entry) yield entry;
}

/** Reads `git ls-tree -r -z --long`: `<mode> <type> <id> <size>\t<path>`. */
export async function* readTreeListing(
  output: AsyncIterable<Buffer>,
): AsyncGenerator<{ mode: string; id: string; sizeBytes: number; path: string }, void, undefined> {
  for await (const record of splitRecords(output, 0)) {
    const text = record.toString('latin1');
    const match = /^(\d{6}) (\w+) ([0-9a-f]{40}) +(\d+|-)\t/.exec(text) ?? notUnderstood('ls-tree', text);
    yield {
      mode: match[1]!,
      id: match[3]!,
      sizeBytes: match[4] === '-' ? 0 : Number(match[4]),
      path: text.slice(match[0].length),
    };
  }
}

function rawChange(raw: RegExpExecArray, path: string): RawChange {
  return { oldMode: raw[1]!, newMode: raw[2]!, oldId: raw[3]!, newId: raw[4]!, path };
}

function notUnderstood(command: string, text: string): never {
  throw new GitFailedError(
    command,
    0,
    `its output was not understood: ${JSON.stringify(text.slice(0, 100))}`,
  );
}
