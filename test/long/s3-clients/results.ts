import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { slugOf, type ClientResult, type S3Client } from './client.js';

export const S3_RESULTS = path.resolve('test/long/s3-clients/results');

/** What the last run of a client found; undefined where it never ran. */
export async function resultOf(client: S3Client): Promise<ClientResult | undefined> {
  const file = path.join(S3_RESULTS, `${slugOf(client)}.json`);
  if (!existsSync(file)) return undefined;
  return { failed: [], ...(JSON.parse(await readFile(file, 'utf8')) as Omit<ClientResult, 'failed'>) };
}
