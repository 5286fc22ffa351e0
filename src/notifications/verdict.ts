/** What an answer to a delivery means. */
import type { Format } from './message.js';

export type Verdict =
  | { readonly kind: 'ok' }
  /** It may work later: the target is away, busy, or being set up. */
  | { readonly kind: 'retry'; readonly reason: string; readonly waitMs?: number }
  /** This very message is not taken. */
  | { readonly kind: 'rejected'; readonly reason: string };

const MESSAGE_REFUSED: ReadonlySet<number> = new Set([400, 410, 413, 422]);
/** Chat robots answer 200 and say in a field what they think: too many messages (each robot its own), or busy. */
const CHAT_BUSY: ReadonlySet<number> = new Set([-1, 130101, 45009, 9499, 11232]);

/** @param body the first part of it, as text. */
export function judgeAnswer(
  format: Format,
  status: number,
  body: string,
  waitMs: number | undefined,
): Verdict {
  const wait = waitMs === undefined ? {} : { waitMs };
  if (status >= 300 && status < 400)
    return { kind: 'retry', reason: `status ${status}: redirects are not followed`, ...wait };
  if (MESSAGE_REFUSED.has(status)) return { kind: 'rejected', reason: `status ${status}` };
  if (status < 200 || status >= 300) return { kind: 'retry', reason: `status ${status}`, ...wait };
  return format === 'json' ? { kind: 'ok' } : judgeChat(body);
}

function judgeChat(body: string): Verdict {
  let answer: Record<string, unknown>;
  try {
    answer = JSON.parse(body) as Record<string, unknown>;
  } catch {
    return { kind: 'retry', reason: 'the answer is no JSON: is the address that of a robot?' };
  }
  // DingTalk and WeCom: errcode; Feishu: code, in older versions StatusCode.
  const code = answer?.errcode ?? answer?.code ?? answer?.StatusCode;
  if (code === 0) return { kind: 'ok' };
  if (typeof code !== 'number') return { kind: 'retry', reason: 'the answer has no code' };
  const said = answer.errmsg ?? answer.msg;
  const reason = `code ${code}${typeof said === 'string' ? `: ${said.slice(0, 200)}` : ''}`;
  return { kind: CHAT_BUSY.has(code) ? 'retry' : 'rejected', reason };
}
