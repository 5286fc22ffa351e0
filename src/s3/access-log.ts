/** One line and a few figures per request. No signature, no Authorization header, no secret gets in. */
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import { maskQuerySecrets } from '../async/secret-query.js';
import type { AuditedAs } from './operation.js';

export interface AccessRecord {
  readonly requestId: string;
  readonly method: string;
  /** As sent. */
  readonly url: string;
  readonly operation: string;
  /** What the audit log calls what it changed; undefined for what changes nothing, or is no operation. */
  readonly audited: AuditedAs | undefined;
  readonly bucket: string;
  /** '' where it is about a bucket or all of them. */
  readonly key: string;
  /** What a request that names its keys in its body has changed; in the audit log alone. */
  readonly changedKeys: readonly string[] | undefined;
  /** The proxy's id of the request, where a trusted one sent it. */
  readonly upstreamRequestId: string | undefined;
  readonly accessKeyId: string | undefined;
  readonly status: number;
  readonly code: string | undefined;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  readonly remoteAddress: string | undefined;
  /** Of the client behind trusted proxies; remoteAddress is whoever connected. */
  readonly clientAddress: string | undefined;
  readonly userAgent: string | undefined;
  /** False where the client did not get the whole answer. */
  readonly isWhole: boolean;
}

export function recordAccess(record: AccessRecord, log: Log, metrics: Metrics): void {
  const { operation } = record;
  metrics.count('gateway_http_requests_total', { operation, status: String(record.status) });
  metrics.observe('gateway_http_request_duration_seconds', record.durationMs / 1000, { operation });
  if (record.bytesIn > 0) metrics.count('gateway_http_bytes_total', { direction: 'in' }, record.bytesIn);
  if (record.bytesOut > 0) metrics.count('gateway_http_bytes_total', { direction: 'out' }, record.bytesOut);
  log.info('request', {
    requestId: record.requestId,
    upstreamRequestId: record.upstreamRequestId,
    method: record.method,
    url: maskQuerySecrets(record.url),
    operation,
    bucket: record.bucket,
    accessKeyId: record.accessKeyId,
    status: record.status,
    code: record.code,
    bytesIn: record.bytesIn,
    bytesOut: record.bytesOut,
    durationMs: Math.round(record.durationMs),
    remoteAddress: record.remoteAddress,
    clientAddress: record.clientAddress,
    userAgent: record.userAgent,
    isWhole: record.isWhole,
  });
}
