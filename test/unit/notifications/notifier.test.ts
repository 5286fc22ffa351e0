import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Agent } from 'undici';
import type { AuditEvent } from '../../../src/async/audit.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import type { Target } from '../../../src/notifications/message.js';
import { NotificationStore } from '../../../src/notifications/notification-store.js';
import { Notifier, type NotifierDeps } from '../../../src/notifications/notifier.js';
import { until } from '../../support/child.js';
import { registryEvent } from './event.js';

const HOUR_MS = 3600_000;

/** A sleep takes as long as it says on this clock, and no time on the wall. */
class SkippingClock {
  ms = Date.parse('2026-11-24T10:00:00Z');
  readonly sleeps: number[] = [];

  nowMs(): number {
    return this.ms;
  }

  steadyMs(): number {
    return this.ms;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.sleeps.push(ms);
    this.ms += ms;
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
}

let directory: string;
let server: Server;
let url: string;
let got: string[];
/** Status by the id of the event; 200 where there is none. */
let answers: Map<string, number>;
let clock: SkippingClock;
let audited: AuditEvent[];
const opened: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'notifier-'));
  [got, answers, clock, audited] = [[], new Map(), new SkippingClock(), []];
  server = createServer((request, response) => {
    const id = request.headers['x-gitee-s3-delivery'] as string;
    request.resume();
    request.on('end', () => {
      const status = answers.get(id) ?? 200;
      if (status === 200) got.push(`${request.url!.slice(1)} ${id}`);
      response.writeHead(status, status === 302 ? { location: `${url}/elsewhere` } : {}).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  await rm(directory, { recursive: true, force: true });
});

const target = (name: string, events = ['push', 'delete']): Target => ({
  ...{ name, events, format: 'json' },
  url: () => `${url}/${name}`,
  secret: () => 'secret',
});

async function open(options: Partial<NotifierDeps> = {}) {
  const store = LmdbStore.open(directory);
  const dispatcher = new Agent();
  const notifier = new Notifier({
    store: await NotificationStore.open(store),
    targets: [target('ci')],
    takesLayers: false,
    audit: {
      record: async (event) => {
        audited.push(event);
      },
    },
    sender: { dispatcher, userAgent: 'test', timeoutMs: 5000 },
    ...{ clock, log: silentLog, metrics: silentMetrics },
    ...options,
  });
  const close = async () => {
    await notifier.stop();
    await dispatcher.close();
    await store.close();
  };
  opened.push(close);
  return {
    notifier,
    close: async () => {
      opened.splice(opened.indexOf(close), 1);
      await close();
    },
  };
}

const envelope = (...ids: string[]) => ({ unknown: 0, events: ids.map((id) => registryEvent({ id })) });

test('messages of a target arrive in order, however often the first fails', async () => {
  const { notifier } = await open();
  answers.set('1', 503);
  await notifier.start();
  await notifier.receive(envelope('1', '2', '3'));
  await until('it was tried', () => clock.sleeps.length > 3);
  expect(got).toEqual([]);
  answers.clear();
  await until('all arrived', () => got.length === 3);
  expect(got).toEqual(['ci 1', 'ci 2', 'ci 3']);
  const [first, second, third] = clock.sleeps as [number, number, number];
  // Doubling, with up to half of it left to chance.
  expect([first <= 1000, second > 1000 * 0.99, third > 2000 * 0.99]).toEqual([true, true, true]);
});

test('one target that is away does not hold up another', async () => {
  const away = { ...target('away'), url: () => 'http://127.0.0.1:1/' };
  const { notifier } = await open({ targets: [away, target('ci')] });
  await notifier.start();
  await notifier.receive(envelope('1'));
  await until('it arrived', () => got.length === 1);
});

test('what was accepted is delivered by the next process', async () => {
  const first = await open();
  await first.notifier.receive(envelope('1')); // never started: killed before any attempt
  await first.close();
  const second = await open();
  await second.notifier.start();
  await until('it arrived', () => got.length === 1);
  await second.notifier.receive(envelope('1'));
  expect(audited).toHaveLength(1);
});

test('an id is forgotten after a day, not before', async () => {
  const first = await open();
  await first.notifier.receive(envelope('1'));
  await first.close();
  for (const [hours, times] of [
    [23, 1],
    [2, 2],
  ] as const) {
    clock.ms += hours * HOUR_MS;
    const { notifier, close } = await open();
    await notifier.start();
    await notifier.receive(envelope('1'));
    expect(audited).toHaveLength(times);
    await close();
  }
});

test('after a day of attempts a message is a dead letter, and retried it has a day again', async () => {
  const { notifier } = await open();
  answers.set('1', 500);
  await notifier.start();
  const startMs = clock.ms;
  await notifier.receive(envelope('1', '2'));
  await until('the next one arrived', () => got.includes('ci 2'));
  expect(clock.ms - startMs).toBeGreaterThan(23 * HOUR_MS);
  // It leaves the queue when its answer has come back.
  await until('the queue is empty', async () => (await notifier.overview()).targets[0]!.queued === 0);
  const { targets, deadLetters } = await notifier.overview();
  expect(targets).toEqual([{ name: 'ci', queued: 0, dead: 1 }]);
  expect(deadLetters[0]).toMatchObject({
    target: 'ci',
    event: '1',
    image: 'acme/app:1.2',
    reason: 'status 500',
  });
  answers.clear();
  expect(await notifier.retry({ event: 'other' })).toBe(0);
  expect(await notifier.retry({ event: '1' })).toBe(1);
  await until('it arrived', () => got.includes('ci 1'));
});

test('a redirect is not followed', async () => {
  const { notifier } = await open();
  answers.set('1', 302);
  await notifier.start();
  await notifier.receive(envelope('1'));
  await until('it was tried', () => clock.sleeps.length > 0);
  expect(got).toEqual([]);
});

test('a full queue makes dead letters, and full dead letters lose what comes, counted', async () => {
  const counted: (Record<string, string> | undefined)[] = [];
  const metrics = {
    ...silentMetrics,
    count: (name: string, labels?: Record<string, string>) =>
      void (name === 'gateway_notification_deliveries_total' && counted.push(labels)),
  };
  const { notifier } = await open({ queueMax: 1, metrics });
  await notifier.receive(envelope('1'));
  await notifier.receive(envelope('2'));
  await notifier.receive(envelope('3'));
  expect((await notifier.overview()).deadLetters.map((d) => [d.event, d.reason])).toEqual([
    ['2', 'the queue was full'],
  ]);
  expect(counted).toEqual([{ target: 'ci', result: 'lost' }]);
  expect(await notifier.drop({})).toBe(1);
  expect((await notifier.overview()).deadLetters).toEqual([]);
});

test('what waits for a target that is configured no more becomes a dead letter', async () => {
  const first = await open({ targets: [target('old')] });
  await first.notifier.receive(envelope('1'));
  await first.close();
  const { notifier } = await open();
  await notifier.start();
  const { deadLetters } = await notifier.overview();
  expect(deadLetters).toMatchObject([{ target: 'old', reason: 'the target is configured no more' }]);
  expect(await notifier.retry({})).toBe(0);
});

test('targets get the actions that they asked for, and layers only go into the audit log, where asked', async () => {
  const { notifier } = await open({ targets: [target('ci', ['delete'])], takesLayers: true });
  await notifier.start();
  await notifier.receive({
    unknown: 0,
    events: [
      registryEvent({ id: '1' }),
      registryEvent({ id: '2', action: 'delete' }),
      registryEvent({ id: '3', action: 'delete', kind: 'layer' }),
    ],
  });
  await until('it arrived', () => got.length > 0);
  expect(got).toEqual(['ci 2']);
  expect(audited.map((e) => e.action)).toEqual(['image.push', 'image.delete', 'layer.delete']);
});

test('what could not be kept is not taken for seen when it comes again', async () => {
  const { notifier } = await open({
    audit: {
      record: async () => {
        if (audited.push({} as AuditEvent) === 1) throw new Error('no room');
      },
    },
  });
  await expect(notifier.receive(envelope('1'))).rejects.toThrow('no room');
  await notifier.receive(envelope('1'));
  expect((await notifier.overview()).targets).toEqual([{ name: 'ci', queued: 1, dead: 0 }]);
});
