import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { Agent } from 'undici';
import type { Clock } from '../../../src/async/clock.js';
import type { Log } from '../../../src/async/log.js';
import { alertBridge } from '../../../src/notifications/alert-bridge.js';
import type { Format } from '../../../src/notifications/message.js';

const TOKEN = 'the token of alertmanager';
const BEARER = TOKEN.replaceAll(' ', '-');
const payload = (name = 'GatewayDown') => ({
  version: '4',
  alerts: [
    {
      status: 'firing',
      labels: { alertname: name, severity: 'critical' },
      annotations: { summary: 'It is down', summary_zh: '已停止' },
      startsAt: '2026-01-02T03:04:05Z',
    },
  ],
});

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}

/** Robots at /<name>; each answers what stands in `answers`, the last of it for ever. */
class Robots {
  readonly told: string[] = [];
  readonly answers = new Map<string, [number, string][]>();
  readonly server = createServer((request, response) => {
    const name = request.url!.slice(1).split('?')[0]!;
    this.told.push(name);
    request.resume();
    const row = this.answers.get(name) ?? [[200, '{"errcode":0}']];
    const [status, body] = row.length > 1 ? row.shift()! : row[0]!;
    response.writeHead(status).end(body);
  });
}

/** Waits pass at once; what was waited for is kept. */
class QuickClock implements Clock {
  readonly waitsMs: number[] = [];
  nowMs(): number {
    return 1_700_000_000_000;
  }
  steadyMs(): number {
    return 0;
  }
  sleep(ms: number): Promise<void> {
    this.waitsMs.push(ms);
    return Promise.resolve();
  }
}

describe('the alert bridge', () => {
  const dispatcher = new Agent();
  const stop = new AbortController();
  let robots: Robots;
  let clock: QuickClock;
  let logged: string[];
  let bridge: Server;
  let url: string;

  async function start(...targets: [string, Format][]): Promise<void> {
    const robotsUrl = await listen(robots.server);
    const line = (message: string, fields?: unknown) =>
      void logged.push(`${message} ${JSON.stringify(fields)}`);
    const log: Log = { debug: line, info: line, warn: line, error: line, child: () => log };
    const app = express().use(
      alertBridge({
        targets: targets.map(([name, format]) => ({
          ...{ name, format, events: ['alert'] },
          url: () => `${robotsUrl}/${name}`,
          secret: () => 'a secret of the robot',
        })),
        token: () => BEARER,
        docsUrl: '',
        sender: { dispatcher, userAgent: 'test', timeoutMs: 5000 },
        clock,
        log,
        signal: stop.signal,
      }),
    );
    bridge = createServer(app);
    url = await listen(bridge);
  }

  const post = async (body: unknown, token = BEARER) => {
    const answer = await fetch(`${url}/alerts`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };

  beforeEach(() => {
    robots = new Robots();
    clock = new QuickClock();
    logged = [];
  });

  afterEach(async () => {
    await close(bridge);
    await close(robots.server);
  });

  afterAll(() => dispatcher.close());

  test('tells every target, and says who has it', async () => {
    await start(['room', 'dingtalk'], ['ci', 'json']);
    expect(await post(payload())).toEqual({ status: 200, body: { delivered: ['room', 'ci'] } });
    expect(robots.told.sort()).toEqual(['ci', 'room']);
  });

  test('a stranger is refused before anything of the body is read', async () => {
    await start(['room', 'dingtalk']);
    expect((await post(payload(), 'wrong')).status).toBe(401);
    const none = await fetch(`${url}/alerts`, { method: 'POST', body: 'x' });
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    expect(robots.told).toEqual([]);
  });

  test('what is no payload gets 400, a group without alerts reaches nobody', async () => {
    await start(['room', 'dingtalk']);
    expect((await post({ version: '3' })).status).toBe(400);
    expect((await post({ version: '4', alerts: [] })).status).toBe(200);
    expect(robots.told).toEqual([]);
  });

  test('a busy robot is asked again a few times, with growing waits', async () => {
    await start(['room', 'dingtalk']);
    robots.answers.set('room', [
      [200, '{"errcode":130101,"errmsg":"too fast"}'],
      [503, ''],
      [200, '{"errcode":0}'],
    ]);
    expect((await post(payload())).status).toBe(200);
    expect([robots.told.length, clock.waitsMs]).toEqual([3, [500, 1000]]);
  });

  test('where a robot stays away Alertmanager is told to try again', async () => {
    await start(['room', 'dingtalk']);
    robots.answers.set('room', [[503, '']]);
    expect(await post(payload())).toEqual({
      status: 502,
      body: { delivered: [], failed: [{ target: 'room', reason: 'status 503' }] },
    });
    expect(robots.told).toHaveLength(3);
    expect(logged.join()).toContain('an alert was not delivered');
    expect(logged.join()).not.toContain('a secret of the robot');
  });

  test('where it tries again, who has it is not told twice; the next time it is', async () => {
    await start(['room', 'dingtalk'], ['ci', 'json']);
    robots.answers.set('ci', [
      [503, ''],
      [503, ''],
      [503, ''],
      [200, ''],
    ]);
    expect((await post(payload())).status).toBe(502);
    expect((await post(payload())).status).toBe(200);
    expect(robots.told.filter((name) => name === 'room')).toHaveLength(1);
    expect((await post(payload('Other'))).status).toBe(200);
    expect((await post(payload())).status).toBe(200); // the repetition after four hours
    expect(robots.told.filter((name) => name === 'room')).toHaveLength(3);
  });

  test('a message that the robot refuses is not tried again', async () => {
    await start(['room', 'dingtalk']);
    robots.answers.set('room', [[200, '{"errcode":310000,"errmsg":"keywords not in content"}']]);
    const { status, body } = await post(payload());
    expect([status, robots.told.length]).toEqual([422, 1]);
    expect(JSON.stringify(body)).toContain('keywords not in content');
  });

  test('one refusal and one that may work later: Alertmanager tries again', async () => {
    await start(['room', 'dingtalk'], ['ci', 'json']);
    robots.answers.set('room', [[200, '{"errcode":310000}']]);
    robots.answers.set('ci', [[500, '']]);
    expect((await post(payload())).status).toBe(502);
  });

  test('a supervisor may ask whether it lives', async () => {
    await start(['room', 'dingtalk']);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});
