/**
 * Gitee's API v5 (docs/facts/gitee.md §1), through octokit. Read calls are tried three times; all failures are
 * RemoteError. Invariant 7: the token goes as a Bearer header to gitee.url only, never into a query.
 */
import { Octokit } from '@octokit/core';
import type { z } from 'zod';
import type { Clock } from '../../async/clock.js';
import type { Log } from '../../async/log.js';
import type { Metrics } from '../../async/metrics.js';
import { RemoteError } from '../errors.js';
import type { HttpClient } from '../http/client.js';
import { retryRemote } from '../http/retry-remote.js';
import { statusFailure } from '../http/status-failure.js';
import type { CallTimeouts } from '../http/watch.js';
import { StaticTokenSource, type TokenSource } from '../token.js';
import { octokitFetch } from './octokit-fetch.js';
import {
  branchSchema,
  collaboratorPermissionSchema,
  contentsSchema,
  hookSchema,
  pushConfigSchema,
  repositorySchema,
  userSchema,
  type Branch,
  type Contents,
  type Hook,
  type PushConfig,
  type Repository,
  type User,
} from './schema.js';

const ATTEMPTS = 3;

export interface GiteeApiDeps {
  readonly http: HttpClient;
  /** `https://gitee.com` */
  readonly giteeUrl: string;
  readonly token: TokenSource;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly timeouts?: CallTimeouts;
  /** In [0, 1). */
  readonly random?: () => number;
}

/** X-RateLimit-* of an answer. */
export interface RateLimit {
  readonly limit: number;
  readonly remaining: number;
  readonly resetAtMs: number | undefined;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: unknown;
}

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

export class GiteeApi {
  readonly #octokit: Octokit;
  #rateLimit: RateLimit | undefined;
  #serverTimeOffsetMs: number | undefined;

  constructor(private readonly deps: GiteeApiDeps) {
    const { http, log, timeouts } = deps;
    const say = (level: 'debug' | 'info' | 'warn' | 'error') => (message: string) =>
      log[level]('octokit says something', { said: message });
    this.#octokit = new Octokit({
      baseUrl: `${deps.giteeUrl.replace(/\/+$/, '')}/api/v5`,
      request: { fetch: octokitFetch(http, timeouts) },
      log: { debug: say('debug'), info: say('debug'), warn: say('warn'), error: say('debug') },
    });
    this.#octokit.hook.before('request', (request) => {
      request.headers.accept = 'application/json';
      request.headers.authorization = `Bearer ${deps.token.current()}`;
    });
  }

  /**
   * The same API with the token of somebody else, for a few calls: drop it after them. What goes wrong with a
   * visitor's token and how many calls it has left is no figure of the gateway.
   */
  as(token: string): GiteeApi {
    const { metrics } = this.deps;
    const own: Metrics = {
      count: (name, labels, n) => {
        if (name !== 'gateway_gitee_errors_total') metrics.count(name, labels, n);
      },
      observe: (name, value, labels) => metrics.observe(name, value, labels),
      set: () => {},
    };
    return new GiteeApi({ ...this.deps, token: new StaticTokenSource(token), metrics: own });
  }

  /** As the last answer said. */
  get rateLimit(): RateLimit | undefined {
    return this.#rateLimit;
  }

  /** Gitee's clock minus ours at the last answer, to the second; undefined before the first one. */
  get serverTimeOffsetMs(): number | undefined {
    return this.#serverTimeOffsetMs;
  }

  /** Whose token it is. */
  async user(signal?: AbortSignal): Promise<User> {
    return parsed(userSchema, await this.#read('GET /user', { signal }), 'user');
  }

  /** @throws RemoteError `repository-missing` also where the token may not see it */
  async repository(owner: string, name: string, signal?: AbortSignal): Promise<Repository> {
    return parsed(repositorySchema, await this.#read(`GET ${repo(owner, name)}`, { signal }), 'repository');
  }

  /** Gitee's word for what an account may do; undefined: it is no collaborator, or that is not told. */
  async collaboratorPermission(
    owner: string,
    name: string,
    login: string,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const route = `GET ${repo(owner, name)}/collaborators/${encodeURIComponent(login)}/permission`;
    const answer = await this.#readOrMissing(route, { signal });
    return answer && (parsed(collaboratorPermissionSchema, answer, 'permission').permission ?? undefined);
  }

  /** undefined: there is no such branch. */
  async branch(
    owner: string,
    name: string,
    branch: string,
    signal?: AbortSignal,
  ): Promise<Branch | undefined> {
    const route = `GET ${repo(owner, name)}/branches/${segments(branch)}`;
    const answer = await this.#readOrMissing(route, { signal });
    return answer && parsed(branchSchema, answer, 'branch');
  }

  /** Rules that may refuse a push. */
  async pushConfig(owner: string, name: string, signal?: AbortSignal): Promise<PushConfig> {
    return parsed(
      pushConfigSchema,
      await this.#read(`GET ${repo(owner, name)}/push_config`, { signal }),
      'push_config',
    );
  }

  /** The first hundred webhooks. */
  async hooks(owner: string, name: string, signal?: AbortSignal): Promise<Hook[]> {
    const answer = await this.#read(`GET ${repo(owner, name)}/hooks`, {
      signal,
      parameters: { per_page: 100 },
    });
    return parsed(hookSchema.array(), answer, 'hooks');
  }

  /**
   * A file or a directory; undefined where there is nothing: Gitee answers `[]` to a missing path, others 404.
   * The bytes of a file whose content is not in the answer are empty.
   */
  async contents(
    owner: string,
    name: string,
    path: string,
    ref?: string,
    signal?: AbortSignal,
  ): Promise<Contents | undefined> {
    const route = `GET ${repo(owner, name)}/contents/${segments(path)}`;
    const answer = await this.#readOrMissing(route, {
      signal,
      ...(ref === undefined ? {} : { parameters: { ref } }),
    });
    if (!answer) return undefined;
    const contents = parsed(contentsSchema, answer, 'contents');
    if (!Array.isArray(contents)) {
      const encoding = contents.encoding === 'base64' ? 'base64' : 'utf8';
      // Buffer skips the line breaks that Gitee puts into base64.
      return {
        kind: 'file',
        sha: contents.sha ?? undefined,
        bytes: Buffer.from(contents.content ?? '', encoding),
      };
    }
    if (contents.length === 0) return undefined;
    return { kind: 'directory', names: contents.map((entry) => entry.name ?? entry.path) };
  }

  async #readOrMissing(route: string, options: CallOptions): Promise<Answer | undefined> {
    try {
      return await this.#read(route, options);
    } catch (error) {
      if (error instanceof RemoteError && error.status === 404) return undefined;
      throw error;
    }
  }

  #read(route: string, options: CallOptions): Promise<Answer> {
    const { clock, random } = this.deps;
    return retryRemote(() => this.#call(route, options), {
      attempts: ATTEMPTS,
      clock,
      signal: options.signal,
      ...(random ? { random } : {}),
    });
  }

  /** One call, and one more where the token's file has another token by now. */
  async #call(route: string, options: CallOptions): Promise<Answer> {
    const { token } = this.deps;
    const used = token.current();
    try {
      return await this.#once(route, options, used);
    } catch (error) {
      if (!(error instanceof RemoteError) || error.code !== 'unauthorized') throw error;
      if (token.current() === used && !(await token.reload().catch(() => false))) throw error;
      return this.#once(route, options, token.current());
    }
  }

  async #once(route: string, { signal, parameters }: CallOptions, token: string): Promise<Answer> {
    const { metrics, clock } = this.deps;
    let failure: unknown;
    try {
      const answer = await this.#octokit.request(route, {
        ...parameters,
        ...(signal ? { request: { signal } } : {}),
      });
      const found: Answer = {
        status: answer.status,
        headers: headersOf(answer.headers),
        data: answer.data as unknown,
      };
      this.#observe(found.headers);
      metrics.count('gateway_gitee_api_requests_total', { result: 'ok' });
      return found;
    } catch (error) {
      failure = error;
    }
    const { response, cause } = failure as { response?: Answer; cause?: unknown };
    if (!response) {
      // octokit wraps what our fetch threw.
      const thrown = cause ?? failure;
      if (thrown instanceof RemoteError) this.#countFailure(thrown);
      throw thrown;
    }
    const headers = headersOf(response.headers);
    this.#observe(headers);
    const text = typeof response.data === 'string' ? response.data : JSON.stringify(response.data ?? '');
    const refusal = statusFailure(
      { status: response.status, headers, text },
      { what: `API call ${route}`, nowMs: clock.nowMs(), token },
    );
    this.#countFailure(refusal);
    throw refusal;
  }

  #countFailure(error: RemoteError): void {
    this.deps.metrics.count('gateway_gitee_api_requests_total', { result: error.code });
    this.deps.metrics.count('gateway_gitee_errors_total', { cause: error.code });
  }

  #observe(headers: Readonly<Record<string, string>>): void {
    const date = Date.parse(headers['date'] ?? '');
    if (!Number.isNaN(date)) this.#serverTimeOffsetMs = date - this.deps.clock.nowMs();
    const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map((name) =>
      Number.parseInt(headers[`x-ratelimit-${name}`] ?? '', 10),
    ) as [number, number, number];
    if (Number.isNaN(limit) || Number.isNaN(remaining)) return;
    this.#rateLimit = { limit, remaining, resetAtMs: Number.isNaN(reset) ? undefined : reset * 1000 };
    this.deps.metrics.set('gateway_gitee_rate_limit_remaining', remaining);
  }
}

function headersOf(headers: object): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

function repo(owner: string, name: string): string {
  return `/repos/${segments(owner)}/${segments(name)}`;
}

/** mcp-gitee encodes each segment and keeps the slashes. `{` is octokit's own, and is encoded too. */
function segments(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

function parsed<S extends z.ZodType>(schema: S, answer: Answer, what: string): z.infer<S> {
  const result = schema.safeParse(answer.data);
  if (result.success) return result.data;
  const where = result.error.issues[0]?.path.join('.') ?? '';
  throw new RemoteError(
    'server-fault',
    `the API's answer for ${what} is not what was expected${where === '' ? '' : ` at ${where}`}`,
    { status: answer.status },
  );
}
