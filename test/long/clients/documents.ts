import { readFile, writeFile } from 'node:fs/promises';
import { readResults } from './results.js';
import { outcomesTable, shownTable } from './stop-tables.js';
import { s3Configurations, s3Table } from '../s3-clients/tables.js';
import { patience, repeats, words } from './tolerance-tables.js';
import { CLIENTS } from './clients.js';
import { fill, table, type Language } from './words.js';

/** The documents with tables of results in them. */
export const DOCUMENTS: readonly { readonly file: string; readonly language: Language }[] = [
  { file: 'docs/clients.md', language: 'en' },
  { file: 'docs/zh/clients.md', language: 'zh' },
  { file: 'docs/s3-clients.md', language: 'en' },
  { file: 'docs/zh/s3-clients.md', language: 'zh' },
];

/** A document as the results have it. */
export async function withTables(text: string, language: Language): Promise<string> {
  const { tolerance, stops, versions } = await readResults();
  return fill(text, {
    versions: table(CLIENTS, [CLIENTS.map((client) => versions[client])]),
    outcomes: outcomesTable(stops, language),
    shown: shownTable(stops, language),
    patience: patience(tolerance, language),
    repeats: repeats(tolerance, language),
    words: words(tolerance, language),
    s3: await s3Table(language),
    's3-configurations': s3Configurations(language),
  });
}

export async function writeTables(): Promise<void> {
  for (const { file, language } of DOCUMENTS)
    await writeFile(file, await withTables(await readFile(file, 'utf8'), language));
}
