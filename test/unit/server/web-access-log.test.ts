import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { systemClock } from '../../../src/async/clock.js';
import { webAccessLog } from '../../../src/server/web-access-log.js';
import { WebListener } from '../../../src/server/web-listener.js';
import { until } from '../../support/child.js';

const ID = 'f00dcafe'.repeat(4);

async function ask(trustedProxies: readonly string[], id: string) {
  const lines: Record<string, unknown>[] = [];
  const log = { ...silentLog, info: (_message: string, fields = {}) => void lines.push(fields) };
  const listener = new WebListener({
    ...{ host: '127.0.0.1', port: 0, trustedProxies, log: silentLog },
    routers: [
      webAccessLog({ clock: systemClock, log, metrics: silentMetrics }),
      (request, response) => {
        response.locals.user = 'alice';
        response.json({ id: request.get('x-request-id') });
      },
    ],
  });
  await listener.listen();
  const headers = { 'x-request-id': id, 'x-forwarded-for': '192.0.2.7' };
  const answer = await fetch(`http://127.0.0.1:${listener.address().port}/token?code=secret`, { headers });
  const { id: seen } = (await answer.json()) as { id: string };
  await until('the line is written', () => lines.length > 0);
  await listener.close(1000);
  return { line: lines[0]!, seen, answered: answer.headers.get('x-request-id') };
}

test('the id of a trusted proxy is the id of the line, of the answer and of what routers see', async () => {
  const { line, seen, answered } = await ask(['loopback'], ID);
  expect([seen, answered]).toEqual([ID, ID]);
  expect(line).toMatchObject({
    ...{ requestId: ID, method: 'GET', path: '/token', status: 200, user: 'alice' },
    remoteAddress: '192.0.2.7',
  });
  expect(JSON.stringify(line)).not.toContain('secret');
});

test.each<[string, string[], string]>([
  ['from anybody else', ['192.0.2.1'], ID],
  ['that is no id', ['loopback'], 'x y;{"level":"error"}'],
])('an id %s is replaced by one of our own', async (_what, proxies, id) => {
  const { line, seen, answered } = await ask(proxies, id);
  expect(seen).toMatch(/^[0-9a-f]{32}$/);
  expect([line.requestId, answered]).toEqual([seen, seen]);
});

test('a client that goes away before the answer is 499', async () => {
  const gone = new AbortController();
  const lines: Record<string, unknown>[] = [];
  const log = { ...silentLog, info: (_message: string, fields = {}) => void lines.push(fields) };
  const listener = new WebListener({
    ...{ host: '127.0.0.1', port: 0, trustedProxies: [], log: silentLog },
    routers: [webAccessLog({ clock: systemClock, log, metrics: silentMetrics }), () => gone.abort()],
  });
  await listener.listen();
  const asked = fetch(`http://127.0.0.1:${listener.address().port}/slow`, { signal: gone.signal });
  await expect(asked).rejects.toThrow();
  await until('the line is written', () => lines.length > 0);
  expect(lines[0]).toMatchObject({ path: '/slow', status: 499 });
  await listener.close(1000);
});
