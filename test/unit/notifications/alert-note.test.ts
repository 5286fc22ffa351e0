import { readAlertGroup, type Alert, type AlertGroup } from '../../../src/notifications/alert-payload.js';
import { alertNote } from '../../../src/notifications/alert-note.js';
import { messageOf, type Format, type Target } from '../../../src/notifications/message.js';

const ALERT: Alert = {
  isFiring: true,
  name: 'GatewayDown',
  severity: 'critical',
  labels: { alertname: 'GatewayDown', severity: 'critical' },
  summary: 'The gateway does not answer',
  summaryZh: '网关无响应',
  description: 'Nothing can be pushed.',
  runbook: 'docs/runbooks/GatewayDown.md',
  startedAt: '2026-01-02T03:04:05Z',
};
const OVER: Alert = { ...ALERT, isFiring: false, name: 'QueueOld', endedAt: '2026-01-02T04:00:00Z' };

const note = (alerts: readonly Alert[], docsUrl = '', leftOut = 0) =>
  alertNote({ alerts, leftOut } satisfies AlertGroup, 'id', docsUrl);
const target = (format: Format): Target => ({
  ...{ name: 't', format, events: ['alert'] },
  url: () => 'https://robot.example.com/send?access_token=abc',
  secret: () => undefined,
});

test('an alert that fires is told in both languages, with its page', () => {
  expect(note([ALERT])).toMatchObject({
    title: '告警 / alert: GatewayDown',
    lines: [
      'critical: 网关无响应 / The gateway does not answer',
      'Nothing can be pushed.',
      '开始 / since: 2026-01-02T03:04:05Z',
      '手册 / runbook: docs/runbooks/GatewayDown.md',
    ],
  });
});

test('the page is a link where the documents have an address, and an address of its own stays', () => {
  const link = (runbook: string, docsUrl: string) => note([{ ...ALERT, runbook }], docsUrl).lines.at(-1);
  expect(link('docs/runbooks/X.md', 'https://gitee.com/a/b/blob/master')).toBe(
    '手册 / runbook: https://gitee.com/a/b/blob/master/docs/runbooks/X.md',
  );
  expect(link('docs/runbooks/X.md', 'https://docs.example.com/')).toContain('com/docs/runbooks/X.md');
  expect(link('https://wiki.example.com/X', 'https://docs.example.com/')).toBe(
    '手册 / runbook: https://wiki.example.com/X',
  );
});

test('what is over says when, and stands after what fires', () => {
  const { title, lines } = note([OVER, ALERT]);
  expect(title).toBe('告警 / alert: GatewayDown');
  expect(lines.at(-1)).toBe('结束 / ended: 2026-01-02T04:00:00Z');
  expect(note([OVER]).title).toBe('已恢复 / resolved: QueueOld');
});

test('critical comes before warning', () => {
  const { lines } = note([{ ...ALERT, severity: 'warning' }, ALERT]);
  expect(lines.filter((line) => /^(critical|warning)/.test(line)).map((line) => line.split(':')[0])).toEqual([
    'critical',
    'warning',
  ]);
});

test.each<Format>(['dingtalk', 'feishu', 'wecom'])(
  '%s: however many alerts, the message fits, and says how many it leaves out',
  (format) => {
    const many = note(Array<Alert>(200).fill({ ...ALERT, description: '网'.repeat(1000) }), '', 5);
    const { body } = messageOf(target(format), many, 0);
    const message = JSON.parse(body) as {
      markdown?: { text?: string; content?: string };
      content?: { text: string };
    };
    const said = message.markdown?.text ?? message.markdown?.content ?? message.content?.text ?? '';
    expect(Buffer.byteLength(said)).toBeLessThan(4096);
    const shown = said.split('critical:').length - 1;
    expect(shown).toBeGreaterThan(0);
    expect(said).toContain(`and ${205 - shown} more`);
    expect(many.title).toContain('(205)');
  },
);

test('labels bring no link, mention, picture or markup into the room', () => {
  const evil = '![x](http://evil)<at user_id="all">**[link](http://evil)`#\u202e';
  for (const line of note([{ ...ALERT, summary: evil, name: evil }]).lines)
    expect(line).not.toMatch(/[[\]<>*`#!\u202e]/);
  expect(note([{ ...ALERT, name: evil }]).title).not.toMatch(/[[\]<>*`#!\u202e]/);
});

test('a program gets all of it as JSON', () => {
  const signed: Target = { ...target('json'), secret: () => 'a secret of it' };
  const { body, headers } = messageOf(signed, note([ALERT, OVER], '', 3), 0);
  expect(headers).toMatchObject({ 'x-gitee-s3-event': 'alert', 'x-gitee-s3-delivery': 'id' });
  expect(JSON.parse(body)).toEqual({
    ...{ version: 1, event: 'alert', id: 'id', leftOut: 3 },
    alerts: [ALERT, OVER],
  });
});

describe('a payload of Alertmanager', () => {
  const payload = {
    version: '4',
    groupKey: '{}:{alertname="X"}',
    status: 'firing',
    truncatedAlerts: 2,
    alerts: [
      {
        status: 'resolved',
        labels: { alertname: 'X' },
        annotations: {},
        startsAt: '2026-01-02T03:04:05Z',
        endsAt: '2026-01-02T04:00:00Z',
      },
      {
        status: 'firing',
        labels: { alertname: 'X', severity: 'warning' },
        annotations: { summary: 's', summary_zh: '中' },
        startsAt: '2026-01-02T03:04:05Z',
        endsAt: '0001-01-01T00:00:00Z',
      },
    ],
  };
  const read = (value: unknown) => readAlertGroup(Buffer.from(JSON.stringify(value)));

  test('is read: states, annotations, how many are left out', () => {
    expect(read(payload)).toMatchObject({
      leftOut: 2,
      alerts: [
        { isFiring: false, name: 'X', severity: '', endedAt: '2026-01-02T04:00:00Z' },
        { isFiring: true, severity: 'warning', summary: 's', summaryZh: '中' },
      ],
    });
    expect(read(payload)!.alerts[1]).not.toHaveProperty('endedAt');
  });

  test.each([
    ['another version', { ...payload, version: '3' }],
    ['no alerts', { version: '4' }],
    ['an alert without labels', { version: '4', alerts: [{ status: 'firing', startsAt: '' }] }],
    ['a text', 'x'],
  ])('%s is none', (_name, value) => expect(read(value)).toBeUndefined());

  test('what is no JSON is none', () => expect(readAlertGroup(Buffer.from('{'))).toBeUndefined());
});
