import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import type { ClientName } from './clients.js';
import type { StopOutcome } from './stops.js';
import type { Outcome } from './tolerance.js';

/** What the two measurements wrote, the newest result of each row. */
export interface Results {
  readonly tolerance: readonly Outcome[];
  readonly stops: readonly StopOutcome[];
  readonly versions: Readonly<Record<ClientName, string>>;
}

const RESULTS = path.resolve('test/long/clients/results');

export async function readResults(directory = RESULTS): Promise<Results> {
  const [tolerance, stops] = await Promise.all([
    lines<Outcome>(path.join(directory, 'tolerance.jsonl'), ({ client, place, fault }) => [
      client,
      place,
      fault,
    ]),
    lines<StopOutcome>(path.join(directory, 'stops.jsonl'), ({ direction, size, event, client }) => [
      ...[direction, size, event, client],
    ]),
  ]);
  const versions = JSON.parse(
    await readFile(path.join(directory, 'versions.json'), 'utf8'),
  ) as Results['versions'];
  return { tolerance, stops, versions };
}

async function lines<T>(file: string, keyOf: (row: T) => readonly string[]): Promise<T[]> {
  const rows = new Map<string, T>();
  for (const line of (await readFile(file, 'utf8')).split('\n')) {
    if (line === '') continue;
    const row = JSON.parse(line) as T;
    rows.set(keyOf(row).join('\n'), row);
  }
  return [...rows.values()];
}
