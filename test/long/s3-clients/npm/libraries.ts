import type { S3Client } from '../client.js';
import { npmClient } from './npm-client.js';

const AWS_SDK = '3.1164.0';

/** Libraries that send the requests of S3 themselves. */
export const LIBRARY_CLIENTS: readonly S3Client[] = [
  npmClient({
    name: 'AWS SDK for JavaScript, v3',
    scenario: 'aws-sdk-3',
    packages: [
      `@aws-sdk/client-s3@${AWS_SDK}`,
      `@aws-sdk/lib-storage@${AWS_SDK}`,
      `@aws-sdk/s3-presigned-post@${AWS_SDK}`,
      `@aws-sdk/s3-request-presigner@${AWS_SDK}`,
    ],
    works: [
      'objects',
      { checksums: { en: 'the SDK’s checksums, of streams too', zh: 'SDK 的各种校验和(包括流)' } },
      'multipart',
      'ranges',
      'pages',
      'copies',
      'conditions',
      'tags',
      'presigned',
      'forms',
      'uploads',
      'deletes',
    ],
  }),
  npmClient({
    name: 'AWS SDK for JavaScript, v2',
    scenario: 'aws-sdk-2',
    packages: ['aws-sdk@2.1693.0'],
    works: ['objects', 'multipart', 'ranges', 'pages', 'copies', 'tags', 'presigned', 'forms', 'deletes'],
    limits: [
      {
        v2: {
          en: "`signatureVersion: 'v2'`: refused, as by newer regions of AWS",
          zh: "`signatureVersion: 'v2'`:被拒绝(AWS 的新区域也一样)",
        },
      },
    ],
  }),
  npmClient({
    name: 'aws-lite',
    scenario: 'aws-lite',
    packages: ['@aws-lite/s3@0.2.7', '@aws-lite/client@0.24.1'],
    virtualHosts: true,
    works: ['objects', 'multipart', 'pages', 'deletes'],
    limits: [
      {
        tail: {
          en: '`Upload` of a stream that comes in one piece larger than `ChunkSize` leaves its end out, without an error: its own fault, pass a file',
          zh: '`Upload` 的流若一次给出大于 `ChunkSize` 的数据块,末尾会丢失且不报错:它自身的问题,请改传文件',
        },
        plus: {
          en: 'keys with `+`: it signs a blank in its place',
          zh: '含 `+` 的键:它按空格签名',
        },
      },
    ],
  }),
  npmClient({
    name: 'aws4fetch',
    scenario: 'aws4fetch',
    packages: ['aws4fetch@1.0.20'],
    works: ['objects', 'multipart', 'ranges', 'pages', 'copies', 'conditions', 'presigned', 'deletes'],
  }),
  npmClient({
    name: 'Bun',
    scenario: 'bun',
    packages: ['bun@1.4.5'],
    runtime: `node_modules/@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64'}/bin/bun`,
    works: ['objects', 'multipart', 'ranges', 'pages', 'presigned', 'deletes'],
  }),
  npmClient({
    name: 'minio-js',
    scenario: 'minio',
    packages: ['minio@8.0.7'],
    works: [
      'objects',
      'multipart',
      'ranges',
      'pages',
      { copies: { en: 'copies, also composed of several', zh: '服务端复制,包括多个对象的拼接' } },
      { conditions: { en: 'conditional copies', zh: '条件复制' } },
      'tags',
      'presigned',
      'forms',
      'uploads',
      'deletes',
    ],
  }),
  npmClient({
    name: 'OpenDAL',
    scenario: 'opendal',
    // Later ones want a newer C library than Debian 12 has.
    packages: ['opendal@0.47.11'],
    works: ['objects', 'multipart', 'pages', 'copies', 'presigned', 'deletes'],
  }),
  npmClient({
    name: 's3-lite-client',
    scenario: 's3-lite-client',
    packages: ['@bradenmacdonald/s3-lite-client@1.0.0'],
    works: [
      'objects',
      'multipart',
      'ranges',
      'pages',
      'copies',
      'conditions',
      'presigned',
      'forms',
      'deletes',
    ],
  }),
  npmClient({
    name: 's3mini',
    scenario: 's3mini',
    packages: ['s3mini@1.0.2'],
    works: ['objects', 'multipart', 'ranges', 'pages', 'copies', 'conditions', 'presigned', 'deletes'],
  }),
  npmClient({
    name: 'LanceDB',
    scenario: 'lancedb',
    packages: ['@lancedb/lancedb@0.39.0'],
    works: [
      {
        tables: { en: 'tables made, appended to, searched', zh: '建表、追加、检索' },
        reopened: { en: 'read back after reopening', zh: '重新打开后读回' },
        changes: { en: 'update, delete, merge', zh: '更新、删除、合并' },
        writers: {
          en: 'several writers at once (it commits by `If-None-Match`)',
          zh: '多个写入者同时写(以 `If-None-Match` 提交)',
        },
        indexes: { en: 'vector and full-text indexes', zh: '向量与全文索引' },
        versions: { en: 'earlier versions, `optimize`', zh: '历史版本、`optimize`' },
        drops: { en: 'tables dropped', zh: '删表' },
      },
    ],
  }),
  npmClient({
    name: 'Polars',
    scenario: 'polars',
    packages: ['nodejs-polars@0.26.1'],
    works: [{ parquet: { en: 'Parquet files written and scanned', zh: 'Parquet 文件的写入与扫描' } }],
  }),
];
