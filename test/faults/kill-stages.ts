import { FAILPOINTS, type FailpointName } from '../../src/async/failpoint.js';

/** Where the suites kill the gateway: all failpoints together, as test/docs/failpoints.test.ts checks. */

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

const ELSEWHERE: ReadonlySet<FailpointName> = new Set([
  ...BUCKET_STAGES.map(([, stage]) => stage),
  SHARED_BRANCH_STAGE,
]);

/** Within the push of an image, in order, which all others are: kill.test.ts. */
export const PUSH_STAGES = FAILPOINTS.filter((name) => !ELSEWHERE.has(name));
