/**
 * The columns of the fault matrix: every operation of S3 that this gateway has, and a push and a pull of the stock
 * registry. Those that change something stand in it twice where they can: on a key that is acknowledged once it is
 * safe on this disk, and on one that waits for Gitee.
 */
import { createHash } from 'node:crypto';
import { ROUTES } from '../../../src/s3/routes.js';
import { until } from '../../support/child.js';
import { ABSENT, valueOf, type History, type Value } from '../../support/history/history.js';
import { formBody, FORM_TYPE, signedForm } from '../../support/post-form.js';
import { encodePath, type S3Request, type WireClient } from '../../support/s3-client.js';
import { bytesOf } from '../../support/s3-bucket.js';

/** What an operation needs, and so what can keep it from its answer. */
export type Group =
  /** The index, which is on this disk. */
  | 'looks'
  /** Bytes that are on this disk. */
  | 'reads here'
  /** Bytes that only Gitee has. */
  | 'reads from Gitee'
  /** This disk; Gitee has it later. */
  | 'writes'
  /** What is on the branch now, and Gitee's number of the repository; then this disk. */
  | 'makes buckets'
  /** What is on the branch now; then this disk. */
  | 'removes buckets'
  /** A commit on Gitee, and LFS objects there: of its own, or of what was written before it. */
  | 'waits'
  /** An operator's command about what is on this disk. */
  | 'operates'
  /** One that asks Gitee for what it needs, and changes nothing there. */
  | 'asks for the branch'
  | 'asks for LFS objects'
  | 'asks for both';

/** Larger than what stands in git itself (inline_limit of the world): in LFS. */
export const CHUNKED_BYTES = 70_000;

/** What is changed, and to what: a key of the bucket `files`, or a bucket. */
export interface Effect {
  readonly key: string;
  readonly value: Value;
}

/** What an operation is done on: keys below a prefix that nobody else uses. */
interface Place {
  readonly wire: WireClient;
  /** Of the bucket `files`, and of which buckets there are. */
  readonly history: History;
  readonly buckets: History;
  /** Ends in a slash. */
  readonly prefix: string;
  /** Of an object that only Gitee has. */
  readonly remoteKey: string;
  /** Of another one. */
  readonly remoteBody: Buffer;
}

/** A form is signed by its fields, and by no header. */
export type MatrixRequest = S3Request & { readonly isForm?: true };

export interface Prepared {
  readonly request: MatrixRequest;
  readonly effects: readonly Effect[];
  /** The object whose bytes are asked for. */
  readonly reads?: string;
}

/** Those whose request has a body. */
const WITH_BODY = new Set([
  ...[
    'PutObject',
    'PostObject',
    'DeleteObjects',
    'PutObjectTagging',
    'CompleteMultipartUpload',
    'UploadPart',
  ],
]);
export const hasBody = ({ s3 }: MatrixOperation): boolean => s3 !== undefined && WITH_BODY.has(s3);

/** Those that have nothing to show, and those that have nothing to say. */
const ANSWERED_404 = new Set([
  ...['GetBucketPolicyStatus', 'GetBucketPolicy', 'GetBucketCors', 'GetBucketLifecycleConfiguration'],
  ...['GetBucketTagging', 'GetObjectLockConfiguration', 'GetBucketEncryption', 'GetBucketWebsite'],
  ...['GetBucketReplication', 'GetBucketOwnershipControls', 'GetPublicAccessBlock'],
]);
const ANSWERED_204 = new Set([
  ...['PostObject', 'DeleteObject', 'DeleteObjectTagging', 'AbortMultipartUpload', 'DeleteBucket'],
]);
/** The status where all is well. */
export function wellAnswer({ s3 = '' }: MatrixOperation): number {
  if (ANSWERED_404.has(s3)) return 404;
  return ANSWERED_204.has(s3) ? 204 : 200;
}

export interface MatrixOperation {
  readonly name: string;
  /** As S3 calls it; undefined for those of the registry and of operators. */
  readonly s3: string | undefined;
  readonly group: Group;
  /** Does what must be there before, while all is well. Of a push or a pull the registry does the rest. */
  readonly prepare?: (place: Place) => Promise<Prepared>;
}

const path = (key: string): string => `/files/${encodePath(key)}`;

async function must(place: Place, request: S3Request) {
  let answer = await place.wire.send(request);
  // Put off, and stored: the same again is told when it has landed.
  await until('what must be there before is there', async () => {
    if (answer.status === 503) answer = await place.wire.send(request);
    return answer.status !== 503;
  });
  if (answer.status >= 300)
    throw new Error(`${request.method} ${request.path}: ${answer.status} ${answer.text}`);
  return answer;
}

async function seed(place: Place, key: string, body: Buffer | string = 'seed'): Promise<void> {
  await must(place, { method: 'PUT', path: path(key), body });
  place.history.begins(key, valueOf(body));
}

async function beginUpload(place: Place, key: string): Promise<string> {
  return (await must(place, { method: 'POST', path: path(key), query: { uploads: '' } })).xml('UploadId')!;
}

async function sendPart(place: Place, key: string, uploadId: string, body: Buffer): Promise<string> {
  const query = { uploadId, partNumber: '1' };
  return (await must(place, { method: 'PUT', path: path(key), query, body })).headers.etag!;
}

const TAGGING = '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>';
export const TAGS_KEY = '?tagging';
/** As the view of the matrix says tags. */
const TAGS_VALUE = 'a=b';

/** Each makes, of a key of its own, the request that changes it. */
const WRITES: Record<string, (place: Place, key: string) => Promise<Prepared>> = {
  PutObject: async (_, key) => {
    const body = Buffer.from(`inline ${key}`);
    return { request: { method: 'PUT', path: path(key), body }, effects: [{ key, value: valueOf(body) }] };
  },
  CopyObject: async (place, key) => {
    const [source, body] = [`source/${key}`, bytesOf(CHUNKED_BYTES, `copied ${key}`)];
    await seed(place, source, body);
    const headers = { 'x-amz-copy-source': encodePath(`files/${source}`) };
    return { request: { method: 'PUT', path: path(key), headers }, effects: [{ key, value: valueOf(body) }] };
  },
  PostObject: async (place, key) => {
    const content = `posted ${key}`;
    const body = formBody(
      signedForm(place.wire.target, { bucket: 'files', key, file: { filename: 'f', content } }),
    );
    const headers = { 'content-type': FORM_TYPE };
    const request: MatrixRequest = { method: 'POST', path: '/files', body, headers, isForm: true };
    return { request, effects: [{ key, value: valueOf(content) }] };
  },
  DeleteObject: async (place, key) => {
    await seed(place, key);
    return { request: { method: 'DELETE', path: path(key) }, effects: [{ key, value: ABSENT }] };
  },
  DeleteObjects: async (place, key) => {
    const keys = [`${key} 1`, `${key} 2`];
    for (const one of keys) await seed(place, one);
    const body = `<Delete>${keys.map((one) => `<Object><Key>${one}</Key></Object>`).join('')}</Delete>`;
    return {
      request: { method: 'POST', path: '/files', query: { delete: '' }, body, headers: contentMd5(body) },
      effects: keys.map((one) => ({ key: one, value: ABSENT })),
    };
  },
  PutObjectTagging: async (place, key) => {
    await seed(place, key);
    return {
      request: { method: 'PUT', path: path(key), query: { tagging: '' }, body: TAGGING },
      effects: [{ key: key + TAGS_KEY, value: TAGS_VALUE }],
    };
  },
  DeleteObjectTagging: async (place, key) => {
    await seed(place, key);
    await must(place, { method: 'PUT', path: path(key), query: { tagging: '' }, body: TAGGING });
    place.history.begins(key + TAGS_KEY, TAGS_VALUE);
    return {
      request: { method: 'DELETE', path: path(key), query: { tagging: '' } },
      effects: [{ key: key + TAGS_KEY, value: ABSENT }],
    };
  },
  CompleteMultipartUpload: async (place, key) => {
    const [uploadId, body] = [await beginUpload(place, key), bytesOf(CHUNKED_BYTES, `part ${key}`)];
    const etag = await sendPart(place, key, uploadId, body);
    const parts = `<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`;
    const document = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`;
    return {
      request: { method: 'POST', path: path(key), query: { uploadId }, body: document },
      effects: [{ key, value: valueOf(body) }],
    };
  },
};

/** Writes of which this disk is told, and Gitee later or never. */
const LOCAL_WRITES: Record<string, (place: Place, key: string) => Promise<Prepared>> = {
  CreateMultipartUpload: async (_, key) => ({
    request: { method: 'POST', path: path(key), query: { uploads: '' } },
    effects: [],
  }),
  UploadPart: async (place, key) => {
    const query = { uploadId: await beginUpload(place, key), partNumber: '1' };
    const body = bytesOf(CHUNKED_BYTES, `part ${key}`);
    return { request: { method: 'PUT', path: path(key), query, body }, effects: [] };
  },
  UploadPartCopy: async (place, key) => {
    const source = `source/${key}`;
    await seed(place, source, bytesOf(CHUNKED_BYTES, source));
    const query = { uploadId: await beginUpload(place, key), partNumber: '1' };
    const headers = { 'x-amz-copy-source': encodePath(`files/${source}`) };
    return { request: { method: 'PUT', path: path(key), query, headers }, effects: [] };
  },
  AbortMultipartUpload: async (place, key) => {
    const uploadId = await beginUpload(place, key);
    return { request: { method: 'DELETE', path: path(key), query: { uploadId } }, effects: [] };
  },
};

/** Reads of one object, by their query. */
const LOOKS_AT_OBJECT: Record<string, readonly [method: string, query: Record<string, string>]> = {
  HeadObject: ['HEAD', {}],
  GetObjectTagging: ['GET', { tagging: '' }],
  GetObjectAttributes: ['GET', { attributes: '' }],
  GetObjectAcl: ['GET', { acl: '' }],
};

function writes(s3: string, make: (place: Place, key: string) => Promise<Prepared>): MatrixOperation[] {
  const at = (directory: string) => (place: Place) => make(place, `${directory}/${place.prefix}${s3}`);
  return [
    { name: s3, s3, group: 'writes', prepare: at('here') },
    { name: `${s3} that waits`, s3, group: 'waits', prepare: at('now') },
  ];
}

const reads = (s3: string, group: Group, request: (place: Place) => Promise<S3Request>): MatrixOperation => ({
  ...{ name: s3, s3, group },
  prepare: async (place) => ({ request: await request(place), effects: [] }),
});

const lookedAt = (place: Place, s3: string) => `${place.prefix}looked at by ${s3}`;

/** Those of a bucket by its query: the index alone, or not even that. */
const ofBucket = ROUTES.filter(
  ({ operation, target, method }) =>
    operation && target === 'bucket' && (method === 'GET' || method === 'HEAD'),
).map(({ name, method, when }) =>
  reads(name, 'looks', () => {
    const [parameter = '', value = ''] = when.split('=');
    return Promise.resolve({ method, path: '/files', query: parameter === '' ? {} : { [parameter]: value } });
  }),
);

export const CLIENT_OPERATIONS: readonly MatrixOperation[] = [
  ...Object.entries(WRITES).flatMap(([s3, make]) => writes(s3, make)),
  {
    ...{ name: 'PutObject in LFS', s3: 'PutObject', group: 'writes' },
    prepare: (place) => {
      const [key, body] = [`here/${place.prefix}in LFS`, bytesOf(CHUNKED_BYTES, place.prefix)];
      const request = { method: 'PUT', path: path(key), body };
      return Promise.resolve({ request, effects: [{ key, value: valueOf(body) }] });
    },
  },
  {
    // Gitee is offered what it has.
    ...{ name: 'PutObject of what Gitee has', s3: 'PutObject', group: 'writes' },
    prepare: ({ prefix, remoteBody: body }) => {
      const key = `here/${prefix}on Gitee already`;
      const request = { method: 'PUT', path: path(key), body };
      return Promise.resolve({ request, effects: [{ key, value: valueOf(body) }] });
    },
  },
  ...Object.entries(LOCAL_WRITES).map(([s3, make]): MatrixOperation => ({
    ...{ name: s3, s3, group: 'writes' },
    prepare: (place) => make(place, `here/${place.prefix}${s3}`),
  })),
  reads('ListBuckets', 'looks', () => Promise.resolve({ method: 'GET', path: '/' })),
  ...ofBucket,
  ...Object.entries(LOOKS_AT_OBJECT).map(([s3, [method, query]]) =>
    reads(s3, 'looks', async (place) => {
      const key = lookedAt(place, s3);
      await seed(place, key);
      const headers: Record<string, string> =
        s3 === 'GetObjectAttributes' ? { 'x-amz-object-attributes': 'ObjectSize' } : {};
      return { method, path: path(key), query, headers };
    }),
  ),
  reads('ListParts', 'looks', async (place) => {
    const key = lookedAt(place, 'ListParts');
    return { method: 'GET', path: path(key), query: { uploadId: await beginUpload(place, key) } };
  }),
  {
    ...{ name: 'GetObject', s3: 'GetObject', group: 'reads here' },
    prepare: async (place) => {
      const key = lookedAt(place, 'GetObject');
      await seed(place, key, bytesOf(CHUNKED_BYTES, key));
      return { request: { method: 'GET', path: path(key) }, effects: [], reads: key };
    },
  },
  {
    ...{ name: 'GetObject from Gitee', s3: 'GetObject', group: 'reads from Gitee' },
    prepare: ({ remoteKey: key }) =>
      Promise.resolve({ request: { method: 'GET', path: path(key) }, effects: [], reads: key }),
  },
  {
    ...{ name: 'CreateBucket', s3: 'CreateBucket', group: 'makes buckets' },
    prepare: (place) => {
      const bucket = bucketName(place, 'new');
      const request = { method: 'PUT', path: `/${bucket}` };
      return Promise.resolve({ request, effects: [{ key: bucket, value: 'there' }] });
    },
  },
  {
    ...{ name: 'DeleteBucket', s3: 'DeleteBucket', group: 'removes buckets' },
    prepare: async (place) => {
      const bucket = bucketName(place, 'old');
      await must(place, { method: 'PUT', path: `/${bucket}` });
      place.buckets.begins(bucket, 'there');
      const request = { method: 'DELETE', path: `/${bucket}` };
      return { request, effects: [{ key: bucket, value: ABSENT }] };
    },
  },
  { name: 'docker push', s3: undefined, group: 'waits' },
  { name: 'docker pull', s3: undefined, group: 'reads here' },
];

function bucketName({ prefix }: Place, which: string): string {
  return `${which}-${prefix.replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '')}`.slice(0, 60);
}

function contentMd5(body: string): Record<string, string> {
  return { 'content-md5': createHash('md5').update(body).digest('base64') };
}
