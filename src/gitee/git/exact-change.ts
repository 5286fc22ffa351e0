/**
 * Keeps invariant 2: "A commit never names a chunk that is not on Gitee, and changes exactly the paths it was
 * meant to." The second half is kept here: before a commit is pushed, git itself tells what differs between the
 * old and the new tree, and that must be what the edits were meant to change, path by path. (The first half is
 * kept by the committer, which asks for the chunks.)
 */
import { UnintendedChangeError } from '../errors.js';
import type { GitProgram } from './git-process.js';
import { isRegularFile } from './git-object.js';
import { readRawDiff } from './record-streams.js';

const NO_OBJECT = '0'.repeat(40);

/** @throws UnintendedChangeError where the difference is another one. Nothing has been pushed by then. */
export async function assertExactChange(
  program: GitProgram,
  oldTree: string,
  newTree: string,
  expected: ReadonlyMap<string, string | undefined>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const args = ['diff-tree', '-r', '-z', '--raw', '--no-renames', '--no-abbrev', oldTree, newTree];
  let seen = 0;
  for await (const change of readRawDiff(program.stream(args, { signal }))) {
    const removed = change.newId === NO_OBJECT;
    const meant =
      expected.has(change.path) &&
      (removed ? undefined : change.newId) === expected.get(change.path) &&
      (removed || isRegularFile(change.newMode));
    if (!meant)
      throw broken(`the commit would change ${JSON.stringify(change.path)}, which no edit asked for`);
    seen += 1;
  }
  if (seen !== expected.size)
    throw broken(`the commit would change ${seen} paths instead of ${expected.size}`);
}

function broken(what: string): UnintendedChangeError {
  return new UnintendedChangeError(`broken invariant 2: ${what}; nothing was pushed`);
}
