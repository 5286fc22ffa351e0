/** What comments and documents cite is there: a file that was renamed or a section that was dropped fails here. */
import * as path from 'node:path';
import { Checkout, commentsOf, deadCitations } from '../support/citations.js';
import { ROOT } from './document.js';

const checkout = new Checkout(ROOT);
const SOURCES = checkout.files.filter((file) => /^(src|test|bench)\/.*\.ts$/.test(file));
/** findings/ speaks of other people's repositories, results of bench/ of what was measured then. */
const DOCUMENTS = checkout.files.filter((file) => /^(docs\/.*|bench\/README|[A-Z]+[^/]*)\.md$/.test(file));

/** Messages name documents, too. */
const messagesOf = (source: string): string =>
  (source.match(/['"`][^'"`\n]*\bdocs\/[^'"`\n]*/g) ?? []).join('\n');

test('every file, section and invariant that a comment or a message of src names is there', () => {
  const sources = SOURCES.filter((file) => file.startsWith('src/'));
  expect(sources.length).toBeGreaterThan(400);
  for (const file of sources) {
    const source = checkout.read(file);
    const text = `${commentsOf(source)}\n${messagesOf(source)}`;
    expect([file, deadCitations(text, checkout, path.dirname(file))]).toEqual([file, []]);
  }
});

test('every file, section and invariant that a comment of the tests and benches names is there', () => {
  for (const file of SOURCES.filter((name) => !name.startsWith('src/')))
    expect([file, deadCitations(commentsOf(checkout.read(file)), checkout, path.dirname(file))]).toEqual([
      file,
      [],
    ]);
});

test('every source, folder and section that a document names is there', () => {
  expect(DOCUMENTS.length).toBeGreaterThan(80);
  for (const file of DOCUMENTS)
    expect([file, deadCitations(checkout.read(file), checkout, path.dirname(file))]).toEqual([file, []]);
});

describe('a citation that leads nowhere is seen', () => {
  const deadIn = (text: string) => deadCitations(commentsOf(text), checkout, 'src/gitee');

  test.each([
    ['a file', '/** See docs/facts/gitea.md. */', 'docs/facts/gitea.md is no file and no folder'],
    ['a folder', '// src/gitea/ has it', 'src/gitea/ is no file and no folder'],
    ['a name alone', '/** kept by never-looks.ts */', 'no file is called never-looks.ts'],
    ['a number', '/** docs/facts/gitee.md §1.1, §2 and §9 */', 'docs/facts/gitee.md has no section §9'],
    [
      'a number of which another begins so',
      '// docs/facts/gitee.md §2.11',
      'docs/facts/gitee.md has no section §2.11',
    ],
    [
      'a title',
      '/** docs/storage-format.md, "Layout" and "Nothing of this" */',
      'docs/storage-format.md has no section "Nothing of this"',
    ],
    [
      'a title that goes before',
      '/** "Nothing" in docs/audit.md */',
      'docs/audit.md has no section "Nothing"',
    ],
    ['a word', '// see docs/operations.md, Nowhere.', 'docs/operations.md has no section Nowhere'],
    ['an invariant', '/** keeps invariant 9 */', 'docs/durability.md has no invariant 9'],
    [
      'one that is broken over two lines',
      '/**\n * What Gitee says (docs/facts/gitee.md\n * §8) of it.\n */',
      'docs/facts/gitee.md has no section §8',
    ],
  ])('%s', (_, text, sentence) => {
    expect(deadIn(text)).toEqual([sentence]);
  });

  test('and what is there, or is of others, is not', () => {
    const text =
      '/** docs/facts/gitee.md §2, §2.1 (git-lfs docs/api/batch.md), oauth.ts, `docs/…`, invariant 7 */';
    expect(deadIn(text)).toEqual([]);
  });
});
