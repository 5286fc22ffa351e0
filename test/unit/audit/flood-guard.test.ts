import type { AuditEvent } from '../../../src/async/audit.js';
import { FloodGuard } from '../../../src/audit/flood-guard.js';
import { event, TestClock } from './directory.js';

function guarded(limits: ConstructorParameters<typeof FloodGuard>[2]) {
  const recorded: AuditEvent[] = [];
  const clock = new TestClock();
  const audit = {
    record: async (e: AuditEvent) => {
      recorded.push(e);
    },
  };
  return { recorded, clock, guard: new FloodGuard(audit, clock, limits) };
}

test('the first of a kind are recorded one by one, the rest of the minute as one with its number', async () => {
  const { recorded, clock, guard } = guarded({ single: 2 });
  for (let i = 0; i < 1000; i += 1) await guard.record(event('s3.refuse', { result: 'refused' }));
  await guard.record(event('s3.refuse', { result: 'refused', from: '192.0.2.8' }));
  expect(recorded).toHaveLength(3);
  clock.ms += 60_000;
  await guard.flush();
  expect(recorded.slice(3)).toEqual([
    {
      ...{ who: 'alice', action: 's3.refuse', subject: '', from: '192.0.2.7', result: 'refused' },
      detail: { summarised: 998, seconds: 60 },
    },
  ]);
});

test('after the window the first are recorded again', async () => {
  const { recorded, guard } = guarded({ single: 1 });
  await guard.record(event('a'));
  await guard.flush();
  await guard.record(event('a'));
  await guard.flush();
  expect(recorded.map((e) => e.detail)).toEqual([undefined, undefined]);
});

test('a flood from more addresses than are told apart is one event too', async () => {
  const { recorded, guard } = guarded({ single: 5, kindsMax: 3 });
  for (let i = 0; i < 500; i += 1) await guard.record(event('a', { from: `192.0.2.${i}` }));
  await guard.flush();
  expect(recorded.map((e) => [e.from, e.detail?.summarised])).toEqual([
    ['192.0.2.0', undefined],
    ['192.0.2.1', undefined],
    ['192.0.2.2', undefined],
    ['several', 497],
  ]);
});
