/** What an S3 operation gets and gives; one operation per file in operations/. */
import type { Readable } from 'node:stream';
import type { AuditAction } from '../async/audit.js';
import type { ObjectKey } from '../format/ids.js';
import type { ObjectsApi, RequestBody, RequestContext } from '../objects/api.js';
import type { BucketSettings } from './bucket-settings.js';
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import type { FormFields } from './post-form/fields.js';
import type { PostPolicy } from './post-form/policy.js';
import type { Query } from './request-target.js';
import type { Right } from './sigv4/credentials.js';
import type { Identity } from './sigv4/verify.js';

export interface OperationRequest {
  readonly objects: ObjectsApi;
  readonly settings: BucketSettings;
  readonly region: string;
  /** '' for the service. */
  readonly bucket: string;
  /** Checked; only of object operations. */
  readonly key: ObjectKey;
  readonly query: Query;
  readonly headers: RequestHeaders;
  readonly identity: Identity;
  readonly context: RequestContext;
  /** Address of the bucket in the style that the client used, for Location: `${bucketUrl}/${key, encoded}`. */
  readonly bucketUrl: string;
  /**
   * Who signed a form; for the operation that is signed by one.
   * @throws S3Error where nobody did, or one who may not write to the bucket
   */
  readonly verifyForm: (fields: FormFields) => { readonly policy: PostPolicy; readonly nowMs: number };
  /**
   * The body; to be called once, by operations that have one.
   * @param isOfObject the checksum headers are of an object and not of this body
   */
  readonly body: (isOfObject?: 'checksum-is-of-object') => RequestBody;
  /** How long a body may stand still, milliseconds. */
  readonly bodyIdleTimeoutMs: number;
}

/** The bytes of an answer, and how many of them Content-Length announces. */
export interface AnswerBytes {
  readonly open: () => Readable;
  /** All of them, where they are at hand: nothing is opened then. */
  readonly bytes?: Uint8Array;
  readonly lengthBytes: number;
  /** Takes back a piece of the stream once the system has all its bytes. */
  readonly giveBack?: (piece: Uint8Array) => void;
}

export interface OperationAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A document (XML unless headers say otherwise), or bytes whose number stands in Content-Length. */
  readonly body?: string | AnswerBytes;
  /** Keys that were changed, where the request's target does not name them: for the audit log. */
  readonly changedKeys?: readonly string[];
}

/** What the audit log calls a change; `unseen`: nobody sees one yet (parts of an upload, lists of buckets). */
export type AuditedAs =
  Extract<AuditAction, `object.${string}` | 'bucket.create' | 'bucket.delete'> | 'unseen';

/** An operation that may change something says what the audit log makes of it, or does not compile. */
export type Operation = Described & (Reads | MayChange);

interface Reads {
  /** What the access key needs on the bucket. */
  readonly right: 'read';
  readonly audited?: undefined;
}

interface MayChange {
  /** The service itself, and `none`, need a valid signature only. */
  readonly right: Exclude<Right, 'read'>;
  readonly audited: AuditedAs;
}

interface Described {
  /** As in the Amazon S3 API reference. */
  readonly name: string;
  readonly target: 'service' | 'bucket' | 'object';
  /** Query parameters that it acts on, beside the sub-resource that names it; any other is refused (declared.ts). */
  readonly parameters?: readonly string[];
  /** Headers that it acts on: of `x-amz-*` and of conditions. A last hyphen stands for all that begin so. */
  readonly headers?: readonly string[];
  /** Its signature stands in the body, so it runs before it is known who asks. */
  readonly signedBy?: 'form';
  run(request: OperationRequest): Promise<OperationAnswer>;
}

export function xmlAnswer(body: string, headers: Record<string, string> = {}): OperationAnswer {
  return { status: 200, headers, body };
}

const INT32_MAX = 2_147_483_647;

/**
 * A whole number from the query, cut to `capped`.
 * @throws S3Error InvalidArgument
 */
export function readCount(query: Query, name: string, fallback: number, capped: number): number {
  const text = query.get(name);
  if (text === undefined || text === '') return fallback;
  const count = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= 0 && count <= INT32_MAX))
    throw new S3Error(
      'InvalidArgument',
      count < 0
        ? `Argument ${name} must be an integer between 0 and ${INT32_MAX}`
        : `Provided ${name} not an integer or within integer range`,
      { fields: { ArgumentName: name, ArgumentValue: text } },
    );
  return Math.min(count, capped);
}

/** @throws S3Error InvalidArgument where it is not 1 to 10,000. */
export function readPartNumber(query: Query): number {
  const text = query.get('partNumber') ?? '';
  const partNumber = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (partNumber < 1 || partNumber > 10_000)
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive', {
      fields: { ArgumentName: 'partNumber', ArgumentValue: text },
    });
  return partNumber;
}

/** There is one version of everything, named null. @throws S3Error NoSuchVersion */
export function checkVersion(query: Query): void {
  const versionId = query.get('versionId');
  if (versionId !== undefined && versionId !== 'null' && versionId !== '')
    throw new S3Error('NoSuchVersion', undefined, { fields: { VersionId: versionId } });
}
