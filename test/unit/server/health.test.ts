import type { Problem } from '../../../src/server/gateway.js';
import { HealthServer } from '../../../src/server/health.js';
import { PrometheusMetrics } from '../../../src/server/metrics.js';

test('readyz says what is not ready, healthz only that the process answers', async () => {
  let problems: Problem[] = [{ name: 'gitee', detail: 'gitee.token is refused: make a new one' }];
  const metrics = new PrometheusMetrics({ version: '1', format: '1' }, { process: false });
  const server = new HealthServer({
    host: '127.0.0.1',
    port: 0,
    metrics,
    problems: () => problems,
    refresh: () => metrics.set('gateway_spool_unsent_bytes', 42),
  });
  expect(() => server.address()).toThrow('not listened');
  await server.listen();
  try {
    const base = `http://127.0.0.1:${server.address().port}`;
    const notReady = await fetch(`${base}/readyz`);
    expect(notReady.status).toBe(503);
    expect(await notReady.json()).toEqual({ status: 'not ready', problems });
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
    problems = [];
    expect(await (await fetch(`${base}/readyz`)).json()).toEqual({ status: 'ready', problems: [] });
    problems = [{ name: 'gitee', detail: 'uploads to LFS get no answer since …', keepsReady: true }];
    const degraded = await fetch(`${base}/readyz`);
    expect(degraded.status).toBe(200);
    expect(await degraded.json()).toEqual({ status: 'degraded', problems });
    problems = [...problems, { name: 'starting', detail: 'the gateway starts' }];
    expect((await fetch(`${base}/readyz`)).status).toBe(503);
    const page = await fetch(`${base}/metrics`);
    expect(page.headers.get('content-type')).toContain('text/plain');
    expect(await page.text()).toContain('gateway_spool_unsent_bytes 42');
    expect((await fetch(`${base}/other`)).status).toBe(404);
  } finally {
    await server.close(0);
  }
});

test('an address in use rejects, it does not crash', async () => {
  const options = { host: '127.0.0.1', problems: () => [] };
  const metrics = new PrometheusMetrics({ version: '1', format: '1' }, { process: false });
  const first = new HealthServer({ ...options, port: 0, metrics });
  await first.listen();
  const second = new HealthServer({ ...options, port: first.address().port, metrics });
  await expect(second.listen()).rejects.toThrow('EADDRINUSE');
  await first.close(0);
  await second.close(0);
});
