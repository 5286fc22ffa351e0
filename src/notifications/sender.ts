/** One POST to a target. Only addresses of the configuration are ever asked, and no redirect leads to another. */
import { request, type Dispatcher } from 'undici';
import { linkedDeadline } from '../async/deadline.js';
import { retryAfterMs } from '../gitee/http/retry-after.js';
import type { Message, Target } from './message.js';
import { judgeAnswer, type Verdict } from './verdict.js';

const ANSWER_BYTES_MAX = 64 * 1024;

export interface SenderOptions {
  /** Follows no redirects. */
  readonly dispatcher: Dispatcher;
  readonly userAgent: string;
  /** Of one attempt in all. */
  readonly timeoutMs: number;
}

/** Never rejects but for the signal. */
export async function send(
  target: Target,
  message: Message,
  nowMs: number,
  options: SenderOptions,
  signal: AbortSignal,
): Promise<Verdict> {
  const { dispatcher, timeoutMs, userAgent } = options;
  const deadline = linkedDeadline(timeoutMs, signal);
  try {
    const answer = await request(message.url, {
      method: 'POST',
      headers: { ...message.headers, 'user-agent': userAgent },
      body: message.body,
      dispatcher,
      signal: deadline.signal,
    });
    const text = await readStart(answer.body);
    const headers = { 'retry-after': one(answer.headers['retry-after']) };
    return judgeAnswer(
      target.format,
      answer.statusCode,
      text,
      retryAfterMs(answer.statusCode, headers, nowMs),
    );
  } catch (error) {
    signal.throwIfAborted();
    return { kind: 'retry', reason: reasonOf(error, timeoutMs) };
  } finally {
    deadline.dispose();
  }
}

async function readStart(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop early destroys the body and with it the connection.
  for await (const part of body) {
    parts.push(part);
    bytes += part.length;
    if (bytes >= ANSWER_BYTES_MAX) break;
  }
  return Buffer.concat(parts).toString('utf8', 0, ANSWER_BYTES_MAX);
}

function one(header: string | string[] | undefined): string {
  return (Array.isArray(header) ? header[0] : header) ?? '';
}

/** The code alone: a message may quote the address, which is a secret. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if ((error as Error).name === 'TimeoutError') return `no answer within ${timeoutMs} ms`;
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  const known = code ?? cause?.code;
  return typeof known === 'string' ? known : 'the request failed';
}
