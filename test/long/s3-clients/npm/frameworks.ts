import type { S3Client } from '../client.js';
import { npmClient } from './npm-client.js';

const AWS_SDK = '@aws-sdk/client-s3@3.1164.0';
const NO_OBJECT_ACL = {
  en: 'visibility of single objects: S3’s ACLs of objects are not kept, see [s3-compatibility.md](s3-compatibility.md)',
  zh: '单个对象的可见性:不保存对象的 ACL,见 [s3-compatibility.md](../s3-compatibility.md)',
};

/** Servers and file layers above such a library, most of them the AWS SDK. */
export const FRAMEWORK_CLIENTS: readonly S3Client[] = [
  npmClient({
    name: 'Directus (storage-driver-s3)',
    scenario: 'directus',
    packages: ['@directus/storage-driver-s3@14.0.2'],
    works: [
      'objects',
      'multipart',
      'ranges',
      'pages',
      'copies',
      { resumable: { en: 'resumable uploads', zh: '断点续传' } },
      'deletes',
    ],
  }),
  npmClient({
    name: 'FlyDrive (AdonisJS)',
    scenario: 'flydrive',
    packages: ['flydrive@2.1.0', AWS_SDK, '@aws-sdk/s3-request-presigner@3.1164.0'],
    works: ['objects', { streams: { en: 'streams', zh: '流' } }, 'pages', 'copies', 'presigned', 'deletes'],
    limits: [{ visibility: NO_OBJECT_ACL }],
  }),
  npmClient({
    name: 'Flystorage',
    scenario: 'flystorage',
    packages: ['@flystorage/aws-s3@1.2.0', '@flystorage/file-storage@1.2.2', AWS_SDK],
    works: [
      { files: { en: 'files and directories', zh: '文件与目录' } },
      'multipart',
      'pages',
      'copies',
      'presigned',
      'deletes',
    ],
    limits: [{ visibility: NO_OBJECT_ACL }],
  }),
  npmClient({
    name: 'multer-s3',
    scenario: 'multer-s3',
    packages: ['multer-s3@3.0.1', 'multer@2.5.0', 'express@5.3.0', AWS_SDK],
    works: [{ forms: { en: 'forms with files', zh: '带文件的表单' } }, 'multipart'],
  }),
  npmClient({
    name: 's3-blob-store',
    scenario: 's3-blob-store',
    packages: ['s3-blob-store@4.1.1', 'aws-sdk@2.1693.0'],
    works: [
      { streams: { en: 'streams up in parts and down by ranges', zh: '分片写入流、按范围读出流' } },
      'deletes',
    ],
  }),
  npmClient({
    name: 's3-sync-client',
    scenario: 's3-sync-client',
    packages: ['s3-sync-client@4.3.1', AWS_SDK],
    works: [
      {
        up: {
          en: 'directories up, in parts, and again only what changed',
          zh: '上传目录(分片),再次只传变化',
        },
        down: { en: 'down, over several pages', zh: '下载目录(多页)' },
        across: { en: 'from folder to folder by copies', zh: '目录之间服务端复制' },
        deletes: { en: '`del` of what is gone', zh: '`del` 删除已不存在的' },
      },
    ],
    limits: [
      {
        plus: {
          en: 'copies of keys with `+`: it does not encode their names, and a `+` there is a blank in S3',
          zh: '复制含 `+` 的键:它不编码键名,而 S3 在该处把 `+` 当作空格',
        },
      },
    ],
  }),
  npmClient({
    name: 'Strapi (provider-upload-aws-s3)',
    scenario: 'strapi',
    packages: ['@strapi/provider-upload-aws-s3@5.52.3'],
    works: ['objects', 'multipart', 'deletes'],
    limits: [
      {
        acl: {
          en: 'without `ACL` it asks for `public-read` of every object: set `private`, or `public_read` of the bucket',
          zh: '不写 `ACL` 时它要求每个对象 `public-read`:请设为 `private`,或用存储桶的 `public_read`',
        },
      },
    ],
  }),
  npmClient({
    name: 'Turborepo remote cache',
    scenario: 'turborepo',
    packages: ['turborepo-remote-cache@2.12.0', AWS_SDK],
    virtualHosts: true,
    works: [{ artifacts: { en: 'artifacts kept and found', zh: '构建产物的存取' } }],
  }),
  npmClient({
    name: 'tus (s3-store)',
    scenario: 'tus',
    packages: ['@tus/s3-store@2.0.7', '@tus/server@2.4.5', 'tus-js-client@4.3.1', AWS_SDK],
    works: [
      {
        uploads: { en: 'uploads by tus-js-client', zh: '用 tus-js-client 上传' },
        resumes: {
          en: 'an upload that breaks off within a part goes on, by another server too',
          zh: '上传在分片中途断开后可继续,换一台服务器也可以',
        },
        small: { en: 'pieces below the least part', zh: '小于最小分片的数据块' },
        ends: { en: 'termination', zh: '终止上传' },
        expires: { en: 'expiration', zh: '过期清理' },
      },
    ],
  }),
  npmClient({
    name: 'unstorage (Nitro, Nuxt)',
    scenario: 'unstorage',
    packages: ['unstorage@1.17.6', 'aws4fetch@1.0.20'],
    works: [{ items: { en: 'items, raw ones too', zh: '条目,包括二进制' } }],
    limits: [
      {
        page: { en: '`getKeys` knows the first 1,000 keys only', zh: '`getKeys` 只认前 1,000 个键' },
        clear: { en: '`clear` deletes 1,000 at a time', zh: '`clear` 一次只删 1,000 个' },
      },
    ],
  }),
  npmClient({
    name: 'Uppy Companion',
    scenario: 'companion',
    packages: ['@uppy/companion@6.2.2'],
    works: [
      {
        forms: { en: 'presigned forms for the browser', zh: '供浏览器使用的预签名表单' },
        multipart: { en: 'presigned parts, listed and completed', zh: '预签名分片,列举并完成' },
      },
    ],
  }),
];
