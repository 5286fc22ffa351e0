import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ROUTES } from '../../../src/s3/routes.js';
import { S3_ERRORS } from '../../../src/s3/errors.js';

const ROOT = path.join(import.meta.dirname, '../../..');

/** First cells of the rows of all tables in a section. */
async function firstCells(file: string, from: string, to?: string): Promise<string[]> {
  const text = await readFile(path.join(ROOT, 'docs', file), 'utf8');
  const start = text.indexOf(from);
  const section = text.slice(start, to === undefined ? undefined : text.indexOf(to, start));
  return section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
    .map((line) => line.split('|')[1]!.trim().replaceAll('`', ''))
    .filter((cell) => cell !== 'operation' && cell !== 'code');
}

describe('the documents on S3', () => {
  test('list exactly the operations of the dispatch table, done and not done', async () => {
    const done = await firstCells('s3-compatibility.md', '## Operations', 'Answered `501');
    const lacking = await firstCells('s3-compatibility.md', 'Answered `501', '## Signatures');
    expect(done.sort()).toEqual(
      ROUTES.filter((r) => r.operation)
        .map((r) => r.name)
        .sort(),
    );
    expect(lacking.sort()).toEqual(
      ROUTES.filter((r) => !r.operation)
        .map((r) => r.name)
        .sort(),
    );
  });

  test('list exactly the error codes of the error table, with their status', async () => {
    const text = await readFile(path.join(ROOT, 'docs/errors.md'), 'utf8');
    const rows = [...text.matchAll(/^\| `(\w+)` \| (\d{3}) \|/gm)].map((m) => [m[1], Number(m[2])]);
    expect(rows.sort()).toEqual(
      Object.entries(S3_ERRORS)
        .map(([code, row]) => [code, row.status])
        .sort(),
    );
  });

  test('no error code stands in the table that nothing answers', async () => {
    const folder = path.join(ROOT, 'src/s3');
    const files = (await readdir(folder, { recursive: true })).filter(
      (f) => f.endsWith('.ts') && f !== 'errors.ts',
    );
    const source = (await Promise.all(files.map((f) => readFile(path.join(folder, f), 'utf8')))).join('\n');
    const unused = Object.keys(S3_ERRORS).filter((code) => !source.includes(`'${code}'`));
    expect(unused).toEqual([]);
  });
});
