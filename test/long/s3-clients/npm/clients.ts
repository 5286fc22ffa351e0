import type { S3Client } from '../client.js';

/** Installed from npm. */
export const NPM_CLIENTS: readonly S3Client[] = [];
