import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { ListObjectsV2Command, type S3Client, type S3ServiceException } from '@aws-sdk/client-s3';
import { seededBytes } from './bytes.js';
import { until } from './child.js';
import { WireClient } from './s3-client.js';
import { startStack, type Stack } from './stack.js';

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly lastModified: string;
}

/** The generic bucket `files` of a running gateway, with two clients: the AWS SDK, and one for exact bytes. */
export interface S3Bucket {
  readonly stack: Stack;
  readonly s3: S3Client;
  readonly wire: WireClient;
  readonly Bucket: 'files';
  /** Every key of the bucket, page by page. */
  listing(prefix?: string): Promise<ListedObject[]>;
  /** Waits until all that was written is in a commit on Gitee. */
  landed(bucket?: string): Promise<void>;
  close(): Promise<void>;
}

/** @param options.accessKeys further keys, as rows of the configuration. */
export async function startS3Bucket(
  options: {
    config?: Record<string, unknown>;
    accessKeys?: readonly Record<string, unknown>[];
    /** The client's key may create buckets, on a branch of their own of acme/files. */
    createBuckets?: boolean;
  } = {},
): Promise<S3Bucket> {
  const stack = await startStack({ ...(options.config ? { config: options.config } : {}), start: false });
  const { configFile } = stack.gateway;
  const written = JSON.parse(await readFile(configFile, 'utf8')) as {
    access_keys: Record<string, unknown>[];
    create_buckets?: Record<string, unknown>;
  };
  if (options.createBuckets) {
    written.create_buckets = { repository: 'acme/files', branch: 'buckets', ...written.create_buckets };
    written.access_keys[0]!['create_buckets'] = true;
  }
  written.access_keys.push(...(options.accessKeys ?? []));
  await writeFile(configFile, JSON.stringify(written, null, 2), { mode: 0o600 });
  await stack.gateway.start();
  const { endpoint, accessKeyId, secretAccessKey } = stack.gateway;
  const s3 = stack.gateway.s3Client();
  return {
    stack,
    s3,
    wire: new WireClient({ endpoint, accessKeyId, secretAccessKey, region: 'us-east-1' }),
    Bucket: 'files',
    listing: (prefix) => listAll(s3, 'files', prefix),
    landed: (bucket = 'files') =>
      until(`all of ${bucket} is on Gitee`, async () => {
        return (await stack.gateway.metric('gateway_journal_pending_changes', { bucket })) === 0;
      }),
    close: async () => {
      s3.destroy();
      await stack.close();
    },
  };
}

async function listAll(s3: S3Client, Bucket: string, Prefix?: string): Promise<ListedObject[]> {
  const all: ListedObject[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await s3.send(
      new ListObjectsV2Command({
        Bucket,
        ...(Prefix === undefined ? {} : { Prefix }),
        ...(ContinuationToken === undefined ? {} : { ContinuationToken }),
      }),
    );
    for (const entry of page.Contents ?? [])
      all.push({
        key: entry.Key!,
        sizeBytes: entry.Size!,
        etag: entry.ETag!,
        lastModified: entry.LastModified!.toISOString(),
      });
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  return all;
}

/** {@link seededBytes}, with the seed that hardly any test names. */
export const bytesOf = (sizeBytes: number, seed = 'seed'): Buffer => seededBytes(seed, sizeBytes);

export const md5Hex = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

/** ETag of a multipart object as S3 makes it: the MD5 of the parts' MD5s, and their number. */
export function multipartEtag(parts: readonly Uint8Array[]): string {
  const digests = parts.map((part) => createHash('md5').update(part).digest());
  return `"${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${parts.length}"`;
}

/** Status and name of the error that a request was answered with; `[200]` where there was none. */
export async function refusal(request: Promise<unknown>): Promise<(number | string | undefined)[]> {
  try {
    await request;
    return [200];
  } catch (error) {
    const { $metadata, name } = error as S3ServiceException;
    if ($metadata === undefined) throw error;
    return [$metadata.httpStatusCode, name];
  }
}
