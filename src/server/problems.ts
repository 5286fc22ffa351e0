/** What is not as it should be, in words for an operator. */
import type { BucketParts } from '../buckets/parts.js';
import type { GatewayComponents } from './components.js';
import type { Problem } from './gateway.js';
import type { LfsParts } from './lfs-parts.js';

/** Of one bucket. */
export function bucketProblems({ bucket, chunks, open }: BucketParts, lfs: LfsParts): Problem[] {
  const problems: Problem[] = [];
  const name = `bucket:${bucket.name}`;
  const status = open.state.status();
  if (status.frozen) {
    problems.push({
      name,
      detail: `read-only: ${status.frozen.reason}. Look at the branch, then run gitee-s3 accept-remote --bucket ${bucket.name}`,
    });
  }
  const paused = status.paused ?? chunks.uploadsPausedBy;
  if (paused) {
    const advice = paused.code === 'quota-full' ? ` ${lfs.advice()}` : '';
    problems.push({ name, detail: `${paused.code}: ${paused.message}${advice}` });
  }
  if (!status.ready && !paused)
    problems.push({ name, detail: 'the index is not there yet: the branch is being read from Gitee' });
  return problems;
}

/** Of what all buckets share. */
export function gatewayProblems({ ballast, config, line }: GatewayComponents): Problem[] {
  const problems: Problem[] = [];
  if (ballast.isGivenUp)
    problems.push({
      name: 'disk',
      detail: `full: reads, deletions and commits go on, other writes are refused. Free space on the disk of ${config.stateDir}`,
      keepsReady: true,
    });
  for (const detail of line.state.words) problems.push({ name: 'gitee', detail, keepsReady: true });
  return problems;
}
