/**
 * Attacks "errors are translated at the seam, streams included", over HTTP: bytes that are not here while Gitee is away
 * are 503 with Retry-After on every way to them, never 500 and never a 200 that breaks off.
 */
import { key } from '../../support/journal-bucket.js';
import { seededBytes } from '../../support/bytes.js';
import { startObjectService } from '../../support/object-service.js';
import { startAppOver } from '../../support/s3-app.js';
import type { S3Answer, S3Request } from '../../support/s3-client.js';

type Send = (request: S3Request) => Promise<S3Answer>;

const copySource = { 'x-amz-copy-source': 'images/far' };
const copy = (path: string, headers: Record<string, string> = {}) => ({
  ...{ method: 'PUT', path, headers: { ...copySource, ...headers } },
});

/** An upload of one part that is copied; the first answer that is no success. */
async function partCopy(send: Send, path: string, created: Record<string, string>, range?: string) {
  const { text } = await send({ method: 'POST', path, query: { uploads: '' }, headers: created });
  const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(text)![1]!;
  const headers = { ...copySource, ...(range ? { 'x-amz-copy-source-range': range } : {}) };
  const query = { uploadId, partNumber: '1' };
  const part = await send({ method: 'PUT', path, query, headers });
  if (part.status !== 200) return part;
  const etag = /<ETag>(.*)<\/ETag>/.exec(part.text)![1]!;
  const listed = `<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`;
  const body = `<CompleteMultipartUpload>${listed}</CompleteMultipartUpload>`;
  return send({ method: 'POST', path, query: { uploadId }, body });
}

test.each<[string, (send: Send) => Promise<S3Answer>]>([
  ['GetObject', (send) => send({ method: 'GET', path: '/images/far' })],
  [
    'GetObject of a range',
    (send) => send({ method: 'GET', path: '/images/far', headers: { range: 'bytes=10-19' } }),
  ],
  ['CopyObject into another bucket', (send) => send(copy('/other/k'))],
  ['CopyObject with a checksum', (send) => send(copy('/images/k', { 'x-amz-checksum-algorithm': 'SHA256' }))],
  ['UploadPartCopy into another bucket', (send) => partCopy(send, '/other/k', {})],
  [
    'UploadPartCopy with a checksum',
    (send) => partCopy(send, '/images/k', { 'x-amz-checksum-algorithm': 'SHA256' }),
  ],
  [
    'CompleteMultipartUpload of a part so short that it becomes a file',
    (send) => partCopy(send, '/images/k', {}, 'bytes=0-19'),
  ],
])('%s', async (_way, run) => {
  const service = await startObjectService();
  const app = await startAppOver(service.objects);
  try {
    await service.putRemoteOnly(key('far'), seededBytes(5, 3000));
    service.setAway(true);
    const { headers, status, text } = await service.settle(run((request) => app.client.send(request)));
    expect([status, /<Code>(.*)<\/Code>/.exec(text)?.[1]]).toEqual([503, 'ServiceUnavailable']);
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
  } finally {
    await app.close();
    await service.close();
  }
});
