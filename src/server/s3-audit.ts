/** What of S3 goes into the audit log: changes in buckets that no registry reports for, and who was turned away. */
import type { Audit } from '../async/audit.js';
import type { AccessRecord } from '../s3/access-log.js';

/** Answers of 400 that mean: this signature is not one. 401 and 403 always do. */
const REFUSED_CODES: ReadonlySet<string> = new Set([
  'AuthorizationHeaderMalformed',
  'AuthorizationQueryParametersError',
  'XAmzContentSHA256Mismatch',
]);

export interface S3AuditDeps {
  readonly audit: Audit;
  /** For refusals, which anybody can cause. */
  readonly guarded: Audit;
  /** Buckets whose changes the registry reports. */
  readonly registryBuckets: ReadonlySet<string>;
}

/** The hook of the S3 endpoint; called once per request, when its answer is out. */
export function s3Audit(deps: S3AuditDeps): (record: AccessRecord) => void {
  return (record) => {
    const { operation, audited, bucket, key, status, code, requestId, upstreamRequestId } = record;
    const event = {
      who: record.accessKeyId ?? 'anonymous',
      subject: key === '' ? bucket : `${bucket}/${key}`,
      from: record.clientAddress ?? 'unknown',
      requestId,
    };
    const detail = {
      operation,
      ...(code === undefined ? {} : { code }),
      ...(upstreamRequestId === undefined ? {} : { upstreamRequestId }),
    };
    if (status === 401 || status === 403 || (code !== undefined && REFUSED_CODES.has(code))) {
      void deps.guarded.record({ ...event, action: 's3.refuse', result: 'refused', detail });
      return;
    }
    // 303: a form's redirect after its object is stored.
    const isDone = status < 300 || (operation === 'PostObject' && status === 303);
    if (audited === undefined || audited === 'unseen' || !isDone || deps.registryBuckets.has(bucket)) return;

    if (record.changedKeys) {
      for (const changed of record.changedKeys)
        void deps.audit.record({
          ...event,
          subject: `${bucket}/${changed}`,
          action: audited,
          result: 'ok',
          detail,
        });
      return;
    }
    const size = record.bytesIn > 0 ? { bytes: record.bytesIn } : {};
    void deps.audit.record({ ...event, action: audited, result: 'ok', detail: { ...detail, ...size } });
  };
}
