/** Writes the bytes of changes that were set aside into a directory. */
import { createHash } from 'node:crypto';
import { appendFile, mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Operations } from '../server/operator-calls.js';
import type { QuarantinedChange } from '../buckets/quarantine.js';

export interface ExportedChange extends QuarantinedChange {
  /** Name of its file; undefined for a deletion, and where its bytes could not be had. */
  readonly file?: string;
  readonly sha256?: string;
  readonly problem?: string;
}

/** What was written is listed in it, a JSON object per line. */
const INDEX = 'index.jsonl';

/**
 * One file per change, named by its number in the journal (a key may be no name for a file), and a line in the index.
 * Files that are there already are not written over: that is a problem of its change.
 */
export async function* exportQuarantine(
  operations: Pick<Operations, 'quarantined' | 'readQuarantined'>,
  bucket: string,
  choice: { readonly key?: string; readonly directory: string },
): AsyncGenerator<ExportedChange> {
  const { directory, key } = choice;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for await (const change of operations.quarantined({ bucket })) {
    if (key !== undefined && change.key !== key) continue;
    const exported = change.what === 'deletion' ? change : await exportOne(operations, change, directory);
    await appendFile(join(directory, INDEX), `${JSON.stringify(exported)}\n`, { mode: 0o600 });
    yield exported;
  }
}

async function exportOne(
  operations: Pick<Operations, 'readQuarantined'>,
  change: QuarantinedChange,
  directory: string,
): Promise<ExportedChange> {
  const file = `${change.seq}.bin`;
  const path = join(directory, file);
  let isOurs = false;
  try {
    const handle = await open(path, 'wx', 0o600);
    isOurs = true;
    const hash = createHash('sha256');
    let sizeBytes = 0;
    try {
      for await (const piece of await operations.readQuarantined({
        bucket: change.bucket,
        key: change.key,
      })) {
        const bytes = piece as Uint8Array;
        hash.update(bytes);
        sizeBytes += bytes.length;
        await handle.writeFile(bytes);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (sizeBytes !== change.sizeBytes)
      throw new Error(`${sizeBytes} bytes came of ${change.sizeBytes}: it was written anew meanwhile`);
    return { ...change, file, sha256: hash.digest('hex') };
  } catch (error) {
    if (isOurs) await unlink(path);
    return { ...change, problem: (error as Error).message };
  }
}
