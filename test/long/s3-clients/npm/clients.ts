import type { S3Client } from '../client.js';
import { FRAMEWORK_CLIENTS } from './frameworks.js';
import { LIBRARY_CLIENTS } from './libraries.js';

/** Installed from npm. */
export const NPM_CLIENTS: readonly S3Client[] = [...LIBRARY_CLIENTS, ...FRAMEWORK_CLIENTS];
