import { describe, expect, test } from '@jest/globals';
import { readRawLog } from '../../../../src/gitee/git/record-streams.js';

const OLD = '0'.repeat(40);
const BLOB = 'b'.repeat(40);

/** What `git log --raw -z --format=%H,%ct` says of one commit, cut into chunks as a pipe may cut it. */
async function* logOf(commits: readonly { id: string; paths: number }[]): AsyncGenerator<Buffer> {
  let text = '';
  for (const { id, paths } of commits) {
    text += `${id},1700000000\0`;
    for (let i = 0; i < paths; i += 1)
      text += `${i === 0 ? '\n' : ''}:000000 100644 ${OLD} ${BLOB} A\0p/${i}\0`;
  }
  for (let at = 0; at < text.length; at += 777) yield Buffer.from(text.slice(at, at + 777), 'latin1');
}

async function piecesOf(paths: number): Promise<{ commit: string; changes: number }[]> {
  const first = 'a'.repeat(40);
  const second = 'c'.repeat(40);
  const pieces: { commit: string; changes: number }[] = [];
  const seen: string[] = [];
  const log = logOf([
    { id: first, paths },
    { id: second, paths: 1 },
  ]);
  for await (const { commit, timeMs, changes } of readRawLog(log)) {
    expect(timeMs).toBe(1_700_000_000_000);
    pieces.push({ commit: commit.slice(0, 1), changes: changes.length });
    if (commit === first) seen.push(...changes.map(({ path }) => path));
  }
  expect(seen).toEqual(Array.from({ length: paths }, (_, i) => `p/${i}`));
  return pieces;
}

describe('readRawLog', () => {
  test('a commit of many paths comes in pieces, none lost and none twice', async () => {
    expect(await piecesOf(2_500)).toEqual([
      { commit: 'a', changes: 1_000 },
      { commit: 'a', changes: 1_000 },
      { commit: 'a', changes: 500 },
      { commit: 'c', changes: 1 },
    ]);
  });

  test('a commit that fills its pieces exactly has no empty one behind them', async () => {
    expect(await piecesOf(1_000)).toEqual([
      { commit: 'a', changes: 1_000 },
      { commit: 'c', changes: 1 },
    ]);
  });

  test('a commit without paths is one entry', async () => {
    expect(await piecesOf(0)).toEqual([
      { commit: 'a', changes: 0 },
      { commit: 'c', changes: 1 },
    ]);
  });
});
