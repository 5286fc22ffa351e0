import type { Repository } from '../../../../src/gitee/api/schema.js';
import { RemoteError, type RemoteCause } from '../../../../src/gitee/errors.js';
import {
  judgeClock,
  judgeEnterprise,
  judgePushRight,
  judgePushRules,
  judgeState,
} from '../../../../src/gitee/probes/api-probes.js';
import type { BatchAction, BatchObject } from '../../../../src/gitee/lfs/batch-schema.js';
import { judgeReceivePack, judgeUploadPack } from '../../../../src/gitee/probes/git-probes.js';
import { describeUploadLink } from '../../../../src/gitee/probes/lfs-probes.js';
import { firstLineCapabilities, pktLines } from '../../../../src/gitee/probes/pkt-line.js';
import { failedProbe, probe } from '../../../../src/gitee/probes/probe.js';

const repository = (fields: Partial<Repository>): Repository => ({ id: 1, full_name: 'a/b', ...fields });

test.each([
  [{ push: true }, 'ok'],
  [{ push: false, pull: true }, 'failed'],
  [{ pull: true }, 'unknown'],
  [undefined, 'unknown'],
])('permission %j: the right to push is %s', (permission, status) => {
  expect(judgePushRight(repository({ permission })).status).toBe(status);
});

test.each([
  ['开始', 'ok'],
  ['暂停', 'failed'],
  ['关闭', 'failed'],
  ['something', 'unknown'],
  [undefined, 'unknown'],
])('state %s is %s', (state, status) => {
  expect(judgeState(repository({ status: state })).status).toBe(status);
});

test('a repository outside an enterprise has no LFS', () => {
  expect(judgeEnterprise(repository({ enterprise: { path: 'x' } })).status).toBe('ok');
  expect(judgeEnterprise(repository({ enterprise: null, namespace: { type: 'personal' } }))).toMatchObject({
    status: 'warning',
    setting: 'buckets[].repository',
  });
});

test('each push rule that is set is named', () => {
  expect(judgePushRules({}).status).toBe('ok');
  const { status, answer } = judgePushRules({
    restrict_push_own_commit: true,
    restrict_author_email_suffix: true,
    author_email_suffix: '@acme.example',
    restrict_commit_message: true,
    commit_message_regex: '^x',
    restrict_file_size: true,
    max_file_size: 50,
  });
  expect(status).toBe('warning');
  for (const words of ['own commits', '@acme.example', '^x', '50 MB']) expect(answer).toContain(words);
});

test.each([
  [undefined, 'unknown'],
  [0, 'ok'],
  [-59_000, 'ok'],
  [90_000, 'warning'],
  [-90_000, 'warning'],
  [3_600_000, 'failed'],
])('a clock that differs by %s ms is %s', (offsetMs, status) => {
  expect(judgeClock(offsetMs).status).toBe(status);
});

const pkt = (text: string) => (text.length + 4).toString(16).padStart(4, '0') + text;

test('pkt-lines end where they are cut or are none', () => {
  expect(pktLines(Buffer.from(`${pkt('one\n')}0000${pkt('two')}`))).toEqual(['one', 'two']);
  expect(pktLines(Buffer.from(`${pkt('one\n')}00ffcut`))).toEqual(['one']);
  expect(pktLines(Buffer.from('<html>'))).toEqual([]);
  expect(firstLineCapabilities(['# service=x', 'abc refs/heads/a\0atomic  delete-refs'])).toEqual([
    'atomic',
    'delete-refs',
  ]);
});

test.each([
  ['atomic report-status-v2 side-band-64k', 'ok'],
  ['report-status', 'ok'],
  ['atomic', 'warning'],
])('a push with %s is %s', (capabilities, status) => {
  expect(judgeReceivePack([`${'0'.repeat(40)} capabilities^{}\0${capabilities}`]).status).toBe(status);
});

test('an answer that is no advert leaves the question open', () => {
  expect(judgeReceivePack([]).status).toBe('unknown');
  expect(judgeUploadPack([]).status).toBe('unknown');
});

test.each([
  [['version 2', 'agent=git/2', 'fetch=shallow wait-for-done filter'], 'ok', 'partial clone: yes'],
  [['version 2', 'fetch=shallow'], 'warning', 'partial clone: no'],
  [['version 2', 'fetch'], 'warning', 'partial clone: no'],
  [['x refs/heads/a\0multi_ack filter'], 'warning', 'version 2: no; partial clone: yes'],
])('a fetch with %j is %s', (lines, status, words) => {
  const result = judgeUploadPack(lines);
  expect(result.status).toBe(status);
  expect(result.answer).toContain(words);
});

const object = (upload: Partial<BatchAction>, verify?: BatchAction): BatchObject => ({
  oid: 'x',
  actions: {
    upload: { href: 'https://lfs.example/u?Signature=secret', ...upload },
    ...(verify ? { verify } : {}),
  },
});

test('an upload link is told by its host and the names of its headers only', () => {
  const link = object(
    { header: { Authorization: 'a secret', 'X-B': 'c' }, expires_in: 900 },
    { href: 'https://x/v' },
  );
  const { status, answer } = describeUploadLink(link, 'https://gitee.example');
  expect(status).toBe('ok');
  expect(answer).toBe(
    'Uploads go to https://lfs.example, headers Authorization, X-B, expire in 900 s, and are verified.',
  );
});

test('an upload link without anything, none at all, and one in clear', () => {
  expect(describeUploadLink(object({}), 'https://gitee.example').answer).toContain(
    'headers none, expire at no stated time, without verification',
  );
  expect(describeUploadLink({ oid: 'x' }, 'https://gitee.example').status).toBe('warning');
  const clear = object({ href: 'http://lfs.example/u' });
  expect(describeUploadLink(clear, 'https://gitee.example').status).toBe('failed');
  expect(describeUploadLink(clear, 'http://gitee.example').status).toBe('ok');
});

test.each<[RemoteCause, string, string | undefined]>([
  ['unauthorized', 'failed', 'gitee.token'],
  ['forbidden', 'failed', 'gitee.token'],
  ['repository-missing', 'failed', 'buckets[].repository'],
  ['lfs-not-enabled', 'failed', 'buckets[].repository'],
  ['unreachable', 'failed', 'gitee.url'],
  ['timeout', 'failed', 'gitee.timeouts'],
  ['server-fault', 'unknown', undefined],
  ['rate-limited', 'unknown', undefined],
])('a probe that ends with %s is %s', (code, status, setting) => {
  const result = failedProbe('x', new RemoteError(code, 'the message', { detail: 'their words' }));
  expect([result.status, result.setting]).toEqual([status, setting]);
  expect(result.answer).toBe('the message. Gitee says: their words');
});

test('a fault of ours is not taken for an answer of Gitee', async () => {
  await expect(probe('x', () => Promise.reject(new TypeError('ours')))).rejects.toThrow('ours');
});
