import type { S3Client } from '../client.js';
import { s3cmd } from './s3cmd.js';
import { s3fs } from './s3fs.js';

/** Installed from Debian. */
export const DEBIAN_CLIENTS: readonly S3Client[] = [s3cmd, s3fs];
