import type { S3Client } from '../client.js';
import { amazonS3Perl } from './amazon-s3-perl.js';
import { aptTransportS3 } from './apt-transport-s3.js';
import { aptly } from './aptly.js';
import { awsSdkGo } from './aws-sdk-go.js';
import { awsSdkGoV2 } from './aws-sdk-go-v2.js';
import { awsSdkRuby } from './aws-sdk-ruby.js';
import { awscli } from './awscli.js';
import { barman } from './barman.js';
import { bcftools } from './bcftools.js';
import { boto } from './boto.js';
import { boto3 } from './boto3.js';
import { curl } from './curl.js';
import { davix } from './davix.js';
import { dockerRegistry } from './docker-registry.js';
import { duplicity } from './duplicity.js';
import { fog } from './fog.js';
import { gdal } from './gdal.js';
import { gitAnnex } from './git-annex.js';
import { libcloud } from './libcloud.js';
import { libs3 } from './libs3.js';
import { mariadb } from './mariadb.js';
import { minioGo } from './minio-go.js';
import { netAmazonS3 } from './net-amazon-s3.js';
import { pgbackrest } from './pgbackrest.js';
import { qemuImg } from './qemu-img.js';
import { rclone } from './rclone.js';
import { restic } from './restic.js';
import { s3backer } from './s3backer.js';
import { s3cmd } from './s3cmd.js';
import { s3fs } from './s3fs.js';
import { s4cmd } from './s4cmd.js';
import { samtools } from './samtools.js';
import { smartOpen } from './smart-open.js';

/** Installed from Debian. */
export const DEBIAN_CLIENTS: readonly S3Client[] = [
  amazonS3Perl,
  aptTransportS3,
  aptly,
  awsSdkGo,
  awsSdkGoV2,
  awsSdkRuby,
  awscli,
  barman,
  bcftools,
  boto,
  boto3,
  curl,
  davix,
  dockerRegistry,
  duplicity,
  fog,
  gdal,
  gitAnnex,
  libcloud,
  libs3,
  mariadb,
  minioGo,
  netAmazonS3,
  pgbackrest,
  qemuImg,
  rclone,
  restic,
  s3backer,
  s3cmd,
  s3fs,
  s4cmd,
  samtools,
  smartOpen,
];
