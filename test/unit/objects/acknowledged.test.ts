/**
 * Whatever changes a bucket is acknowledged when it is on Gitee, where the write concern asks for that: at the first
 * try, at a client's repeat of it, which finds the work done here, and where there is nothing to change at all. Every
 * operation has its row; one without does not compile.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import type { ObjectsApi } from '../../../src/objects/api.js';
import { Buckets, type WriteConcernRules } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { until } from '../../support/child.js';
import { bytesOf, JournalBucket, key, signal } from '../../support/journal-bucket.js';
import { CONDITION_LIMIT_MS } from '../../support/time-limits.js';

type Hold = Pick<WriteConcernRules, 'holdMs' | 'holdMaxMs'>;
/** What lands, lands within this on a busy machine, too. */
const LONG: Hold = { holdMs: CONDITION_LIMIT_MS, holdMaxMs: CONDITION_LIMIT_MS };
/** What can't land: no test needs to wait for more. */
const SHORT: Hold = { holdMs: 300, holdMaxMs: 300 };
const context = { signal, requestId: 'test' };
const KEY = key('tags/k');
const body = (text: string) => ({
  bytes: (async function* () {
    yield bytesOf(text);
  })(),
  promise: {},
});
const put = (s: ObjectService, name: string, text: string) =>
  s.putObject('files', key(name), body(text), { meta: {}, conditions: {} }, context);
const source = { sourceBucket: 'files', sourceKey: key('source'), sourceConditions: {}, conditions: {} };

interface Row {
  /** Makes the request, which may then be sent more than once. */
  readonly prepare: (s: ObjectService) => Promise<() => Promise<unknown>>;
  /** True where the tree has what the request asked for. */
  readonly isThere: (tree: ReadonlyMap<string, string>) => boolean;
}

const has = (tree: ReadonlyMap<string, string>, name: string) =>
  tree.has(name) || tree.has(`${name}%chunks/000000`);
const deletes = (request: (s: ObjectService) => Promise<unknown>): Row => ({
  prepare: async (s) => {
    await put(s, KEY, 'old');
    return () => request(s);
  },
  isThere: (tree) => !has(tree, KEY),
});
const tagged = (tags: Record<string, string> | undefined, isThere: Row['isThere']): Row => ({
  prepare: async (s) => {
    await put(s, KEY, 'old');
    if (!tags) await s.setTags('files', KEY, { a: '1' }, context);
    return () => s.setTags('files', KEY, tags, context);
  },
  isThere,
});
const meta = (tree: ReadonlyMap<string, string>) => tree.get(`.gateway/meta/${KEY}%meta`) ?? '';

/** `reads`, or changes nothing that a commit holds; `buckets`: has tests of its own (run-time buckets). */
const OPERATIONS: Record<keyof ObjectsApi, Readonly<Record<string, Row>> | 'reads' | 'uploads' | 'buckets'> =
  {
    listBuckets: 'reads',
    headBucket: 'reads',
    createBucket: 'buckets',
    deleteBucket: 'buckets',
    putObject: {
      small: {
        prepare: async (s) => () => put(s, KEY, 'new'),
        isThere: (tree) => tree.get(KEY) === 'new',
      },
      large: {
        prepare: async (s) => () => put(s, KEY, 'x'.repeat(250)),
        isThere: (tree) => has(tree, KEY),
      },
    },
    headObject: 'reads',
    getObject: 'reads',
    deleteObject: { one: deletes((s) => s.deleteObject('files', KEY, {}, context)) },
    deleteObjects: {
      many: deletes((s) => s.deleteObjects('files', [key('never'), KEY, key('source')], context)),
    },
    copyObject: {
      copy: {
        prepare: async (s) => {
          await put(s, 'source', 'from');
          return () => s.copyObject('files', KEY, source, context);
        },
        isThere: (tree) => tree.get(KEY) === 'from',
      },
    },
    setTags: {
      set: tagged({ b: '2' }, (tree) => meta(tree).includes('"b"')),
      removed: tagged(undefined, (tree) => has(tree, KEY) && !meta(tree).includes('"a"')),
    },
    listObjects: 'reads',
    createMultipartUpload: 'uploads',
    uploadPart: 'uploads',
    uploadPartCopy: 'uploads',
    completeMultipartUpload: {
      parts: {
        prepare: async (s) => {
          const { uploadId } = await s.createMultipartUpload('files', KEY, { meta: {} });
          const { etag } = await s.uploadPart('files', KEY, uploadId, 1, body('y'.repeat(250)), context);
          const request = { parts: [{ partNumber: 1, etag }], conditions: {} };
          return () => s.completeMultipartUpload('files', KEY, uploadId, request, context);
        },
        isThere: (tree) => has(tree, KEY),
      },
    },
    abortMultipartUpload: 'uploads',
    listParts: 'reads',
    listMultipartUploads: 'reads',
  };
const ROWS = Object.entries(OPERATIONS).flatMap(([operation, rows]) =>
  typeof rows === 'string' ? [] : Object.entries(rows).map(([name, row]) => [operation, name, row] as const),
);

describe.each(['remote', 'barrier'] as const)('write concern %s', (mode) => {
  let b: JournalBucket;
  let service: ObjectService;
  let waitOnly: (hold: Hold) => void;
  beforeEach(async () => {
    b = await JournalBucket.open({ timings: { maxAgeMs: 3_600_000 } });
    await b.start();
    const concern = { mode, barrierPatterns: [/^tags\//], outage: 'reject' as const, ...LONG };
    waitOnly = (hold) => Object.assign(concern, hold);
    const { rules, state, chunks } = b;
    const bucket = { name: 'files', createdMs: 0, rules, state, chunks, concern };
    const deps = { clock: systemClock, log: silentLog, metrics: silentMetrics };
    service = new ObjectService(new Buckets([bucket]), deps);
  });
  afterEach(async () => {
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  const texts = () => b.repository.texts();
  const send = (request: () => Promise<unknown>) =>
    request().then(
      () => 'OK',
      (error: { code?: string }) => error.code,
    );

  test.each(ROWS)('%s (%s): no OK before it is on Gitee', async (_operation, _name, row) => {
    const request = await row.prepare(service);
    b.remote.fail('push', new RemoteError('timeout', 'no answer in time'), Infinity);
    waitOnly(SHORT);
    expect(await send(request)).toBe('not-yet-remote');
    // As SDKs do it, several times within seconds.
    for (let repeat = 0; repeat < 3; repeat += 1) expect(await send(request)).toBe('not-yet-remote');
    expect(row.isThere(texts())).toBe(false);
    waitOnly(LONG);
    b.remote.heal();
    b.bucket.kick();
    await until('it is on Gitee', () => b.state.status().pendingChanges === 0);
    expect(row.isThere(texts())).toBe(true);
    expect(await send(request)).toBe('OK');
    expect(row.isThere(texts())).toBe(true);
  });

  test.each(ROWS)(
    '%s (%s): OK as soon as it is there, and for the same again',
    async (_operation, _name, row) => {
      const request = await row.prepare(service);
      expect(await send(request)).toBe('OK');
      expect(row.isThere(texts())).toBe(true);
      expect(await send(request)).toBe('OK');
      expect(row.isThere(texts())).toBe(true);
    },
  );

  test('an older write of a key that Gitee refuses is acknowledged with the newer one, or not at all', async () => {
    waitOnly(SHORT);
    const bad = b.chunks.cut(bytesOf('x'.repeat(90)))[0]!.oid;
    let refuse: () => void = () => {};
    const whenNewerIsThere = new Promise<void>((resolve) => {
      refuse = resolve;
    });
    let isHeld = true;
    b.chunks.beforeEnsure = async (chunks) => {
      await whenNewerIsThere;
      if (chunks.some(({ oid }) => oid === bad))
        throw new RemoteError('chunk-refused', 'no', { oids: [bad] });
      if (isHeld) throw new RemoteError('timeout', 'no answer in time');
    };
    const older = send(() => put(service, KEY, 'x'.repeat(90)));
    await until('the older one is taken', () => b.state.status().pendingChanges === 1);
    const newer = send(() => put(service, KEY, 'y'.repeat(90)));
    await until('the newer one is there', () => b.state.status().pendingChanges === 2);
    refuse();
    expect(await older).toBe('not-yet-remote');
    expect(await newer).toBe('not-yet-remote');
    expect(b.tree().size).toBe(0);
    isHeld = false;
    b.bucket.kick();
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
    expect(await b.read(KEY)).toBe('y'.repeat(90));
  });
});
