import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { METRICS } from '../../../src/async/metric-table.js';
import { PrometheusMetrics } from '../../../src/server/metrics.js';

const build = { version: '1.2.3', format: '1' };

test('a metric or a label that stands in no row does not compile, and throws', () => {
  const metrics = new PrometheusMetrics(build, { process: false });
  // @ts-expect-error a typing error
  expect(() => metrics.count('gateway_htp_requests_total')).toThrow('no such metric');
  // @ts-expect-error a counter is not set
  expect(() => metrics.set('gateway_http_requests_total', 1)).toThrow('no such metric');
  // @ts-expect-error a label is missing
  expect(() => metrics.count('gateway_http_requests_total', { operation: 'GetObject' })).toThrow('labels');
  // @ts-expect-error there is no such label
  expect(() => metrics.count('gateway_cache_reads_total', { result: 'hit', why: 'x' })).toThrow('labels');
  expect(() => metrics.count('gateway_http_requests_total')).toThrow('labels');
});

test('counters add, gauges hold, histograms bucket', async () => {
  const metrics = new PrometheusMetrics(build, { process: false });
  metrics.count('gateway_http_requests_total', { operation: 'GetObject', status: '200' });
  metrics.count('gateway_http_requests_total', { operation: 'GetObject', status: '200' }, 2);
  metrics.set('gateway_cache_bytes', 7);
  metrics.observe('gateway_commit_duration_seconds', 0.3, { bucket: 'registry' });
  const { body, contentType } = await metrics.page();
  expect(contentType).toContain('text/plain');
  expect(body).toContain('gateway_http_requests_total{operation="GetObject",status="200"} 3');
  expect(body).toContain('gateway_cache_bytes 7');
  expect(body).toContain('gateway_commit_duration_seconds_bucket{le="0.5",bucket="registry"} 1');
  expect(body).toContain(
    `gateway_build_info{version="1.2.3",node_version="${process.version}",storage_format="1"} 1`,
  );
});

test('every row is reported by somebody', () => {
  const SRC = join(import.meta.dirname, '../../../src');
  const texts = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('metric-table.ts'))
    .map((name) => readFileSync(join(SRC, name), 'utf8'))
    .join('\n');
  expect(METRICS.map(({ name }) => name).filter((name) => !texts.includes(`'${name}'`))).toEqual([]);
});

test('two gateways in one process have figures of their own', async () => {
  const [a, b] = [new PrometheusMetrics(build), new PrometheusMetrics(build)];
  a.count('gateway_cache_evictions_total');
  expect((await b.page()).body).toContain('gateway_cache_evictions_total 0');
});

test('names follow the conventions: counters end in _total, nothing else does', () => {
  for (const row of METRICS)
    expect([row.name, row.name.endsWith('_total')]).toEqual([row.name, row.kind === 'counter']);
});

test('the series of a bucket go with it, whatever other labels they have', async () => {
  const metrics = new PrometheusMetrics(build, { process: false });
  for (const bucket of ['gone', 'stays']) {
    metrics.count('gateway_commits_total', { bucket, result: 'landed' });
    metrics.set('gateway_bucket_paused', 1, { bucket, cause: 'quota' });
    metrics.observe('gateway_commit_changes', 3, { bucket });
  }
  await metrics.forgetBucket('gone');
  const { body } = await metrics.page();
  expect(body).not.toContain('bucket="gone"');
  expect(body.match(/bucket="stays"/g)!.length).toBeGreaterThan(10);
});
