import { DOCUMENTS, withTables } from '../long/clients/documents.js';
import { readdirSync } from 'node:fs';
import { claimsOf, slugOf } from '../long/s3-clients/client.js';
import { S3_CLIENTS } from '../long/s3-clients/clients.js';
import { resultOf, S3_RESULTS } from '../long/s3-clients/results.js';
import { CLIENTS } from '../long/clients/clients.js';
import { faultOf } from '../long/clients/judgement.js';
import { readResults } from '../long/clients/results.js';
import { readDocument } from './document.js';

test.each(DOCUMENTS)('the tables of $file are those of the results', async ({ file, language }) => {
  const text = readDocument(file);
  expect(text).toBe(await withTables(text, language));
});

test('every client was measured at every fault', async () => {
  const { tolerance, stops } = await readResults();
  for (const rows of [tolerance, stops])
    for (const client of CLIENTS)
      expect(rows.filter((row) => row.client === client)).toHaveLength(rows.length / CLIENTS.length);
});

test('whatever stopped: what was promised went on, nothing hung, and a second command did it', async () => {
  const { stops } = await readResults();
  expect(stops.flatMap((row) => (faultOf(row) ? [[faultOf(row), row]] : []))).toEqual([]);
});

test.each(S3_CLIENTS.map((client) => [client.name, client] as const))(
  'what stands in the table of %s held when it was tried',
  async (_name, client) => {
    const result = await resultOf(client);
    expect(result?.failed).toEqual([]);
    expect(result?.version).not.toBe('');
    expect(result?.held).toEqual(claimsOf(client).map(({ en }) => en));
    for (const { en, zh } of claimsOf(client)) expect(zh).not.toBe(en);
  },
);

test('every result of a client of S3 stands in the table', () => {
  expect(readdirSync(S3_RESULTS).sort()).toEqual(S3_CLIENTS.map((client) => `${slugOf(client)}.json`).sort());
});
