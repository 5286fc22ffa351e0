import { readdirSync } from 'node:fs';
import { parse } from 'yaml';
import { COMMANDS } from '../../src/cli/commands.js';
import { helpOf } from '../../src/cli/run.js';
import { METRICS } from '../../src/async/metric-table.js';
import { expressionsOf, metricNames, rulesOf, type Dashboard, type Panel } from '../support/promql.js';
import { exists, readDocument, section } from './document.js';

const RULES = 'deploy/prometheus/rules';
const TESTS = 'deploy/prometheus/tests';
const RUNBOOKS = 'docs/runbooks';

const rules = readdirSync(RULES).flatMap((name) => rulesOf(readDocument(`${RULES}/${name}`)));
const alerts = rules.filter((rule) => rule.alert !== undefined);
const names = alerts.map((rule) => rule.alert!);
const dashboard = JSON.parse(readDocument('deploy/grafana/dashboards/registry.json')) as Dashboard;

/** What no panel shows, and why. */
const WITHOUT_PANEL: Readonly<Record<string, string>> = {
  gateway_token_certificate_expiry_timestamp_seconds:
    'of use a month before it ends: the alert TokenCertificateExpires',
  gateway_journal_appends_total: 'requests by operation show the same',
  gateway_commit_changes: 'for whoever sets commit.interval',
  gateway_rebuild_keys_total: 'moves at a start without state only',
  gateway_web_request_duration_seconds: 'the time of token requests stands for it',
  gateway_git_operations_total: 'commits by result, failed calls by cause and the time of git show the same',
  gateway_webhooks_total: 'for whoever sets up a webhook',
  gateway_notification_events_total: 'deliveries show what became of them',
};

/** A figure of the gateway, under the name that its type gives it. */
function isOfGateway(name: string): boolean {
  return [...METRICS, { name: 'gateway_build_info', kind: 'gauge' }].some(
    (row) =>
      row.name === name ||
      (row.kind === 'histogram' && ['_bucket', '_count', '_sum'].some((end) => row.name + end === name)),
  );
}

describe('alerts', () => {
  test('each has a severity, both languages and its own page', () => {
    expect(new Set(names).size).toBe(names.length);
    for (const { alert, labels, annotations } of alerts) {
      expect([alert, labels?.['severity']]).toEqual([alert, expect.stringMatching(/^(critical|warning)$/)]);
      expect(annotations?.['summary_zh']).toMatch(/\p{Script=Han}/u);
      for (const key of ['summary', 'description']) expect(annotations?.[key]).toMatch(/^\S.+/);
      expect(annotations?.['runbook']).toBe(`${RUNBOOKS}/${alert}.md`);
    }
  });

  test('every alert has its page, and every page its alert', () => {
    const pages = readdirSync(RUNBOOKS).map((file) => file.replace(/\.md$/, ''));
    expect(pages.sort()).toEqual([...names].sort());
  });

  test('every page says what it means in Chinese, what to look at, what to do and how it ends', () => {
    for (const name of names) {
      const text = readDocument(`${RUNBOOKS}/${name}.md`);
      expect(text.startsWith(`# ${name}\n\n**含义**:`)).toBe(true);
      const wanted = ['**处理**:', '## What it means', '## What users notice', '## What to look at', '```sh'];
      for (const part of [...wanted, '## What to do', '## How it ends'])
        expect([name, part, text.includes(part)]).toEqual([name, part, true]);
      for (const [, link] of text.matchAll(/\]\(([^)#:]+)\)/g))
        expect([name, link, exists(`${RUNBOOKS}/${link}`)]).toEqual([name, link, true]);
    }
  });

  test('every command of gitee-s3 on a page exists with its flags', () => {
    for (const file of [...names.map((name) => `${RUNBOOKS}/${name}.md`), 'docs/monitoring.md']) {
      for (const [, name, rest] of readDocument(file).matchAll(
        /gitee-s3 ([a-z][a-z-]+)((?: [^`\n#|;]*)?)/g,
      )) {
        const command = COMMANDS.find((c) => c.name === name);
        expect([file, name, command !== undefined]).toEqual([file, name, true]);
        for (const [flag] of rest!.matchAll(/(?<= )--[a-z-]+/g))
          expect([file, helpOf(command!)]).toEqual([file, expect.stringContaining(flag)]);
      }
    }
  });

  test('for every alert there is a case where it fires and one where it does not', () => {
    const cases = readdirSync(TESTS).flatMap((file) => {
      const { tests } = parse(readDocument(`${TESTS}/${file}`)) as {
        tests: { promql_expr_test: { expr: string; exp_samples: unknown[] }[] }[];
      };
      return tests.flatMap((t) => t.promql_expr_test);
    });
    const named = (fires: boolean) =>
      cases
        .filter(({ exp_samples: samples }) => samples.length > 0 === fires)
        .map(({ expr }) => /^ALERTS\{alertname="(\w+)",alertstate="firing"\}$/.exec(expr)?.[1]);
    for (const fires of [true, false])
      expect([fires, [...new Set(named(fires))].sort()]).toEqual([fires, [...names].sort()]);
  });

  test('cases evaluate all groups, in the order of the files: recorded figures come before who needs them', () => {
    const groupsOf = (file: string) =>
      (parse(readDocument(`${RULES}/${file}`)) as { groups: { name: string }[] }).groups.map((g) => g.name);
    const groups = ['recording.yml', 'alerts.yml'].flatMap(groupsOf);
    for (const file of readdirSync(TESTS)) {
      const { group_eval_order: order } = parse(readDocument(`${TESTS}/${file}`)) as {
        group_eval_order: string[];
      };
      expect([file, order]).toEqual([file, groups]);
    }
  });

  test('the table of docs/monitoring.md has them all, with their severity', () => {
    const rows = [...section('docs/monitoring.md', 'alerts').matchAll(/^\| \[(\w+)\]\((.*)\) \| (\w+) \|/gm)];
    expect(rows.map(([, name, link, severity]) => [name, link, severity])).toEqual(
      alerts.map(({ alert, labels }) => [alert, `runbooks/${alert}.md`, labels?.['severity']]),
    );
  });

  test('an inhibition names alerts that exist', () => {
    const { inhibit_rules: inhibitions } = parse(readDocument('deploy/alertmanager/alertmanager.yml')) as {
      inhibit_rules: { source_matchers: string[]; target_matchers: string[] }[];
    };
    expect(inhibitions.length).toBeGreaterThan(5);
    for (const { source_matchers: source, target_matchers: target } of inhibitions)
      for (const matcher of [...source, ...target]) {
        const pattern = /^alertname=~?"(.+)"$/.exec(matcher)?.[1];
        if (pattern === undefined) continue;
        for (const part of pattern.split('|'))
          expect([part, names.some((name) => new RegExp(`^(?:${part})$`).test(name))]).toEqual([part, true]);
      }
  });
});

describe('expressions', () => {
  const recorded = rules.flatMap((rule) => rule.record ?? []);
  const all = [...rules.map((rule) => rule.expr), ...expressionsOf(dashboard)];

  test('names are found, whatever stands around them', () => {
    expect(
      metricNames(
        'sum by (le) (rate(a_bucket{x="b_total",y=~"c"}[5m] offset 1h)) / on (job) d:e:f unless ignoring(g) h > 1e3 or vector(0)',
      ),
    ).toEqual(['a_bucket', 'd:e:f', 'h']);
  });

  test('every figure of the gateway in rules and dashboard exists, and every recorded one is recorded', () => {
    const used = new Set(all.flatMap(metricNames));
    const ours = [...used].filter((name) => name.startsWith('gateway_'));
    expect(ours.length).toBeGreaterThan(30);
    expect(ours.filter((name) => !isOfGateway(name))).toEqual([]);
    expect([...used].filter((name) => name.includes(':') && !recorded.includes(name))).toEqual([]);
  });

  test('every recorded figure is used', () => {
    const used = new Set(all.flatMap(metricNames));
    expect(recorded.filter((name) => !used.has(name))).toEqual([]);
  });

  test('every figure of the gateway that a document names exists', () => {
    const files = [...names.map((name) => `${RUNBOOKS}/${name}.md`), 'docs/monitoring.md'];
    for (const file of files)
      for (const [name] of readDocument(file).matchAll(/\bgateway_[a-z_]*[a-z]\b(?!_)/g))
        expect([file, name, isOfGateway(name)]).toEqual([file, name, true]);
  });
});

describe('dashboard', () => {
  const { panels } = dashboard;
  const overlap = (a: Panel['gridPos'], b: Panel['gridPos']) =>
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

  test('every panel has an id of its own and a place that no other has', () => {
    expect(new Set(panels.map((panel) => panel.id)).size).toBe(panels.length);
    for (const [i, { gridPos, title }] of panels.entries()) {
      expect([title, gridPos.x >= 0 && gridPos.x + gridPos.w <= 24]).toEqual([title, true]);
      for (const other of panels.slice(i + 1))
        expect([title, other.title, overlap(gridPos, other.gridPos)]).toEqual([title, other.title, false]);
    }
  });

  test('every panel has a unit, queries, and the data source that is provisioned', () => {
    const { datasources } = parse(readDocument('deploy/grafana/provisioning/datasources/prometheus.yml')) as {
      datasources: { uid: string }[];
    };
    expect(datasources.map((source) => source.uid)).toEqual(['prometheus']);
    expect(dashboard.templating.list).toMatchObject([
      { name: 'DS_PROMETHEUS', type: 'datasource', current: { value: 'prometheus' } },
    ]);
    for (const panel of panels.filter(({ type }) => type !== 'row')) {
      expect([panel.title, panel.fieldConfig?.defaults.unit]).toEqual([
        panel.title,
        expect.stringMatching(/^\w+$/),
      ]);
      expect(panel.datasource).toEqual({ type: 'prometheus', uid: '${DS_PROMETHEUS}' });
      const ids = panel.targets!.map((target) => target.refId);
      expect([panel.title, ids.length > 0, new Set(ids).size]).toEqual([panel.title, true, ids.length]);
    }
  });

  test('every figure of the gateway has a panel, or a reason to have none', () => {
    const shown = new Set(
      panels.flatMap((panel) => panel.targets ?? []).flatMap(({ expr }) => metricNames(expr)),
    );
    // By way of what is recorded, too.
    for (const rule of rules.filter(({ record }) => record !== undefined && shown.has(record)))
      for (const name of metricNames(rule.expr)) shown.add(name);
    const isShown = (name: string) => ['', '_bucket', '_count', '_sum'].some((end) => shown.has(name + end));
    const missing = METRICS.filter(({ name }) => !isShown(name)).map(({ name }) => name);
    expect(missing.sort()).toEqual(Object.keys(WITHOUT_PANEL).sort());
  });

  test('there is a row for each part', () => {
    expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title.split(' ')[0])).toEqual([
      ...['At', 'S3', 'Gitee', 'Line', 'Cache', 'Logins', 'Registry', 'Nginx', 'Host'],
    ]);
  });
});
