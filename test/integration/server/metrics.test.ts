import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { METRICS } from '../../../src/async/metric-table.js';
import { PrometheusMetrics } from '../../../src/server/metrics.js';
import { spawnTied } from '../../support/tied.js';

/** One sample for each row, so that every metric stands on the page. */
function withEverything(): PrometheusMetrics {
  const metrics = new PrometheusMetrics({ version: '1.0.0', format: '1' });
  for (const row of METRICS) {
    const labels = Object.fromEntries(row.labels.map((label) => [label, 'x'])) as never;
    if (row.kind === 'counter') metrics.count(row.name, labels);
    else if (row.kind === 'gauge') metrics.set(row.name, 1, labels);
    else metrics.observe(row.name, 1, labels);
  }
  return metrics;
}

test('promtool accepts the page of every metric, those of the process too', async () => {
  const { body } = await withEverything().page();
  for (const row of METRICS) expect(body).toContain(`# TYPE ${row.name} ${row.kind}`);
  expect(body).toContain('process_resident_memory_bytes');
  const promtool = spawnTied('promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
  promtool.stdin.end(body);
  const [out, err, [code]] = await Promise.all([
    text(promtool.stdout),
    text(promtool.stderr),
    once(promtool, 'close') as Promise<[number]>,
  ]);
  expect([code, out + err]).toEqual([0, '']);
});
