/** What is sent to a target: body, headers and signature, by its format. */
import { createHmac } from 'node:crypto';
import { imageName, type RegistryEvent } from './registry-event.js';

export type Format = 'json' | 'dingtalk' | 'feishu' | 'wecom';

export interface Target {
  readonly name: string;
  readonly format: Format;
  readonly events: readonly string[];
  /** Asked for at each delivery: they may be rotated. */
  readonly url: () => string;
  readonly secret: () => string | undefined;
}

/** What is told, whatever the format. Title and lines are plain text that brings nothing of its own into a room. */
export interface Note {
  /** For receivers of JSON, in a header. */
  readonly event: string;
  /** The same when it is sent again: at least once means that the receiver looks at it. */
  readonly id: string;
  readonly title: string;
  readonly lines: readonly string[];
  /** The body of JSON. */
  readonly document: Readonly<Record<string, unknown>>;
}

export interface Message {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The message about an event, signed for this moment. */
export function messageFor(target: Target, event: RegistryEvent, nowMs: number): Message {
  return messageOf(target, noteOf(event), nowMs);
}

/** The message with a note, signed for this moment. */
export function messageOf(target: Target, note: Note, nowMs: number): Message {
  switch (target.format) {
    case 'json':
      return jsonMessage(target, note, nowMs);
    case 'dingtalk':
      return dingtalkMessage(target, note, nowMs);
    case 'feishu':
      return feishuMessage(target, note, nowMs);
    case 'wecom':
      return chat(target.url(), { msgtype: 'markdown', markdown: { content: markdown(note) } });
  }
}

/** hex(HMAC-SHA256(secret, timestamp + "." + body)): over time and body, so neither can be exchanged. */
function jsonSignature(secret: string, timestamp: string, body: string): string {
  return createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
}

function jsonMessage(target: Target, note: Note, nowMs: number): Message {
  const body = JSON.stringify({ version: 1, ...note.document });
  const timestamp = String(Math.floor(nowMs / 1000));
  const signature = jsonSignature(target.secret() ?? '', timestamp, body);
  return {
    url: target.url(),
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'x-gitee-s3-event': note.event,
      'x-gitee-s3-delivery': note.id,
      'x-gitee-s3-timestamp': timestamp,
      'x-gitee-s3-signature': `sha256=${signature}`,
    },
    body,
  };
}

/** open.dingtalk.com, custom robot: sign = base64(HMAC-SHA256(secret, ms + "\n" + secret)), in the query. */
function dingtalkMessage(target: Target, note: Note, nowMs: number): Message {
  const url = new URL(target.url());
  const secret = target.secret();
  if (secret !== undefined) {
    const sign = createHmac('sha256', secret).update(`${nowMs}\n${secret}`).digest('base64');
    url.searchParams.set('timestamp', String(nowMs));
    url.searchParams.set('sign', sign);
  }
  return chat(url.href, { msgtype: 'markdown', markdown: { title: note.title, text: markdown(note) } });
}

/** open.feishu.cn, custom bot: sign = base64(HMAC-SHA256(key seconds + "\n" + secret, nothing)), in the body. */
function feishuMessage(target: Target, note: Note, nowMs: number): Message {
  const secret = target.secret();
  const timestamp = String(Math.floor(nowMs / 1000));
  const signed =
    secret === undefined
      ? {}
      : { timestamp, sign: createHmac('sha256', `${timestamp}\n${secret}`).digest('base64') };
  const content = { text: [note.title, ...note.lines].join('\n') };
  return chat(target.url(), { ...signed, msg_type: 'text', content });
}

function chat(url: string, document: unknown): Message {
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  return { url, headers, body: JSON.stringify(document) };
}

const HEADLINES: Readonly<Record<RegistryEvent['action'], string>> = {
  push: '镜像已推送 / image pushed',
  pull: '镜像已拉取 / image pulled',
  delete: '镜像已删除 / image deleted',
};

function headline(event: RegistryEvent): string {
  return `${HEADLINES[event.action]}: ${plain(imageName(event))}`;
}

function facts(event: RegistryEvent): string[] {
  return [
    `用户 / by: ${plain(event.actor) || '-'}`,
    `来源 / from: ${plain(event.from) || '-'}`,
    `时间 / at: ${plain(event.time)}`,
    ...(event.digest === undefined || event.tag === undefined
      ? []
      : [`摘要 / digest: ${plain(event.digest)}`]),
  ];
}

function noteOf(event: RegistryEvent): Note {
  return {
    event: event.action,
    id: event.id,
    title: headline(event),
    lines: facts(event),
    document: { image: imageName(event), ...event },
  };
}

function markdown({ title, lines }: Note): string {
  return [`**${title}**`, ...lines.map((line) => `- ${line}`)].join('\n\n');
}

/** A name must not bring a link, a mention of everybody or a picture into the room. */
function plain(text: string): string {
  return text.replace(/[^\p{L}\p{N}/:._@+$-]/gu, ' ').slice(0, 300);
}
