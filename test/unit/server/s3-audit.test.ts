import type { AuditEvent } from '../../../src/async/audit.js';
import type { AccessRecord } from '../../../src/s3/access-log.js';
import { ROUTES } from '../../../src/s3/routes.js';
import type { Operation } from '../../../src/s3/operation.js';
import { s3Audit } from '../../../src/server/s3-audit.js';

function recorded(over: Partial<AccessRecord>) {
  const lists = { audit: [] as AuditEvent[], guarded: [] as AuditEvent[] };
  const into = (list: AuditEvent[]) => ({
    record: async (event: AuditEvent) => {
      list.push(event);
    },
  });
  s3Audit({
    audit: into(lists.audit),
    guarded: into(lists.guarded),
    registryBuckets: new Set(['registry']),
  })({
    ...{ requestId: 'R1', upstreamRequestId: undefined, method: 'PUT', url: '/files/a?x=1', bytesIn: 3 },
    ...{
      operation: 'PutObject',
      audited: 'object.put',
      bucket: 'files',
      key: 'a',
      accessKeyId: 'AK',
      status: 200,
      code: undefined,
    },
    ...{ bytesOut: 0, durationMs: 1, remoteAddress: '127.0.0.1', clientAddress: '192.0.2.7' },
    ...{ userAgent: undefined, isWhole: true, changedKeys: undefined },
    ...over,
  });
  return lists;
}

test('a change says who, what, from where, and which request', () => {
  expect(recorded({ upstreamRequestId: 'N1' }).audit).toEqual([
    {
      ...{ who: 'AK', action: 'object.put', subject: 'files/a', from: '192.0.2.7', result: 'ok' },
      ...{ requestId: 'R1', detail: { operation: 'PutObject', upstreamRequestId: 'N1', bytes: 3 } },
    },
  ]);
});

test.each<[string, Partial<AccessRecord>]>([
  ['a read', { operation: 'GetObject', audited: undefined }],
  ['a change in a registry’s bucket, which the registry reports', { bucket: 'registry' }],
  ['a change that did not happen', { status: 503, code: 'SlowDown' }],
  ['a part of an upload', { operation: 'UploadPart', audited: 'unseen' }],
])('%s is no event', (_what, over) => {
  expect(recorded(over)).toEqual({ audit: [], guarded: [] });
});

test.each<[string, Partial<AccessRecord>]>([
  ['a wrong signature', { status: 403, code: 'SignatureDoesNotMatch', operation: 'unknown' }],
  [
    'a read without the right',
    { status: 403, code: 'AccessDenied', operation: 'GetObject', bucket: 'registry' },
  ],
  ['a signature that is none', { status: 400, code: 'AuthorizationHeaderMalformed', operation: 'unknown' }],
])('%s is a refusal, kept behind the flood guard', (_what, over) => {
  const { audit, guarded } = recorded(over);
  expect(audit).toEqual([]);
  expect(guarded).toMatchObject([{ action: 's3.refuse', result: 'refused', detail: { code: over.code } }]);
});

test('a request that deletes many is one event for each that was deleted', () => {
  const { audit } = recorded({
    operation: 'DeleteObjects',
    audited: 'object.delete',
    key: '',
    changedKeys: ['x', 'y/z'],
  });
  expect(audit.map((e) => [e.action, e.subject])).toEqual([
    ['object.delete', 'files/x'],
    ['object.delete', 'files/y/z'],
  ]);
});

test('a form that is redirected has stored its object', () => {
  expect(recorded({ operation: 'PostObject', status: 303 }).audit).toMatchObject([{ action: 'object.put' }]);
});

test('of what may change something, nothing but what nobody sees yet is left out', () => {
  const left = ROUTES.flatMap(({ operation }) => (operation?.audited === 'unseen' ? [operation.name] : []));
  expect(left.sort()).toEqual([
    'AbortMultipartUpload',
    'CreateMultipartUpload',
    'UploadPart',
    'UploadPartCopy',
  ]);
});

test('an operation that may change something does not compile without saying what the audit log calls it', () => {
  const described = { name: 'PutObjectAcl', target: 'object', run: async () => ({ status: 200 }) } as const;
  const reads: Operation = { ...described, right: 'read' };
  const audited: Operation = { ...described, right: 'write', audited: 'object.tag' };
  // @ts-expect-error -- `audited` is missing
  const forgotten: Operation = { ...described, right: 'write' };
  // @ts-expect-error -- here too: whoever may sign may do it
  const forgottenToo: Operation = { ...described, right: 'none' };
  expect([reads, audited, forgotten, forgottenToo].map(({ audited }) => audited)).toEqual([
    undefined,
    'object.tag',
    undefined,
    undefined,
  ]);
});
