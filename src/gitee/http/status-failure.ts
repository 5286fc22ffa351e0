/**
 * Reads refusals of Gitee and of its LFS storage: the status, and where that is not enough the text. The one
 * table for API, LFS and downloads; docs/facts/gitee.md §1.1, §2 and §2.1 say where each row comes from.
 */
import { RemoteError, type RemoteCause } from '../errors.js';
import { withoutToken } from '../token.js';
import { retryAfterMs } from './retry-after.js';

const LFS_OFF = /LFS only supported repository|LFS is (not enabled|disabled)/i;
const RATE = /rate.?limit|too many requests|throttl|请求.{0,6}频繁|频率/i;
const BANDWIDTH = /bandwidth|流量/i;
// GitHub: "over its data quota".
const QUOTA =
  /quota|no space|(space|storage)\b.{0,40}\b(full|exhausted|used up)|配额|容量|空间.{0,4}(不足|已满)/i;
// GitLab, with 406: "… has exceeded its size limit". With 413 the same words are about one file.
const REPOSITORY_LIMIT = /(size|storage) limit/i;
const CLOSED =
  /\b(repository|project)\b.{0,30}\b(closed|paused|blocked|archived)\b|仓库.{0,10}(暂停|关闭|屏蔽)/i;

export interface FailedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export interface FailureContext {
  /** Names the call: "LFS batch of acme/images". */
  readonly what: string;
  readonly nowMs: number;
  /** To be masked in what the server says. */
  readonly token?: string;
  readonly user?: string;
  /** What a status means at this place, where the text does not say otherwise. */
  readonly meaning?: Readonly<Record<number, RemoteCause>>;
  readonly oids?: readonly string[];
}

/** Which cause a refusal has. */
export function causeOf(
  status: number,
  text: string,
  meaning: Readonly<Record<number, RemoteCause>> = {},
): RemoteCause {
  if (status < 400) return 'server-fault';
  if (status < 500 && LFS_OFF.test(text)) return 'lfs-not-enabled';
  if (status === 429) return 'rate-limited';
  if (status === 509) return 'bandwidth-exceeded';
  if (status === 507) return 'quota-full';
  // Text decides where servers disagree about the status: 403, 406, 413 and 422 all mean a full store somewhere.
  if (status < 500) {
    if (status === 403 && RATE.test(text)) return 'rate-limited';
    if (status === 403 && CLOSED.test(text)) return 'repository-closed';
    if (BANDWIDTH.test(text)) return 'bandwidth-exceeded';
    if (QUOTA.test(text)) return 'quota-full';
    if ((status === 403 || status === 406) && REPOSITORY_LIMIT.test(text)) return 'quota-full';
  }
  const meant = meaning[status];
  if (meant !== undefined) return meant;
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'repository-missing';
  if (status === 408) return 'timeout';
  return status >= 500 ? 'server-fault' : 'refused';
}

/** The refusal as a RemoteError, with the server's words masked and its request id before them. */
export function statusFailure(answer: FailedAnswer, context: FailureContext): RemoteError {
  const { status, headers } = answer;
  const words = withoutToken(serverWords(answer.text), context.token ?? '', context.user);
  const cause = causeOf(status, words, context.meaning);
  const requestId = headers['x-request-id'];
  const detail = [requestId === undefined ? '' : `[X-Request-Id ${requestId.slice(0, 80)}]`, words]
    .filter((part) => part !== '')
    .join(' ');
  return new RemoteError(cause, `${context.what} was answered ${status}: ${NEXT_STEP[cause] ?? cause}`, {
    status,
    ...(detail === '' ? {} : { detail }),
    ...(context.oids === undefined ? {} : { oids: context.oids }),
    retryAfterMs: retryAfterMs(status, headers, context.nowMs),
  });
}

const NEXT_STEP: Partial<Record<RemoteCause, string>> = {
  'server-fault': 'a fault of the server, it will be tried again',
  'rate-limited': 'too many calls, it will be tried again later',
  timeout: 'it took too long, it will be tried again',
  unauthorized: 'the token is wrong or has expired, put a new one into gitee.token',
  forbidden: 'the token has no right to do this, see its scopes and the role of its owner',
  'repository-missing': 'there is no such repository, or the token may not see it',
  'lfs-not-enabled': 'Gitee offers LFS only in repositories of a paid or trial enterprise',
  'quota-full': 'the space is full, free some or buy more',
  'bandwidth-exceeded': 'the bandwidth of LFS is used up',
  'repository-closed': 'the repository is closed, paused or blocked',
  'file-too-large': 'the file is larger than the plan allows',
  'chunk-refused': 'the object is refused for good',
  'chunk-missing': 'the object is not there',
  refused: 'refused, for a reason that this version does not know',
};

/** `message`, `error` or `error_description` of a JSON body, else the text without markup. */
export function serverWords(text: string): string {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null) {
      const { message, error, error_description: description } = body as Record<string, unknown>;
      for (const words of [message, description, error])
        if (typeof words === 'string' && words !== '') return words.slice(0, 2000);
    }
  } catch {
    // Not JSON: Gitee's proxies answer in HTML or plain text.
  }
  return text
    .replace(/<(script|style)\b[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 2000);
}
