import { describeSpace } from '../../space/lfs-space.js';
import type { BucketStatus } from '../../journal/bucket-state.js';
import type { LocalSpace } from '../../server/gateway.js';
import type { GatewayStatus } from '../../server/operator-calls.js';
import { CONFIG_FLAG, type Command } from '../command.js';
import { EXIT } from '../exit-codes.js';
import type { UploadLineStatus } from '../../line/upload-line.js';
import { columns, humanBytes, humanDuration, printJson, printLine } from '../output.js';
import { withGateway } from '../with-gateway.js';

export const statusCommand: Command = {
  name: 'status',
  positionals: [],
  flags: [CONFIG_FLAG],
  summary: 'show what the gateway does and what is not yet on Gitee',
  details: () => 'Exit code 0: a gateway runs and is ready; 1: it is not ready, or none runs.\n',
  run: async (input, context) => {
    const status = await withGateway(input, context, (operations) => operations.status());
    if (input.json) printJson(context, status);
    else for (const line of statusLines(status, Date.now())) printLine(context, line);
    return status.ready ? EXIT.ok : EXIT.found;
  },
};

/** The text of `status`; nowMs for ages. */
export function statusLines(status: GatewayStatus, nowMs: number): string[] {
  const runs = status.pid === undefined ? 'not running' : `running, process ${status.pid}`;
  return [
    `gitee-s3 ${status.version}: ${runs}, ${readiness(status)}`,
    ...status.problems.map((problem) => `  ${problem.name}: ${problem.detail}`),
    ...(status.uploads ? [uploadsLine(status.uploads)] : []),
    ...(status.lfs ? [`LFS space: ${describeSpace(status.lfs)}`] : []),
    ...(status.local ? [`on this disk: ${describeLocal(status.local)}`] : []),
    ...status.buckets.filter((b) => b.damagedObjects > 0).map(damagedLine),
    ...status.buckets.flatMap((bucket) => unseenLine(bucket, nowMs)),
    ...status.buckets.flatMap((bucket) => doubtLine(bucket, nowMs)),
    ...columns([
      ['bucket', 'repository', 'branch', 'head', 'pending', 'oldest', 'refused', 'state'],
      ...status.buckets.map((bucket) => bucketRow(bucket, nowMs)),
    ]),
  ];
}

/** How long, how many and why. */
function doubtLine({ bucket, doubtful }: BucketStatus, nowMs: number): string[] {
  if (!doubtful) return [];
  const { changes, code, message, sinceMs } = doubtful;
  const many = changes === 1 ? '1 change waits' : `${changes} changes wait`;
  const since = humanDuration(nowMs - sinceMs);
  const cause =
    code === 'being-cut-anew'
      ? 'until their bytes are cut into chunks for Gitee'
      : 'for single LFS objects that Gitee does not take';
  return [
    `bucket ${bucket}: ${many} ${cause}, the first since ${since} (${code}: ${message}); the rest lands`,
  ];
}

function unseenLine({ bucket, unseen }: BucketStatus, nowMs: number): string[] {
  if (!unseen) return [];
  const { code, message, sinceMs } = unseen;
  return [`bucket ${bucket}: since ${humanDuration(nowMs - sinceMs)} (${code}): ${message}; nothing is lost`];
}

function damagedLine({ bucket, damagedObjects }: BucketStatus): string {
  const objects = damagedObjects === 1 ? '1 object is' : `${damagedObjects} objects are`;
  return `bucket ${bucket}: ${objects} damaged in the repository and not shown; the log says which and why`;
}

function uploadsLine(uploads: UploadLineStatus): string {
  const { budgetBytes, oldestWaitMs, pendingBytes, uplinkBytesPerSecond, waitingBodies } = uploads;
  const line = `line to Gitee: ${humanBytes(uplinkBytesPerSecond)}/s, ${humanBytes(pendingBytes)} on their way`;
  if (waitingBodies === 0) return line;
  const waiting = waitingBodies === 1 ? '1 body waits' : `${waitingBodies} bodies wait`;
  return `${line}; uploads are taken at the pace of the line (${humanBytes(budgetBytes)} at a time): ${waiting}, the first since ${humanDuration(oldestWaitMs)}`;
}

function readiness({ ready, problems }: GatewayStatus): string {
  if (!ready) return 'not ready';
  return problems.length === 0 ? 'ready' : 'ready, and not as it should be';
}

function describeLocal(space: LocalSpace): string {
  const { unsentBytes, graceBytes, graceMaxBytes, cacheBytes, cacheMaxBytes } = space;
  return [
    `${humanBytes(unsentBytes)} not yet on Gitee`,
    `${humanBytes(graceBytes)} kept after their upload (of ${humanBytes(graceMaxBytes)})`,
    `${humanBytes(cacheBytes)} cached (of ${humanBytes(cacheMaxBytes)})`,
  ].join(', ');
}

function bucketRow(bucket: BucketStatus, nowMs: number): string[] {
  const oldest = bucket.oldestPendingMs;
  return [
    bucket.bucket,
    bucket.repository,
    bucket.branch,
    bucket.head?.slice(0, 10) ?? '-',
    String(bucket.pendingChanges),
    oldest === undefined ? '-' : humanDuration(nowMs - oldest),
    String(bucket.quarantinedChanges),
    bucketState(bucket),
  ];
}

function bucketState(bucket: BucketStatus): string {
  if (bucket.frozen) return `read-only until accept-remote: ${bucket.frozen.reason}`;
  if (bucket.paused) return `paused (${bucket.paused.code}): ${bucket.paused.message}`;
  return bucket.ready ? 'ready' : 'not ready';
}
