/**
 * What a bucket's state belongs to. A state directory that is pointed at another repository, branch or prefix would
 * push one bucket's changes into another's tree; so it refuses.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../disk/durable.js';
import { unlessMissing } from '../disk/failures.js';
import { StorageError } from '../index/errors.js';

const FILE = 'binding.json';

const binding = z.object({
  format: z.int().min(1),
  repositoryId: z.int(),
  repository: z.string(),
  branch: z.string(),
  pathPrefix: z.string(),
});
export type Binding = z.infer<typeof binding>;

/** The binding of this directory, or undefined where it is new. @throws StorageError not-ready. */
export async function readBinding(directory: string): Promise<Binding | undefined> {
  const text = await unlessMissing(readFile(join(directory, FILE), 'utf8'));
  if (text === undefined) return undefined;
  try {
    return binding.parse(JSON.parse(text));
  } catch (cause) {
    throw new StorageError('not-ready', `${join(directory, FILE)} is damaged: restore or remove the state`, {
      cause,
    });
  }
}

export async function writeBinding(directory: string, bound: Binding): Promise<void> {
  await writeDurably(directory, FILE, `${JSON.stringify(bound, undefined, 2)}\n`);
}

/**
 * The repository's name may change, its id may not; `repositoryId` undefined: not known yet (Gitee is down).
 * @throws StorageError not-ready, naming what differs and what to do.
 */
export function checkBinding(
  bound: Binding,
  wanted: { repositoryId: number | undefined; branch: string; pathPrefix: string },
): void {
  const differences = [
    bound.format === 1 ? '' : `its format is ${bound.format}`,
    wanted.repositoryId === undefined || bound.repositoryId === wanted.repositoryId
      ? ''
      : `repository ${bound.repositoryId} (${bound.repository}), not ${wanted.repositoryId}`,
    bound.branch === wanted.branch ? '' : `branch ${bound.branch}, not ${wanted.branch}`,
    bound.pathPrefix === wanted.pathPrefix ? '' : `path_prefix ${JSON.stringify(bound.pathPrefix)}`,
  ].filter((difference) => difference !== '');
  if (differences.length > 0)
    throw new StorageError(
      'not-ready',
      `the state directory belongs to another bucket (${differences.join('; ')}): use one state directory per bucket`,
    );
}
