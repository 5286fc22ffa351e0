/** Lines of a file as bytes end them. readline would also break at U+2028, which JSON leaves as it is. */
import { createReadStream } from 'node:fs';

const NEWLINE = 0x0a;

export interface FileLine {
  readonly text: string;
  /** From 1. */
  readonly number: number;
  /** False for what stands after the last line end. */
  readonly isWhole: boolean;
}

/** Rejects with the system's error. Keeps one line in memory. */
export async function* readLines(path: string): AsyncGenerator<FileLine> {
  let rest: Buffer[] = [];
  let number = 0;
  for await (const data of createReadStream(path)) {
    const bytes = data as Buffer;
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      rest.push(bytes.subarray(start, end));
      number += 1;
      yield { text: Buffer.concat(rest).toString('utf8'), number, isWhole: true };
      rest = [];
      start = end + 1;
    }
    if (start < bytes.length) rest.push(bytes.subarray(start));
  }
  if (rest.length > 0)
    yield { text: Buffer.concat(rest).toString('utf8'), number: number + 1, isWhole: false };
}
