/** A broken invariant that the remote finds stops the process, as one of the journal does: nothing is tried again or set aside. */
import { afterEach, expect, test } from '@jest/globals';
import { UnintendedChangeError } from '../../../src/gitee/errors.js';
import { until } from '../../support/child.js';
import { JournalBucket } from '../../support/journal-bucket.js';

let b: JournalBucket;
afterEach(() => b.remove());

test('a commit that would change something else stops the process, and what it held lands after a restart', async () => {
  b = await JournalBucket.open();
  await b.start();
  const error = new UnintendedChangeError('broken invariant 2: the commit would change "more"');
  b.remote.beforePush = () => Promise.reject(error);
  await b.put('notes/a', 'a');
  b.bucket.committer.flush();
  await until('it stops', () => b.fatal.length > 0);
  expect(b.fatal).toEqual([error]);
  expect(b.remote.calls.push).toBe(1);
  expect(b.state.status()).toMatchObject({ pendingChanges: 1, quarantinedChanges: 0 });
  await b.restart();
  b.bucket.committer.flush();
  await until('it lands', () => b.tree().has('notes/a'));
});
