/** The XML document of an error, and the ids that every answer carries. */
import { randomFillSync } from 'node:crypto';
import type { S3Error } from './errors.js';
import { document, element } from './xml/write.js';

export interface RequestId {
  /** x-amz-request-id: 16 hex digits, upper case. */
  readonly id: string;
  /** x-amz-id-2 */
  readonly hostId: string;
}

const ID_BYTES = 32;
/** Bytes of the next ids: the way to the system's random numbers costs more than an id, and is gone once for many. */
const pool = Buffer.alloc(128 * ID_BYTES);
let taken = pool.length;

export function newRequestId(): RequestId {
  if (taken === pool.length) {
    randomFillSync(pool);
    taken = 0;
  }
  const bytes = pool.subarray(taken, (taken += ID_BYTES));
  return {
    id: bytes.subarray(0, 8).toString('hex').toUpperCase(),
    hostId: bytes.subarray(8).toString('base64'),
  };
}

/** What the failed request was about; S3 repeats it in some documents. */
export interface ErrorSubject {
  /** Path as sent. */
  readonly resource: string;
  readonly bucket: string;
  readonly key: string;
}

export const NO_SUBJECT: ErrorSubject = { resource: '', bucket: '', key: '' };

function namedBySubject({ code }: S3Error, subject: ErrorSubject): Record<string, string> {
  if (code === 'NoSuchKey' || code === 'NoSuchVersion') return { Key: subject.key };
  return code === 'NoSuchBucket' ? { BucketName: subject.bucket } : {};
}

export function errorDocument(error: S3Error, requestId: RequestId, subject: ErrorSubject): string {
  // What the error itself names goes first: a copy may fail for its source, which is not the subject.
  const fields = Object.entries({ ...namedBySubject(error, subject), ...error.fields }).map(([name, value]) =>
    element(name, value),
  );
  return document(
    'Error',
    [
      element('Code', error.code),
      element('Message', error.message),
      ...fields,
      element('Resource', subject.resource),
      element('RequestId', requestId.id),
      element('HostId', requestId.hostId),
    ],
    // S3's error documents have no namespace.
    { namespace: false },
  );
}
