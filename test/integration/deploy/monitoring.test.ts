import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as path from 'node:path';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { Child } from '../../support/child.js';
import { freePort, mustRun, run, until } from '../../support/child.js';
import { makeImage, push } from '../../support/image.js';
import { query, startAlertmanager, startDaemon, startPrometheus } from '../../support/monitoring-stack.js';
import { TestNginx } from '../../support/nginx.js';
import { expressionsOf, metricNames, rulesOf, type Dashboard } from '../../support/promql.js';
import { ShippedRegistry } from '../../support/shipped-registry.js';
import { startStack, type Stack } from '../../support/stack.js';

const ROBOT_SECRET = 'SEC-of-the-robot';
const MiB = 1024 ** 2;
/** Prometheus makes these itself. */
const OWN_SERIES = ['ALERTS', 'up'];

/** A group's robot of DingTalk: checks the signature as DingTalk documents it. */
class Robot {
  readonly messages: { title: string; text: string }[] = [];
  readonly wronglySigned: string[] = [];
  readonly #server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const search = new URL(request.url!, 'http://x').searchParams;
      const text = `${search.get('timestamp')}\n${ROBOT_SECRET}`;
      const sign = createHmac('sha256', ROBOT_SECRET).update(text).digest('base64');
      const { markdown } = JSON.parse(Buffer.concat(parts).toString()) as {
        markdown: { title: string; text: string };
      };
      if (sign === search.get('sign')) this.messages.push(markdown);
      else this.wronglySigned.push(request.url!);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"errcode":0,"errmsg":"ok"}');
    });
  });

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/robot/send?access_token=t`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

async function shippedExpressions(): Promise<string[]> {
  const directory = 'deploy/prometheus/rules';
  const rules = [];
  for (const name of await readdir(directory))
    rules.push(...rulesOf(await readFile(path.join(directory, name), 'utf8')));
  const dashboard = JSON.parse(
    await readFile('deploy/grafana/dashboards/registry.json', 'utf8'),
  ) as Dashboard;
  return [...rules.map((rule) => rule.expr), ...expressionsOf(dashboard)];
}

describe('the shipped files, by the programs that read them', () => {
  test('promtool and amtool accept the configurations, and all cases of the rules pass', async () => {
    await mustRun('promtool', ['check', 'config', 'deploy/prometheus/prometheus.yml']);
    await mustRun('amtool', ['check-config', 'deploy/alertmanager/alertmanager.yml']);
    const tests = (await readdir('deploy/prometheus/tests')).map((name) => `deploy/prometheus/tests/${name}`);
    expect(tests.length).toBeGreaterThan(5);
    const result = await run('promtool', ['test', 'rules', ...tests]);
    expect([result.code, result.stdout, result.stderr]).toEqual([
      0,
      expect.not.stringContaining('FAILED'),
      '',
    ]);
  });
});

describe('monitoring a real stack', () => {
  const robot = new Robot();
  const children: Child[] = [];
  let stack: Stack;
  let nginx: TestNginx;
  let registry: ShippedRegistry;
  let prometheusUrl: string;
  let alertmanagerUrl: string;

  const firing = async (alert: string, labels = '') =>
    (await query(prometheusUrl, `ALERTS{alertname="${alert}",alertstate="firing"${labels}}`)).length > 0;
  const told = (text: string) => robot.messages.some((message) => message.title.includes(text));
  const fires = (alert: string, labels?: string) => until(`${alert} fires`, () => firing(alert, labels));

  beforeAll(async () => {
    const robotUrl = await robot.listen();
    stack = await startStack({ config: { poll_interval: '500ms', commit: { interval: '200ms' } } });
    const { directory, gateway } = stack;
    nginx = await TestNginx.start({
      directory: path.join(directory, 'nginx'),
      gatewayS3: new URL(gateway.endpoint).host,
    });
    registry = await ShippedRegistry.start({
      directory: path.join(directory, 'registry'),
      s3Endpoint: `http://127.0.0.1:${nginx.ports.s3}`,
      accessKeyId: gateway.accessKeyId,
      secretAccessKey: gateway.secretAccessKey,
      httpSecret: 'a secret of the test',
    });
    await nginx.setUpstreams({
      registries: [registry.address],
      gatewayS3: new URL(gateway.endpoint).host,
    });
    await nginx.reload();

    const tokenFile = path.join(directory, 'alerts-token');
    await writeFile(tokenFile, 'a-token-of-alertmanager\n', { mode: 0o600 });
    const [bridgePort, nginxPort, nodePort] = [await freePort(), await freePort(), await freePort()];
    const prober = `127.0.0.1:${await freePort()}`;
    const bridge = `http://127.0.0.1:${bridgePort}`;
    await mkdir(path.join(directory, 'daemons'));
    children.push(
      ...(await Promise.all([
        startDaemon(
          path.join(directory, 'daemons'),
          process.execPath,
          [path.resolve('dist/cli/main.js'), 'alert-bridge'],
          `${bridge}/healthz`,
          {
            GATEWAY_ALERTS_PORT: String(bridgePort),
            GATEWAY_ALERTS_TOKEN_FILE: tokenFile,
            GATEWAY_ALERTS_DOCS_URL: 'https://docs.example.com/gitee-s3',
            GATEWAY_NOTIFICATIONS_TARGETS_0_NAME: 'room',
            GATEWAY_NOTIFICATIONS_TARGETS_0_FORMAT: 'dingtalk',
            GATEWAY_NOTIFICATIONS_TARGETS_0_URL: robotUrl,
            GATEWAY_NOTIFICATIONS_TARGETS_0_SECRET: ROBOT_SECRET,
            GATEWAY_NOTIFICATIONS_TARGETS_0_EVENTS: '[alert]',
          },
        ),
        startDaemon(
          path.join(directory, 'daemons'),
          'prometheus-nginx-exporter',
          [
            `-web.listen-address=127.0.0.1:${nginxPort}`,
            `-nginx.scrape-uri=http://127.0.0.1:${nginx.ports.status}/nginx_status`,
          ],
          `http://127.0.0.1:${nginxPort}/metrics`,
        ),
        startDaemon(
          path.join(directory, 'daemons'),
          'prometheus-node-exporter',
          [
            `--web.listen-address=127.0.0.1:${nodePort}`,
            '--collector.disable-defaults',
            ...['cpu', 'meminfo', 'filesystem', 'diskstats', 'loadavg', 'timex'].map(
              (name) => `--collector.${name}`,
            ),
          ],
          `http://127.0.0.1:${nodePort}/metrics`,
        ),
        startDaemon(
          path.join(directory, 'daemons'),
          'prometheus-blackbox-exporter',
          [
            '--config.file=deploy/prometheus/blackbox.yml',
            `--web.listen-address=${prober}`,
            // What it leaves of Prometheus' own limit, here half a second: by default all of it.
            '--timeout-offset=0.1',
          ],
          `http://${prober}/-/healthy`,
        ),
      ])),
    );
    const alertmanager = await startAlertmanager({ directory, bridge, tokenFile });
    children.push(alertmanager.child);
    alertmanagerUrl = `http://${alertmanager.address}`;
    const prometheus = await startPrometheus({
      directory,
      targets: {
        gateway: new URL(gateway.metricsUrl).host,
        registry: registry.debugAddress,
        nginx: `127.0.0.1:${nginxPort}`,
        node: `127.0.0.1:${nodePort}`,
        probe: `https://127.0.0.1:${nginx.ports.tls}/v2/`,
        alertmanager: alertmanager.address,
      },
      alertmanager: alertmanager.address,
      prober,
    });
    prometheusUrl = prometheus.url;
    children.push(prometheus.child);
  });

  afterAll(async () => {
    await Promise.all(children.map((child) => child.stop()));
    await registry?.stop();
    await nginx?.stop();
    await stack?.close();
    await robot.close();
  });

  test('every target is scraped, and every name in rules and dashboard is one that the programs export', async () => {
    await until('all targets are up', async () => (await query(prometheusUrl, 'up == 1')).length === 7);
    const image = await makeImage(path.join(stack.directory, 'image'), [1000]);
    expect(await push(image, registry.address, 'a/image:v1')).toMatchObject({ code: 0 });

    const expressions = await shippedExpressions();
    const used = [...new Set(expressions.flatMap(metricNames))].filter(
      (name) => !name.includes(':') && !OWN_SERIES.includes(name),
    );
    // Those of the gateway are compared with its table in test/docs/monitoring.test.ts: many appear with their first event.
    const foreign = used.filter((name) => !name.startsWith('gateway_'));
    expect(new Set(foreign.map((name) => name.split('_')[0]))).toEqual(
      new Set(['alertmanager', 'nginx', 'node', 'probe', 'process', 'registry']),
    );
    await until('Prometheus has seen them all', async () => {
      const answer = await fetch(`${prometheusUrl}/api/v1/label/__name__/values`);
      const { data } = (await answer.json()) as { data: string[] };
      return foreign.every((name) => data.includes(name));
    });

    const asRules = expressions.map((expr, i) => ({ record: `parsed:${i}`, expr }));
    const file = path.join(stack.directory, 'parsed.yml');
    await writeFile(file, JSON.stringify({ groups: [{ name: 'all', rules: asRules }] }));
    await mustRun('promtool', ['check', 'rules', file]);
  });

  test('the probe reaches the registry through Nginx, and sees a certificate that ends in two days', async () => {
    await until('it succeeds', async () => (await query(prometheusUrl, 'probe_success == 1')).length === 1);
    await fires('CertificateExpiresNow');
    await until('the room is told', () => told('告警 / alert: CertificateExpiresNow'));
  });

  test('the token is revoked: BucketPaused; with a new one it is over', async () => {
    const { gateway, gitee } = stack;
    await gitee.admin('tokens', { revoke: gitee.token });
    await fires('BucketPaused', ',cause="unauthorized",bucket="registry"');
    await until('the room is told', () => told('告警 / alert: BucketPaused'));

    const fresh = `${gitee.token}ff`;
    await gitee.admin('tokens', {
      add: { login: gitee.login, token: fresh, scopes: ['user_info', 'projects'] },
    });
    await writeFile(gateway.tokenFile, fresh);
    gateway.child!.process.kill('SIGHUP');
    await until('it is over', async () => !(await firing('BucketPaused')));
    await until('the room is told that too', () => told('已恢复 / resolved: BucketPaused'));
  });

  test('Gitee refuses one file for good: ChangesQuarantined', async () => {
    await stack.gitee.admin('repositories', { owner: 'acme', name: 'files', limits: { lfsObjectMb: 2 } });
    await stack.gateway
      .s3Client()
      .send(new PutObjectCommand({ Bucket: 'files', Key: 'large', Body: Buffer.alloc(3 * MiB, 7) }));
    await fires('ChangesQuarantined', ',bucket="files"');
  });

  test('Gitee is away: the room reads of it in both languages, with its page, signed', async () => {
    await stack.gitee.kill();
    await fires('GiteeUnreachable');
    await until('the room is told', () => told('告警 / alert: GiteeUnreachable'));
    const { text } = robot.messages.find(({ title }) => title.includes('GiteeUnreachable'))!;
    expect(text).toContain('critical: 无法访问 Gitee / Gitee cannot be reached');
    expect(text).toContain('https://docs.example.com/gitee-s3/docs/runbooks/GiteeUnreachable.md');
    expect(robot.wronglySigned).toEqual([]);
  });

  test('the gateway stops: GatewayDown, by a bridge that does not need it', async () => {
    await stack.gateway.kill();
    await fires('GatewayDown');
    await until('the room is told', () => told('告警 / alert: GatewayDown'));
  });

  test('Nginx stops: RegistryUnreachable', async () => {
    await nginx.stop();
    await fires('RegistryUnreachable');
    await until('the room is told', () => told('告警 / alert: RegistryUnreachable'));
  });

  test('what follows from another alert, and the farther warning of the same thing, are not told', async () => {
    const send = [
      ['GatewayDown', {}],
      ['QueueOld', { bucket: 'b' }],
      ['CertificateExpires', { instance: 'one' }],
      ['CertificateExpiresNow', { instance: 'one' }],
      ['CertificateExpires', { instance: 'another' }],
      ['RegistryDown', {}],
      ['DiskReserveNear', {}],
    ].map(([alertname, labels]) => ({ labels: { alertname, ...(labels as object), from: 'test' } }));
    const posted = await fetch(`${alertmanagerUrl}/api/v2/alerts`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(send),
    });
    expect(posted.status).toBe(200);
    const states = async () => {
      const answer = await fetch(`${alertmanagerUrl}/api/v2/alerts?filter=from%3D%22test%22`);
      const alerts = (await answer.json()) as {
        labels: Record<string, string>;
        status: { state: string };
      }[];
      return Object.fromEntries(
        alerts.map(({ labels, status }) => [
          [labels['alertname'], labels['instance']].filter(Boolean).join(' '),
          status.state,
        ]),
      );
    };
    await until('all are looked at', async () => {
      const seen = Object.values(await states());
      return seen.length === send.length && !seen.includes('unprocessed');
    });
    expect(await states()).toEqual({
      GatewayDown: 'active',
      QueueOld: 'suppressed',
      'CertificateExpires one': 'suppressed',
      'CertificateExpiresNow one': 'active',
      'CertificateExpires another': 'active',
      RegistryDown: 'active',
      DiskReserveNear: 'active',
    });
  });
});
