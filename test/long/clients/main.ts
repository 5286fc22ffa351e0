/**
 * What real clients tolerate, and what they show when something stops. As root:
 *
 *     npm run clients -- tolerance [--only 'docker tag']
 *     npm run clients -- stops [--event gateway-kill] [--size 5] [--client docker] [--direction push] [--long]
 *     npm run clients -- s3 [--client s3fs]
 *     npm run clients -- tables
 *
 * The first two append one JSON line per result to test/long/clients/results/; `s3` tries the clients of S3
 * (test/long/s3-clients) and writes a file for each into its results; `tables` writes the documents from all of them.
 */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { CLIENTS, type ClientName } from './clients.js';
import { EVENTS } from './events.js';
import { faultOf } from './judgement.js';
import { inOwnNamespaces, isInner } from './own-namespaces.js';
import { measureStops, SIZES } from './stops.js';
import { writeTables } from './documents.js';
import { slugOf } from '../s3-clients/client.js';
import { S3_CLIENTS } from '../s3-clients/clients.js';
import { installClients } from '../s3-clients/install.js';
import { keepResult, measureS3Clients } from '../s3-clients/measure.js';
import { S3_RESULTS } from '../s3-clients/results.js';
import { measureTolerance } from './tolerance.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    results: { type: 'string' },
    limit: { type: 'string', default: '200' },
    only: { type: 'string' },
    'at-once': { type: 'string', default: '45' },
    event: { type: 'string', multiple: true },
    size: { type: 'string', multiple: true },
    client: { type: 'string', multiple: true },
    direction: { type: 'string', multiple: true },
    long: { type: 'boolean', default: false },
  },
});

const [command] = positionals;
const s3Clients = S3_CLIENTS.filter((client) => values.client?.includes(slugOf(client)) ?? true);
const installed = command === 's3' && !isInner() ? await installClients(s3Clients) : undefined;
const directory = command === 'tables' ? undefined : await inOwnNamespaces();
await installed?.();
if (directory !== undefined && command === 's3') {
  await measureS3Clients({
    directory,
    clients: s3Clients,
    onResult: async (client, result) => {
      await keepResult(values.results ?? S3_RESULTS, client, result);
      process.stdout.write(`${client.name} ${result.version}: ${result.held.length} hold\n`);
      for (const { claim, error } of result.failed) {
        process.stderr.write(`FAILED: ${client.name}: ${claim}: ${error}\n`);
        process.exitCode = 1;
      }
    },
  });
} else if (directory !== undefined) {
  const results = values.results ?? path.join(import.meta.dirname, 'results');
  await mkdir(results, { recursive: true });
  const keep = (file: string) => (result: object) => {
    void appendFile(path.join(results, file), `${JSON.stringify(result)}\n`);
  };
  if (command === 'tolerance') {
    const versions = await measureTolerance({
      directory,
      limitSeconds: Number(values.limit),
      atOnce: Number(values['at-once']),
      only: values.only === undefined ? undefined : new RegExp(values.only),
      onOutcome: keep('tolerance.jsonl'),
    });
    await writeFile(path.join(results, 'versions.json'), `${JSON.stringify(versions, null, 2)}\n`);
  } else if (command === 'stops') {
    await measureStops({
      directory,
      directions: chosen(values.direction, ['push', 'pull'] as const),
      sizes: chosen(
        values.size,
        Object.keys(SIZES).filter((size) => values.long || size !== '1.5GB'),
      ),
      events: chosen(values.event, Object.keys(EVENTS)),
      clients: chosen<ClientName>(values.client, CLIENTS),
      onOutcome: (outcome) => {
        keep('stops.jsonl')(outcome);
        const fault = faultOf(outcome);
        if (fault === undefined) return;
        process.stderr.write(`FAILED: ${fault}: ${JSON.stringify(outcome)}\n`);
        process.exitCode = 1;
      },
    });
  }
}

if (command === 'tables') await writeTables();

function chosen<T extends string>(asked: readonly string[] | undefined, all: readonly T[]): readonly T[] {
  return asked === undefined ? all : all.filter((one) => asked.includes(one));
}
