import { ERROR_BODY_MAX_BYTES, readText } from '../http/answer.js';
import type { HttpClient, HttpRequest } from '../http/client.js';
import type { CallTimeouts } from '../http/watch.js';
import { RemoteError } from '../errors.js';

/** Files in an API answer are at most a few MiB; larger things go over git and LFS. */
const ANSWER_MAX_BYTES = 16 * 1024 * 1024;

/** The part of fetch() that @octokit/request uses, on our client with its deadlines and redirect rules. */
export function octokitFetch(http: HttpClient, timeouts: CallTimeouts | undefined): typeof fetch {
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const path = new URL(url).pathname.replace(/^.*\/api\/v5/, '');
    // octokit's own user agent: all our calls carry one and the same.
    const { 'user-agent': _, ...headers } = (init?.headers ?? {}) as Record<string, string>;
    const answer = await http.send({
      what: `API call ${init?.method ?? 'GET'} ${path}`,
      method: (init?.method ?? 'GET') as HttpRequest['method'],
      url,
      headers,
      ...(typeof init?.body === 'string' ? { body: init.body } : {}),
      ...(timeouts ? { timeouts } : {}),
      ...(init?.signal ? { signal: init.signal } : {}),
    });
    const { status } = answer;
    const maxBytes = status < 400 ? ANSWER_MAX_BYTES : ERROR_BODY_MAX_BYTES;
    const { text, truncated } = await readText(answer, maxBytes);
    if (truncated && status < 400)
      throw new RemoteError('server-fault', `API call ${path} was answered with more than ${maxBytes} bytes`);
    // A body is forbidden with these; the length is that of the text again.
    const hasBody = status !== 204 && status !== 205 && status !== 304;
    const kept = Object.entries(answer.headers).filter(
      ([name]) => name !== 'content-length' && name !== 'transfer-encoding',
    );
    return new Response(hasBody ? text : null, { status, headers: Object.fromEntries(kept) });
  };
}
