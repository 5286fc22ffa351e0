import type { FailpointName } from '../../src/async/failpoint.js';

/** Where the suites kill the gateway: all failpoints together, as test/docs/failpoints.test.ts checks. */

/** Within the push of an image, in order: kill.test.ts. */
export const PUSH_STAGES = [
  'chunks.beforeSync',
  'chunks.afterSync',
  'chunks.afterRename',
  'journal.beforeSync',
  'journal.afterSync',
  'committer.batchClosed',
  'committer.beforeUpload',
  'committer.chunksRemote',
  'committer.beforeClaim',
  'committer.claimed',
  'git.packStored',
  'git.beforePush',
  'git.afterPush',
  'committer.afterLanded',
  'committer.baseApplied',
  'committer.overlayDropped',
] as const satisfies readonly FailpointName[];

/** Between two steps of CreateBucket and DeleteBucket: bucket-kill.test.ts. */
export const BUCKET_STAGES = [
  ['create', 'buckets.stateOpened', 'absent'],
  ['create', 'buckets.rowWritten', 'there'],
  ['delete', 'buckets.rowRemoved', 'absent'],
  ['delete', 'buckets.stateClosed', 'absent'],
  ['delete', 'buckets.stateRemoved', 'absent'],
] as const satisfies readonly (readonly ['create' | 'delete', FailpointName, 'absent' | 'there'])[];

/** Where a bucket's commit goes on top of another one's, on the branch that they share: bucket-kill.test.ts. */
export const SHARED_BRANCH_STAGE = 'committer.claimedElsewhere' satisfies FailpointName;
