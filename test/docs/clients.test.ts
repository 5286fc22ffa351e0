import { DOCUMENTS, withTables } from '../long/clients/documents.js';
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
