import { readFileSync } from 'node:fs';
import { z } from 'zod';

const manifest = z.object({ version: z.string() });

/** From the package.json beside dist (and beside src in tests). */
function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return manifest.parse(JSON.parse(text)).version;
}

/** Version of the storage format that this program writes. */
export const STORAGE_FORMAT = '1';

/** Version of this program. */
export const VERSION = programVersion();
