import { describe, expect, test } from '@jest/globals';
import { ownFault, faultOfAll } from '../../../src/chunks/upload-faults.js';
import { joinedFailures, REMOTE_CAUSES, RemoteError, undecided } from '../../../src/gitee/errors.js';
import type { Chunk } from '../../../src/format/extent.js';
import { toOid } from '../../../src/format/ids.js';
import { UnknownRefusals } from '../../../src/gitee/unknown-refusals.js';

const refused = () =>
  Promise.reject(new RemoteError('refused', 'out of cheese', { status: 400, detail: 'x' }));
const down = () => Promise.reject(new RemoteError('unreachable', 'down'));

/** What a call ends with. */
const told = (refusals: UnknownRefusals, call: () => Promise<unknown>) =>
  refusals.of(call).then(
    () => 'ok',
    (error: RemoteError) => (error.pauses ? 'pauses' : error.isTransient ? 'again' : 'neither'),
  );

describe('a refusal for a reason that nobody knows', () => {
  test('is believed on its third time in a row, and says the same all the time', async () => {
    const refusals = new UnknownRefusals();
    await expect(refusals.of(refused)).rejects.toMatchObject({
      ...{ code: 'refused', message: 'out of cheese', status: 400, detail: 'x', isPoison: false },
    });
    expect(await told(refusals, refused)).toBe('again');
    expect(await told(refusals, refused)).toBe('pauses');
    expect(await told(refusals, refused)).toBe('pauses');
  });

  test('begins anew once a call gets through, not where one fails otherwise', async () => {
    const refusals = new UnknownRefusals();
    for (const call of [refused, down, refused]) expect(await told(refusals, call)).toBe('again');
    expect(await told(refusals, () => Promise.resolve())).toBe('ok');
    for (const expected of ['again', 'again', 'pauses']) expect(await told(refusals, refused)).toBe(expected);
  });

  test('counts once for calls that are under way side by side', async () => {
    const refusals = new UnknownRefusals();
    for (const expected of ['again', 'again', 'pauses'])
      expect(await Promise.all([1, 2, 3, 4].map(() => told(refusals, refused)))).toEqual(
        new Array(4).fill(expected),
      );
  });

  test('is still one that may pass where it is told of other objects, or as a push that may land', async () => {
    const error = (await new UnknownRefusals().of(refused).catch((e: unknown) => e)) as RemoteError;
    const chunk: Chunk = { oid: toOid('0'.repeat(64)), sizeBytes: 1, volume: 0 };
    const named = ownFault(error, chunk, 7);
    for (const each of [named, faultOfAll(named), joinedFailures([named, named]), undecided(error)])
      expect([each.pauses, each.isTransient, each.detail, each.status]).toEqual([false, true, 'x', 400]);
  });

  test.each(REMOTE_CAUSES.filter((code) => code !== 'refused'))('%s is told as it is', async (code) => {
    const error = new RemoteError(code, 'no');
    await expect(new UnknownRefusals().of(() => Promise.reject(error))).rejects.toBe(error);
  });
});
