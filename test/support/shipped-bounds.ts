import { readFile } from 'node:fs/promises';
import * as path from 'node:path';

/**
 * The bounds on memory that the image gives Node and its allocator, as an environment; a checkout from before has none.
 * Without them glibc keeps what was freed in an arena per thread, and memory says more about it than about the gateway.
 */
export async function shippedBounds(checkout = '.'): Promise<NodeJS.ProcessEnv> {
  const dockerfile = await readFile(path.join(checkout, 'deploy/Dockerfile'), 'utf8');
  const bounds = [...dockerfile.matchAll(/\b(NODE_OPTIONS|LD_PRELOAD|MALLOC_[A-Z_]+)=(?:"([^"]*)"|(\d+))/g)];
  return {
    NODE_OPTIONS: '',
    ...Object.fromEntries(bounds.map(([, name, text, figure]) => [name!, text ?? figure])),
  };
}
