import type { S3Client } from '../client.js';
import { aptly } from './aptly.js';
import { barman } from './barman.js';
import { davix } from './davix.js';
import { duplicity } from './duplicity.js';
import { fog } from './fog.js';
import { gdal } from './gdal.js';
import { libcloud } from './libcloud.js';
import { netAmazonS3 } from './net-amazon-s3.js';
import { pgbackrest } from './pgbackrest.js';
import { s3backer } from './s3backer.js';
import { s3cmd } from './s3cmd.js';
import { s3fs } from './s3fs.js';
import { s4cmd } from './s4cmd.js';

/** Installed from Debian. */
export const DEBIAN_CLIENTS: readonly S3Client[] = [
  aptly,
  barman,
  davix,
  duplicity,
  fog,
  gdal,
  libcloud,
  netAmazonS3,
  pgbackrest,
  s3backer,
  s3cmd,
  s3fs,
  s4cmd,
];
