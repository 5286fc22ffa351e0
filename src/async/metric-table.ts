/**
 * The table of metrics: whatever is measured has its row here, and nobody can count what has none, or with other
 * labels: it does not compile (and throws where labels are left out altogether). docs/operations.md lists the same; a test compares them.
 */
export interface MetricRow {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds, of histograms. */
  readonly buckets?: readonly number[];
}

const SECONDS = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120];
const CHANGES = [1, 2, 5, 10, 20, 50, 100, 500, 1000, 5000, 10_000];

const counter = <const N extends string, const L extends readonly string[]>(
  name: N,
  help: string,
  ...labels: L
) => ({ name, kind: 'counter', help, labels }) as const;
const gauge = <const N extends string, const L extends readonly string[]>(
  name: N,
  help: string,
  ...labels: L
) => ({ name, kind: 'gauge', help, labels }) as const;
const histogram = <const N extends string, const L extends readonly string[]>(
  name: N,
  help: string,
  buckets: readonly number[],
  ...labels: L
) => ({ name, kind: 'histogram', help, buckets, labels }) as const;

export const METRICS = [
  counter('gateway_http_requests_total', 'S3 requests answered.', 'operation', 'status'),
  histogram('gateway_http_request_duration_seconds', 'Time to answer an S3 request.', SECONDS, 'operation'),
  counter('gateway_http_bytes_total', 'Bytes of S3 bodies, in (uploads) and out (downloads).', 'direction'),
  counter('gateway_cache_reads_total', 'Chunk reads by where the chunk was: hit, miss, spool.', 'result'),
  gauge('gateway_cache_bytes', 'Bytes of chunks in the cache.'),
  gauge('gateway_cache_limit_bytes', 'Size of the cache, as configured and as the disk allows.'),
  counter('gateway_cache_evictions_total', 'Chunks removed from the cache to make room.'),
  gauge('gateway_spool_unsent_bytes', 'Bytes of chunks that are not yet on Gitee.'),
  gauge('gateway_spool_unsent_chunks', 'Chunks that are not yet on Gitee.'),
  gauge('gateway_spool_grace_bytes', 'Bytes of chunks on Gitee that are still pinned here.'),
  gauge(
    'gateway_spool_grace_limit_bytes',
    'Such bytes from which on the oldest go to the cache, as configured and as the disk allows.',
  ),
  gauge(
    'gateway_spool_limit_bytes',
    'Unsent bytes from which uploads wait (soft) or are refused (hard), as configured.',
    'limit',
  ),
  gauge('gateway_disk_free_bytes', 'Free bytes of the disk that the state directory lies on.'),
  gauge('gateway_disk_reserve_bytes', 'Free bytes below which nothing is admitted, as configured.'),
  gauge(
    'gateway_disk_ballast_bytes',
    'Bytes that are kept for deletions and commits on a full disk; 0 while they are given up.',
  ),
  gauge(
    'gateway_spool_bytes_at_risk',
    'Acknowledged bytes that the loss of this disk would lose: not on Gitee yet, or in no commit there, so that Gitee may clean them up.',
  ),
  counter('gateway_admission_waits_total', 'Uploads that had to wait for the line, by outcome.', 'result'),
  gauge(
    'gateway_admission_pending_bytes',
    'Bytes that somebody will wait for and that have not crossed the line, with what is being read of them.',
  ),
  gauge('gateway_admission_budget_bytes', 'So many of them are taken at the pace of the line.'),
  gauge('gateway_admission_waiting', 'Bodies that wait until the line takes more.'),
  gauge('gateway_admission_oldest_wait_seconds', 'How long the first of them has waited for its next piece.'),
  gauge('gateway_uplink_bytes_per_second', 'Measured speed of uploads to Gitee.'),
  gauge('gateway_journal_pending_changes', 'Changes that are not yet in a commit on Gitee.', 'bucket'),
  gauge('gateway_journal_pending_bytes', 'Bytes of the objects that these write.', 'bucket'),
  gauge('gateway_journal_oldest_pending_seconds', 'Age of the oldest such change.', 'bucket'),
  counter('gateway_journal_appends_total', 'Changes made durable in the journal.', 'bucket'),
  counter('gateway_commits_total', 'Attempts to land a commit, by result.', 'bucket', 'result'),
  histogram('gateway_commit_duration_seconds', 'Time to land a commit on Gitee.', SECONDS, 'bucket'),
  histogram('gateway_commit_changes', 'Changes in one commit.', CHANGES, 'bucket'),
  counter('gateway_barrier_waits_total', 'Writes that waited for Gitee, by result.', 'bucket', 'result'),
  gauge(
    'gateway_doubtful_changes',
    'Changes that wait for single LFS objects which Gitee does not take at the moment.',
    'bucket',
  ),
  gauge('gateway_quarantined_changes', 'Changes that Gitee refuses for good.', 'bucket'),
  gauge('gateway_quarantined_bytes', 'Bytes of the objects that these write.', 'bucket'),
  gauge('gateway_bucket_frozen', '1 where the bucket is read-only until accept-remote.', 'bucket'),
  gauge('gateway_bucket_paused', '1 where commits wait for an operator, by cause.', 'bucket', 'cause'),
  counter('gateway_lfs_requests_total', 'Requests of the LFS protocol.', 'operation', 'result'),
  counter('gateway_lfs_uploaded_bytes_total', 'Bytes sent to LFS.'),
  counter('gateway_lfs_downloaded_bytes_total', 'Bytes fetched from LFS.'),
  counter('gateway_gitee_errors_total', 'Failed calls to Gitee, by cause (docs/errors.md).', 'cause'),
  gauge(
    'gateway_gitee_unanswered_seconds',
    'How long Gitee has given no answer to this use: upload, download, commit, fetch, batch; 0 where it does.',
    'use',
  ),
  gauge(
    'gateway_downloads',
    'Chunks that are fetched now (running), or wait for their turn (waiting).',
    'state',
  ),
  gauge(
    'gateway_downlink_bytes_per_second',
    'Measured speed of downloads from Gitee, when last there were any.',
  ),
  counter('gateway_gitee_api_requests_total', 'Calls of the API v5.', 'result'),
  gauge('gateway_gitee_rate_limit_remaining', 'Calls left in the rate window, as Gitee says.'),
  counter(
    'gateway_git_operations_total',
    'Pushes to and fetches from the branch on Gitee.',
    'operation',
    'result',
  ),
  histogram('gateway_git_operation_duration_seconds', 'Time of such runs.', SECONDS, 'operation'),
  counter('gateway_git_packing_runs_total', 'Runs that joined packs of the local repository.', 'result'),
  histogram('gateway_git_packing_duration_seconds', 'Time of such runs; pushes go on beside them.', SECONDS),
  gauge(
    'gateway_git_packs',
    'Packs of the local repository: each push adds one. Buckets on one branch have one repository, told under one of them.',
    'bucket',
  ),
  gauge('gateway_git_loose_objects', 'Loose objects of the local repository; pushes make none.', 'bucket'),
  gauge('gateway_git_local_bytes', 'Bytes of the local repository.', 'bucket'),
  gauge('gateway_lfs_quota_bytes', 'LFS space as configured in gitee.lfs_quota_bytes; 0 where it is not.'),
  gauge(
    'gateway_lfs_used_bytes',
    'LFS space in use as far as this gateway knows: each object once that it sent, or that the branch named and Gitee has; not what was deleted from the branch before this state directory began. Gitee has no call that tells it.',
  ),
  counter('gateway_chunk_hash_failures_total', 'Chunks whose bytes did not hash to their oid.', 'where'),
  counter('gateway_rebuild_keys_total', 'Keys read from Gitee while rebuilding the index.', 'bucket'),
  counter(
    'gateway_token_requests_total',
    'Requests for registry tokens: granted, refused, locked, unavailable, busy, bad-request.',
    'result',
  ),
  histogram('gateway_token_request_duration_seconds', 'Time to answer such a request.', SECONDS),
  counter(
    'gateway_token_verdicts_total',
    'Answers to who somebody is and what they may do, by origin: cache, gitee, stale, local.',
    'source',
  ),
  gauge(
    'gateway_token_certificate_expiry_timestamp_seconds',
    'When the certificate of the token service ends: from then on the registry lets nobody in.',
  ),
  counter('gateway_login_lockouts_total', 'Locks after too many failed logins.', 'scope'),
  gauge('gateway_audit_events', 'Number of the last event of the audit log: it only ever grows.'),
  counter('gateway_audit_write_failures_total', 'Failed writes of the audit log; they are tried again.'),
  counter(
    'gateway_audit_dropped_total',
    'Audit events lost, by where: file (nothing could be written), syslog.',
    'where',
  ),
  counter(
    'gateway_registry_failures_total',
    'Failures of the registry that Nginx asked the reason of, by what failed: tag, layer, read.',
    'task',
    'reason',
  ),
  counter('gateway_web_requests_total', 'Requests answered on the web address.', 'status'),
  histogram('gateway_web_request_duration_seconds', 'Time to answer a request on the web address.', SECONDS),
  counter(
    'gateway_webhooks_total',
    'Webhooks from Gitee: push, other, repeated, unrelated, refused.',
    'result',
  ),
  counter(
    'gateway_notification_events_total',
    'Events of the registry: accepted, repeated, ignored.',
    'result',
  ),
  counter(
    'gateway_notification_deliveries_total',
    'Deliveries to targets: ok, retry, dead, lost (no room).',
    'target',
    'result',
  ),
  gauge('gateway_notification_queue', 'Notifications that wait for a target.', 'target'),
  gauge('gateway_notification_dead_letters', 'Notifications given up, until retry or drop.', 'target'),
  counter(
    'gateway_oauth_steps_total',
    'Steps of the login page: start, login, password, revoke, refresh; each ok, refused or failed.',
    'step',
    'result',
  ),
] as const satisfies readonly MetricRow[];

type Row = (typeof METRICS)[number];

/** Names of one kind. */
export type MetricName<K extends Row['kind'] = Row['kind']> = Extract<Row, { readonly kind: K }>['name'];

/** The labels of a metric, all of them. */
export type MetricLabels<N extends MetricName> = Readonly<
  Record<Extract<Row, { readonly name: N }>['labels'][number], string>
>;
