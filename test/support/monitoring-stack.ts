import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { parse, stringify } from 'yaml';
import { Child, freePort, httpStatus, until } from './child.js';

const NO_PROXY = { no_proxy: '127.0.0.1,localhost', NO_PROXY: '127.0.0.1,localhost' };

interface ScrapeJob {
  readonly job_name: string;
  readonly [key: string]: unknown;
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

/** A program of Debian that answers HTTP when it is ready. */
export async function startDaemon(
  directory: string,
  command: string,
  args: readonly string[],
  readyUrl: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Child> {
  const logFile = path.join(directory, `${path.basename(command)}.log`);
  const child = Child.start(command, args, { logFile, env: { ...process.env, ...NO_PROXY, ...env } });
  await until(`${command} answers`, async () => {
    if (!child.running) throw new Error(`${command} ended: ${await child.lastWords()}`);
    return (await httpStatus(readyUrl)) === 200;
  });
  return child;
}

/**
 * Prometheus on the shipped configuration and rules, with the addresses of the test and in quick motion: a minute of
 * the rules' windows lasts two seconds, an hour sixty, a day a hundred, and nothing has to hold before it fires.
 */
export async function startPrometheus(options: {
  readonly directory: string;
  /** host:port by job (of `probe`: the address to probe); a job that is not named is left out. */
  readonly targets: Readonly<Record<string, string>>;
  /** host:port of the blackbox exporter. */
  readonly prober: string;
  readonly alertmanager: string;
}): Promise<{ url: string; child: Child }> {
  const { alertmanager, prober, targets } = options;
  const directory = path.join(options.directory, 'prometheus');
  await mkdir(path.join(directory, 'rules'), { recursive: true });
  for (const name of await readdir('deploy/prometheus/rules')) {
    const text = await readFile(path.join('deploy/prometheus/rules', name), 'utf8');
    await writeFile(path.join(directory, 'rules', name), inQuickMotion(text));
  }
  const text = await readFile('deploy/prometheus/prometheus.yml', 'utf8');
  const shipped = parse(text.replace('blackbox-exporter:9115', prober)) as { scrape_configs: ScrapeJob[] };
  const address = `127.0.0.1:${await freePort()}`;
  const jobs = shipped.scrape_configs.flatMap(({ job_name, dns_sd_configs: _, ...job }) => {
    const target = job_name === 'prometheus' ? address : targets[job_name];
    return target === undefined ? [] : [{ ...job, job_name, static_configs: [{ targets: [target] }] }];
  });
  const config = {
    ...shipped,
    global: { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '500ms' },
    alerting: { alertmanagers: [{ static_configs: [{ targets: [alertmanager] }] }] },
    scrape_configs: jobs,
  };
  const configFile = path.join(directory, 'prometheus.yml');
  await writeFile(configFile, stringify(config));
  const url = `http://${address}`;
  const child = await startDaemon(
    directory,
    'prometheus',
    [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${path.join(directory, 'data')}`,
      `--web.listen-address=${address}`,
    ],
    `${url}/-/ready`,
  );
  return { url, child };
}

function inQuickMotion(rules: string): string {
  const seconds: Readonly<Record<string, number>> = { m: 2, h: 60, d: 100 };
  const quick = (n: string, unit: string) => `${Number(n) * (seconds[unit] ?? 1)}s`;
  return rules
    .replaceAll(/\[(\d+)([mhd])\]/g, (_all, n: string, unit: string) => `[${quick(n, unit)}]`)
    .replaceAll(/\boffset (\d+)([mhd])/g, (_all, n: string, unit: string) => `offset ${quick(n, unit)}`)
    .replaceAll(/\bfor: \d+[mh]/g, 'for: 0s');
}

/** Alertmanager on the shipped configuration, at the bridge and with the token file of the test, without its waits. */
export async function startAlertmanager(options: {
  readonly directory: string;
  readonly bridge: string;
  readonly tokenFile: string;
}): Promise<{ address: string; child: Child }> {
  const directory = path.join(options.directory, 'alertmanager');
  await mkdir(directory, { recursive: true });
  const shipped = await readFile('deploy/alertmanager/alertmanager.yml', 'utf8');
  const edits: [RegExp, string][] = [
    [/http:\/\/alert-bridge:9465/g, options.bridge],
    [/\/run\/secrets\/alerts_token/g, options.tokenFile],
    [/group_wait: \d+s/g, 'group_wait: 100ms'],
    [/group_interval: 5m/g, 'group_interval: 1s'],
  ];
  let text = shipped;
  for (const [before, after] of edits) {
    if (!before.test(text)) throw new Error(`alertmanager.yml has no ${before.source}`);
    text = text.replaceAll(before, after);
  }
  const configFile = path.join(directory, 'alertmanager.yml');
  await writeFile(configFile, text);
  const address = `127.0.0.1:${await freePort()}`;
  const child = await startDaemon(
    directory,
    'prometheus-alertmanager',
    [
      `--config.file=${configFile}`,
      `--storage.path=${path.join(directory, 'data')}`,
      `--web.listen-address=${address}`,
      '--cluster.listen-address=',
    ],
    `http://${address}/-/ready`,
  );
  return { address, child };
}

/** Result of an instant query. */
export async function query(prometheusUrl: string, expr: string): Promise<readonly Sample[]> {
  const answer = await fetch(
    `${prometheusUrl}/api/v1/query?${new URLSearchParams({ query: expr }).toString()}`,
  );
  const { data } = (await answer.json()) as { data?: { result: Sample[] } };
  if (!data) throw new Error(`Prometheus refuses ${expr}`);
  return data.result;
}
