import type { S3Client } from './client.js';
import { DEBIAN_CLIENTS } from './debian/clients.js';
import { NPM_CLIENTS } from './npm/clients.js';

/** Every client of the table, in its order. */
export const S3_CLIENTS: readonly S3Client[] = [...DEBIAN_CLIENTS, ...NPM_CLIENTS].sort((a, b) =>
  a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1,
);
