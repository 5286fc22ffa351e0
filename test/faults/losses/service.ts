/** The objects of a bucket in memory, asked as S3 asks them. */
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { Buckets, type WriteConcernRules } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import type { Outcome } from '../../support/history/history.js';
import { bytesOf, signal, type JournalBucket } from '../../support/journal-bucket.js';

/** Acknowledges by this write concern; holds nobody for long. */
export function serviceOf(
  { rules, state, chunks }: JournalBucket,
  concern: Partial<WriteConcernRules>,
): ObjectService {
  const own = { holdMs: 300, holdMaxMs: 300, outage: 'reject' as const, barrierPatterns: [] };
  const bucket = { name: 'files', createdMs: 0, rules, state, chunks };
  return new ObjectService(new Buckets([{ ...bucket, concern: { mode: 'remote', ...own, ...concern } }]), {
    ...{ clock: systemClock, log: silentLog, metrics: silentMetrics },
  });
}

export const context = { signal, requestId: 'test' };
export const bodyOf = (text: string) => ({
  bytes: (async function* () {
    yield bytesOf(text);
  })(),
  promise: {},
});

/** As a client hears it. */
export const outcomeOf = (answer: Promise<unknown>): Promise<Outcome> =>
  answer.then(
    () => 'ok',
    () => 'put off',
  );
