import type { Conditions, ObjectRecord } from '../../../src/objects/api.js';
import {
  checkReadConditions,
  checkSourceConditions,
  checkWriteConditions,
} from '../../../src/objects/conditions.js';

const record: ObjectRecord = {
  sizeBytes: 1,
  etag: 'abc',
  lastModifiedMs: 10_700,
  meta: {},
  body: { kind: 'extents', extents: [] },
};

function codeOf(run: () => void): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('conditions', () => {
  test.each<[Conditions, string]>([
    [{}, 'ok'],
    [{ ifMatch: ['abc'] }, 'ok'],
    [{ ifMatch: ['x', '*'] }, 'ok'],
    [{ ifMatch: ['x'] }, 'precondition-failed'],
    [{ ifNoneMatch: ['abc'] }, 'not-modified'],
    [{ ifNoneMatch: ['x'] }, 'ok'],
    [{ ifModifiedSinceMs: 10_000 }, 'not-modified'],
    [{ ifModifiedSinceMs: 9_000 }, 'ok'],
    [{ ifUnmodifiedSinceMs: 10_000 }, 'ok'],
    [{ ifUnmodifiedSinceMs: 9_000 }, 'precondition-failed'],
    [{ ifMatch: ['abc'], ifUnmodifiedSinceMs: 0 }, 'ok'],
    [{ ifNoneMatch: ['x'], ifModifiedSinceMs: 20_000 }, 'ok'],
  ])('reading under %j is %s', (conditions, expected) => {
    expect(codeOf(() => checkReadConditions(record, conditions))).toBe(expected);
  });

  test('a copy source that has not changed is a failed precondition, never a 304', () => {
    expect(codeOf(() => checkSourceConditions(record, { ifNoneMatch: ['abc'] }))).toBe('precondition-failed');
  });

  test('writing where nothing stands: If-None-Match passes, If-Match is NoSuchKey', () => {
    expect(codeOf(() => checkWriteConditions(undefined, { ifNoneMatch: ['*'] }))).toBe('ok');
    expect(codeOf(() => checkWriteConditions(undefined, { ifMatch: ['abc'] }))).toBe('no-such-key');
    expect(codeOf(() => checkWriteConditions(record, { ifNoneMatch: ['*'] }))).toBe('precondition-failed');
    expect(codeOf(() => checkWriteConditions(record, { ifMatch: ['abc'] }))).toBe('ok');
  });
});
