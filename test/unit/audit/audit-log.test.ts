import { appendFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import type { AuditRecord } from '../../../src/audit/record.js';
import { verifyAudit } from '../../../src/audit/verify.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { until } from '../../support/child.js';
import { DAY_MS, event, TestAudit } from './directory.js';

let audit: TestAudit;
beforeEach(async () => {
  audit = await TestAudit.make();
});
afterEach(() => audit.remove());

const FIRST = '2026-11-24.000000000001.jsonl';
const records = async (file: string) =>
  (await audit.lines(file)).map((line) => JSON.parse(line) as AuditRecord);

test('the chain goes on over restarts, days and full files, and holds', async () => {
  await audit.write(event('login'), event('image.push'));
  await audit.write(event('image.pull'));
  audit.clock.ms += DAY_MS;
  const log = await audit.open({ fileMaxBytes: 700 });
  for (let i = 0; i < 5; i += 1) await log.record(event(`step.${i}`));
  await log.close();
  expect(await audit.files()).toEqual([
    FIRST,
    '2026-11-25.000000000004.jsonl',
    '2026-11-25.000000000007.jsonl',
  ]);
  const report = await verifyAudit(audit.directory, { clock: audit.clock });
  expect(report).toMatchObject({ break: undefined, files: 3, events: 8, head: { seq: 8 } });
  expect((await stat(audit.path(FIRST))).mode & 0o777).toBe(0o600);
});

test('nothing is written to a directory that another process has taken over', async () => {
  let asked = 0;
  let isLost = true;
  const log = await audit.open({
    checkLease: () => {
      asked += 1;
      if (isLost) throw new Error('taken over');
    },
  });
  const recorded = log.record(event('login'));
  await until('it was refused', () => asked > 0);
  expect(await records(FIRST).catch(() => [])).toEqual([]);
  isLost = false;
  await recorded;
  await until('it is written', async () => (await records(FIRST).catch(() => [])).length === 1);
  await log.close();
});

test('what another process had on its way when its directory was taken over does not reach the chain', async () => {
  const first = await audit.open();
  await first.record(event('before'));
  const second = await audit.open();
  await second.record(event('beside'));
  // It looked at its lease before it stood still, and writes after the second one.
  await first.record(event('late'));
  await second.record(event('after'));
  await first.close();
  await second.close();
  const report = await verifyAudit(audit.directory, { clock: audit.clock });
  expect(report).toMatchObject({ break: undefined, files: 1, events: 3 });
  expect((await records(FIRST)).map(({ action }) => action)).toEqual(['before', 'beside', 'after']);
  expect((await stat(audit.path(FIRST))).mode & 0o777).toBe(0o600);
  expect(await audit.files()).toEqual([FIRST]);
});

test('where there is no room for a copy the chain goes on in its file', async () => {
  await audit.write(event('before'));
  const { ino } = await stat(audit.path(FIRST));
  // No file takes the place of a directory.
  await mkdir(audit.path('last-segment.copy/x'), { recursive: true });
  await audit.write(event('after'));
  expect(await records(FIRST)).toHaveLength(2);
  expect((await stat(audit.path(FIRST))).ino).toBe(ino);
});

test('an event is in the file when its promise resolves, and the head names it', async () => {
  const log = await audit.open();
  await log.record(event('login', { requestId: 'r1', detail: { b: 2, a: 'x' } }));
  const [record] = await records(FIRST);
  expect(record).toMatchObject({ seq: 1, who: 'alice', requestId: 'r1', detail: { a: 'x', b: 2 } });
  expect(log.head).toEqual({ seq: 1, hash: record!.hash });
  await log.close();
});

test('an event that comes in any step after the last one was written is written too', async () => {
  const log = await audit.open();
  for (let steps = 0; steps < 12; steps += 1) {
    await log.record(event('before'));
    for (let step = 0; step < steps; step += 1) await Promise.resolve();
    await log.record(event('after'));
  }
  expect(log.head.seq).toBe(24);
  await log.close();
});

test('a line that a kill tore is put aside and recorded, and the chain holds', async () => {
  await audit.write(event('login'), event('image.push'));
  await appendFile(audit.path(FIRST), '{"seq":3,"time":"2026-');
  await audit.write(event('image.pull'));
  const aside = (await audit.files()).find((name) => name.includes('cut-at'))!;
  expect(await readFile(audit.path(aside), 'utf8')).toBe('{"seq":3,"time":"2026-');
  expect((await records(FIRST)).map((r) => r.action)).toEqual([
    'login',
    'image.push',
    'audit.recover',
    'image.pull',
  ]);
  const report = await verifyAudit(audit.directory, { clock: audit.clock });
  expect(report.break).toBeUndefined();
  expect(report.notes).toEqual([expect.stringContaining('22 bytes were cut off')]);
});

test('a file that a power cut left as zeros is put aside whole, and the one before goes on', async () => {
  await audit.write(event('login'));
  await appendFile(audit.path('2026-11-25.000000000002.jsonl'), Buffer.alloc(4096));
  await audit.write(event('image.pull'));
  expect(await audit.files()).toEqual([FIRST, '2026-11-25.000000000002.jsonl.cut-at-0']);
  expect((await verifyAudit(audit.directory, { clock: audit.clock })).break).toBeUndefined();
});

test('old files go, the chain and the anchor say so, and what is left still verifies', async () => {
  for (const action of ['one', 'two', 'three']) {
    await audit.write(event(action));
    audit.clock.ms += DAY_MS;
  }
  const log = await audit.open({ keepDays: 1 });
  await log.retire();
  await log.close();
  expect(await audit.files()).toEqual([
    '2026-11-26.000000000003.jsonl',
    '2026-11-27.000000000004.jsonl',
    'anchor.json',
  ]);
  const report = await verifyAudit(audit.directory, { clock: audit.clock });
  expect(report).toMatchObject({ break: undefined, events: 2, head: { seq: 4 } });
  expect(report.notes).toEqual([expect.stringContaining('events before 3 were deleted by age')]);
});

test('nothing is deleted where the file that would be first is damaged', async () => {
  for (const action of ['one', 'two', 'three']) {
    await audit.write(event(action));
    audit.clock.ms += 5 * DAY_MS;
  }
  await writeFile(audit.path('2026-11-29.000000000002.jsonl'), 'nonsense\n');
  const log = await audit.open({ keepDays: 12 });
  await log.retire();
  await log.close();
  expect(await audit.files()).toContain(FIRST);
  expect((await verifyAudit(audit.directory, { clock: audit.clock })).break).toEqual({
    file: '2026-11-29.000000000002.jsonl',
    line: 1,
    problem: 'is no JSON',
  });
});

test('while nothing can be written callers go on, events wait, and those beyond the bound are counted', async () => {
  const counted = new Map<string, number>();
  const metrics = {
    ...silentMetrics,
    count: (name: string, _labels?: Record<string, string>, n = 1) =>
      void counted.set(name, (counted.get(name) ?? 0) + n),
  };
  const log = await audit.open({ metrics, queueMax: 3 });
  await audit.remove(); // no file can be made now
  for (const action of ['one', 'two', 'three', 'four', 'five']) await log.record(event(action));
  expect(log.head.seq).toBe(0);
  await mkdir(audit.directory);
  await until('the log takes lines again', () => log.head.seq > 0);
  await log.close();
  expect((await records(FIRST)).map((r) => [r.action, r.detail])).toEqual([
    ['audit.drop', { events: 2 }],
    ['one', undefined],
    ['two', undefined],
    ['three', undefined],
  ]);
  expect(counted.get('gateway_audit_dropped_total')).toBe(2);
  expect(counted.get('gateway_audit_write_failures_total')).toBeGreaterThan(0);
  const report = await verifyAudit(audit.directory, { clock: audit.clock });
  expect(report.notes).toEqual([expect.stringContaining('2 events before it could not be written')]);
});

test('a close with a disk that takes nothing ends, and says what is lost', async () => {
  const log = await audit.open();
  await audit.remove();
  await log.record(event('lost'));
  await log.close();
  expect(log.head.seq).toBe(0);
});
