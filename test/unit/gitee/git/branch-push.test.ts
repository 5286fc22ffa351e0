/** What becomes of a push when nobody tells: the same commit may be sent twice, never three times. */
import { noFailpoints } from '../../../../src/async/failpoint.js';
import type { CommitId } from '../../../../src/format/ids.js';
import { RemoteError, type RemoteCause } from '../../../../src/gitee/errors.js';
import { BranchPush } from '../../../../src/gitee/git/branch-push.js';
import type { StoredPack } from '../../../../src/gitee/git/commit-pack.js';
import type { PushAttempt, ServerBranch } from '../../../../src/gitee/git/server-branch.js';

const OLD = '1'.repeat(40) as CommitId;
const OURS = '2'.repeat(40) as CommitId;
const THEIRS = '3'.repeat(40) as CommitId;

const lost = (code: RemoteCause, fields: Partial<PushAttempt> = {}): PushAttempt => ({
  line: undefined,
  mayHaveLanded: true,
  error: new RemoteError(code, code),
  ...fields,
});

const accepted: PushAttempt = {
  line: { to: '', accepted: true, reason: '' },
  mayHaveLanded: true,
  error: undefined,
};

/** Sends against these attempts, with these heads on the server after each. @param commits one after the other */
async function send(
  attempts: readonly PushAttempt[],
  heads: readonly CommitId[],
  o: { commits?: readonly CommitId[]; isInReview?: boolean } = {},
) {
  let pushes = 0;
  let whole = 0;
  let looks = 0;
  const head = async () => {
    looks += 1;
    return heads[pushes - 1]!;
  };
  const server = {
    settings: { branch: 'main' },
    push: async () => attempts[pushes++]!,
    readHead: head,
    isInReview: async () => o.isInReview ?? false,
    sendWhole: () => void (whole += 1),
  } as unknown as ServerBranch;
  const push = new BranchPush(
    server,
    { fetch: head, isAncestor: async () => false, setKnown: async () => {} },
    { nowMs: () => 0, steadyMs: () => 0, sleep: async () => {} },
    noFailpoints,
  );
  let mayLandYet = false;
  const sendOne = (commit: CommitId) =>
    push.send(OLD, commit, {} as StoredPack, undefined).then(
      (done) => done,
      (e: RemoteError) => {
        mayLandYet = e.isUndecided;
        return e.code;
      },
    );
  let result;
  for (const commit of o.commits ?? [OURS]) result = await sendOne(commit);
  return {
    pushes,
    ...(o.isInReview === undefined ? {} : { looks }),
    result,
    ...(mayLandYet ? { mayLandYet } : {}),
    ...(whole > 0 ? { whole } : {}),
  };
}

test.each([[true], [false]])(
  'a connection that broke is tried once more where nothing landed (whole: %s)',
  async (whole) => {
    const broken = lost('unreachable', { mayHaveLanded: whole });
    expect(await send([broken, accepted], [OLD, OURS])).toEqual({
      pushes: 2,
      result: { kind: 'landed', head: OURS },
    });
    expect(await send([broken, broken], [OLD, OLD])).toMatchObject({ pushes: 2, result: 'unreachable' });
  },
);

test('what landed, moved, or was refused is not sent again', async () => {
  expect(await send([lost('unreachable')], [OURS])).toEqual({
    pushes: 1,
    result: { kind: 'landed', head: OURS },
  });
  expect(await send([lost('unreachable')], [THEIRS])).toEqual({
    pushes: 1,
    result: { kind: 'moved', head: THEIRS },
  });
  expect(await send([lost('timeout')], [OLD])).toEqual({
    pushes: 1,
    result: 'timeout',
    mayLandYet: true,
  });
  expect(await send([lost('forbidden', { mayHaveLanded: false })], [OLD])).toEqual({
    pushes: 1,
    result: 'forbidden',
  });
});

test('the answer to the repeated question is a refusal: the branch tells', async () => {
  const refused: PushAttempt = {
    line: { to: '', accepted: false, reason: 'failed to update ref' },
    mayHaveLanded: false,
    error: new RemoteError('refused', 'refused'),
  };
  expect(await send([lost('unreachable'), refused], [OLD, OURS])).toEqual({
    pushes: 2,
    result: { kind: 'landed', head: OURS },
  });
});

test('a server that lacks what the pack builds on has a branch elsewhere, or gets everything whole next time', async () => {
  const thin: PushAttempt = {
    line: { to: '', accepted: false, reason: 'unpacker error' },
    mayHaveLanded: false,
    thinRefused: true,
    error: new RemoteError('server-fault', 'thin'),
  };
  expect(await send([thin], [THEIRS])).toEqual({ pushes: 1, result: { kind: 'moved', head: THEIRS } });
  expect(await send([thin], [OLD])).toEqual({ pushes: 1, result: 'server-fault', whole: 1 });
});

describe('who is refused knows whether something that was sent may land yet', () => {
  const refusal = (code: RemoteCause): PushAttempt => ({
    line: { to: '', accepted: false, reason: 'pre-receive hook declined' },
    mayHaveLanded: false,
    error: new RemoteError(code, code),
  });
  const said = async (attempts: readonly PushAttempt[]) =>
    (await send(
      attempts,
      attempts.map(() => OLD),
    )) as { mayLandYet?: true };

  test.each(['refused', 'content-refused', 'quota-full'] as const)('%s', async (code) => {
    expect((await said([refusal(code)])).mayLandYet).toBeUndefined();
    expect(await said([lost('unreachable', { mayHaveLanded: false }), refusal(code)])).toEqual({
      pushes: 2,
      result: code,
    });
    // The first one is held up on the way.
    expect(await said([lost('unreachable'), refusal(code)])).toMatchObject({
      result: code,
      mayLandYet: true,
    });
  });

  test('a server that failed, whatever words stand beside that', async () => {
    expect(await said([lost('repository-closed')])).toMatchObject({ mayLandYet: true });
  });

  test('an accepted push after which the branch stands where it did', async () => {
    expect(await said([accepted])).toMatchObject({ result: 'push-not-seen', mayLandYet: true });
  });
});

describe('an accepted push after which the branch stands where it did is a pull request, or a look at an old copy', () => {
  const AGAIN = '4'.repeat(40) as CommitId;
  const stale: PushAttempt = {
    line: { to: '', accepted: false, reason: 'incorrect old value provided' },
    mayHaveLanded: false,
    error: new RemoteError('refused', 'refused'),
  };

  test('the branch of a pull request tells at once', async () => {
    const sent = await send([accepted], [OLD], { isInReview: true });
    expect(sent).toMatchObject({ result: 'review-mode', mayLandYet: true, looks: 1 });
  });

  test('so does a second commit that is accepted on the same head', async () => {
    const sent = await send([accepted, accepted], [OLD, OLD], { commits: [OURS, AGAIN] });
    expect(sent).toMatchObject({ result: 'review-mode', mayLandYet: true });
    // The very same commit may be there already.
    const same = await send([accepted, accepted], [OLD, OLD], { commits: [OURS, OURS] });
    expect(same).toMatchObject({ result: 'push-not-seen' });
  });

  test('a second one that is refused is not on the same head: a copy lags', async () => {
    const sent = await send([accepted, stale], [OLD, OLD], { commits: [OURS, AGAIN] });
    expect(sent).toMatchObject({ result: 'push-not-seen' });
    expect(await send([stale], [OLD])).toMatchObject({ result: 'server-fault' });
  });
});
