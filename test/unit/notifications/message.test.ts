import { createHmac } from 'node:crypto';
import { messageFor, type Format, type Target } from '../../../src/notifications/message.js';
import { judgeAnswer } from '../../../src/notifications/verdict.js';
import { registryEvent } from './event.js';

const NOW_MS = 1_700_000_000_123;
const SECRET = 'SEC-key-of-the-robot';

const target = (format: Format, secret: string | undefined = SECRET): Target => ({
  ...{ name: 't', format, events: ['push'] },
  url: () => 'https://robot.example.com/send?access_token=abc',
  secret: () => secret,
});
const hmac = (key: string, text: string) => createHmac('sha256', key).update(text).digest('base64');

test('json: the signature covers time and body, and the id of the delivery is the event’s', () => {
  const { headers, body, url } = messageFor(target('json'), registryEvent(), NOW_MS);
  const expected = createHmac('sha256', SECRET).update(`1700000000.${body}`).digest('hex');
  expect(headers).toMatchObject({
    'x-gitee-s3-signature': `sha256=${expected}`,
    'x-gitee-s3-timestamp': '1700000000',
    'x-gitee-s3-delivery': 'e1',
    'x-gitee-s3-event': 'push',
  });
  expect(JSON.parse(body)).toMatchObject({ version: 1, image: 'acme/app:1.2', actor: 'alice' });
  expect(url + body + JSON.stringify(headers)).not.toContain(SECRET);
});

test('DingTalk: time in ms and a signature of time and secret stand in the query, the secret does not', () => {
  const { url, body } = messageFor(target('dingtalk'), registryEvent(), NOW_MS);
  const query = new URL(url).searchParams;
  expect(query.get('access_token')).toBe('abc');
  expect(query.get('timestamp')).toBe(String(NOW_MS));
  expect(query.get('sign')).toBe(hmac(SECRET, `${NOW_MS}\n${SECRET}`));
  expect(url).toContain(`sign=${encodeURIComponent(query.get('sign')!)}`);
  expect(JSON.parse(body)).toMatchObject({
    msgtype: 'markdown',
    markdown: { title: expect.any(String) as string },
  });
  expect(messageFor(target('dingtalk', ''), registryEvent(), NOW_MS).url).not.toContain(SECRET);
});

test('Feishu: time in seconds and a signature keyed by both stand in the body', () => {
  const { url, body } = messageFor(target('feishu'), registryEvent(), NOW_MS);
  expect(url).toBe('https://robot.example.com/send?access_token=abc');
  expect(JSON.parse(body)).toMatchObject({
    timestamp: '1700000000',
    sign: hmac(`1700000000\n${SECRET}`, ''),
    msg_type: 'text',
    content: { text: expect.stringContaining('image pushed: acme/app:1.2') as string },
  });
});

test('WeCom: markdown and nothing else', () => {
  const { body } = messageFor({ ...target('wecom'), secret: () => undefined }, registryEvent(), NOW_MS);
  const { msgtype, markdown } = JSON.parse(body) as { msgtype: string; markdown: { content: string } };
  expect([msgtype, Object.keys(markdown)]).toEqual(['markdown', ['content']]);
  expect(markdown.content).toContain('alice');
});

test.each<Format>(['dingtalk', 'feishu', 'wecom'])('%s: a name brings no link and no mention', (format) => {
  const actor = '[click](http://evil) <at user_id="all">@all</at> `x` *b*\n# big';
  const { body } = messageFor(target(format), registryEvent({ actor }), NOW_MS);
  const { markdown, content } = JSON.parse(body) as {
    markdown?: { text?: string; content?: string };
    content?: { text: string };
  };
  const text = markdown?.text ?? markdown?.content ?? content!.text;
  expect(text).not.toMatch(/[[\]()<>`]|# big/);
});

test.each<[Format, number, string, string]>([
  ['json', 204, '', 'ok'],
  ['json', 302, '', 'retry'],
  ['json', 401, '', 'retry'],
  ['json', 422, '', 'rejected'],
  ['json', 429, '', 'retry'],
  ['json', 500, '', 'retry'],
  ['dingtalk', 200, '{"errcode":0,"errmsg":"ok"}', 'ok'],
  ['dingtalk', 200, '{"errcode":310000,"errmsg":"sign not match"}', 'rejected'],
  ['dingtalk', 200, '{"errcode":130101,"errmsg":"send too fast"}', 'retry'],
  ['feishu', 200, '{"code":0,"msg":"success"}', 'ok'],
  ['feishu', 200, '{"StatusCode":0}', 'ok'],
  ['feishu', 200, '{"code":19021,"msg":"sign match fail"}', 'rejected'],
  ['wecom', 200, '{"errcode":45009}', 'retry'],
  ['wecom', 200, '<html>', 'retry'],
  ['wecom', 200, 'null', 'retry'],
])('%s answered %i %s: %s', (format, status, body, kind) => {
  expect(judgeAnswer(format, status, body, undefined).kind).toBe(kind);
});
