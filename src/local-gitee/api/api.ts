import { randomBytes } from 'node:crypto';
import type { Access, Identity } from '../access.js';
import { repositorySchema, type Permission } from '../config.js';
import { HttpFault, type Exchange } from '../exchange.js';
import { retryAfter, type Faults } from '../faults.js';
import type { BareRepositories } from '../git/bare-repositories.js';
import type { Account, Repository, State } from '../state.js';
import type { Statistics } from '../statistics.js';
import type { Webhooks } from '../webhooks.js';
import { answerContents } from './contents.js';
import { HooksApi } from './hooks.js';
import type { RateLimit } from './rate-limit.js';
import { branchDocument, repositoryDocument } from './documents.js';

/** The part of Gitee's API v5 that a gateway needs. */
export class ApiV5 {
  readonly #hooks: HooksApi;

  constructor(
    private readonly state: State,
    private readonly access: Access,
    private readonly repositories: BareRepositories,
    private readonly faults: Faults,
    private readonly statistics: Statistics,
    private readonly rateLimit: RateLimit,
    private readonly url: () => string,
    webhooks: Webhooks,
  ) {
    this.#hooks = new HooksApi(state, webhooks);
  }

  /** Answers, or throws HttpFault; its message goes out as `{"message": …}`. */
  async handle(exchange: Exchange): Promise<void> {
    const segments = exchange.url.pathname
      .slice('/api/v5/'.length)
      .split('/')
      .map((s) => decode(s));
    const repo = segments[0] === 'repos' ? `${segments[1] ?? ''}/${segments[2] ?? ''}` : undefined;
    const target = repo === undefined ? {} : { repo };
    this.statistics.apiCalls++;
    if (this.faults.stall('api-stall', target, exchange)) return;
    const failed = this.faults.take('api-status', target);
    if (failed)
      throw new HttpFault(
        failed.status ?? 500,
        failed.text ?? `${failed.status ?? 500} Error`,
        retryAfter(failed),
      );
    const limited = this.faults.take('rate-limit', target);
    if (limited) {
      throw new HttpFault(429, '429 Too Many Requests', retryAfter({ retryAfterSeconds: 1, ...limited }));
    }
    const fields = exchange.method === 'GET' ? {} : await exchange.fields();
    const given = fields['access_token'] ?? exchange.url.searchParams.get('access_token') ?? undefined;
    const identity = this.access.fromApi(exchange.request, typeof given === 'string' ? given : undefined);
    this.#limit(exchange, identity);
    if (identity.kind === 'rejected') {
      throw new HttpFault(
        401,
        `401 Unauthorized: Access token ${identity.expired ? 'is expired' : 'does not exist'}`,
      );
    }
    if (segments[0] === 'user') return this.#user(exchange, identity, segments.slice(1), fields);
    if (segments[0] !== 'repos') throw new HttpFault(404, '404 Not Found');
    await this.#repository(exchange, identity, segments.slice(1), fields);
  }

  #limit(exchange: Exchange, identity: Identity): void {
    const login = identity.kind === 'account' ? identity.account.login : undefined;
    const { headers, over, retryAfterSeconds } = this.rateLimit.count(login);
    for (const [name, value] of Object.entries(headers)) exchange.response.setHeader(name, value);
    exchange.response.setHeader('X-Request-Id', randomBytes(8).toString('hex'));
    if (over) throw new HttpFault(429, '429 Too Many Requests', { 'Retry-After': String(retryAfterSeconds) });
  }

  async #user(
    exchange: Exchange,
    identity: Identity,
    path: string[],
    fields: Record<string, unknown>,
  ): Promise<void> {
    if (identity.kind !== 'account') throw new HttpFault(401, '401 Unauthorized: Access token is required');
    const { account } = identity;
    if (path.length === 0 && exchange.method === 'GET') {
      requireScope(identity, 'user_info');
      return exchange.json(200, this.#accountDocument(account));
    }
    if (path.length === 1 && path[0] === 'repos' && exchange.method === 'POST') {
      requireScope(identity, 'projects');
      return this.#create(exchange, identity, account, fields);
    }
    throw new HttpFault(404, '404 Not Found');
  }

  async #create(
    exchange: Exchange,
    identity: Identity,
    account: Account,
    fields: Record<string, unknown>,
  ): Promise<void> {
    const parsed = repositorySchema.safeParse({
      owner: account.login,
      name: fields['path'] ?? fields['name'],
      private: fields['private'] === undefined ? true : truthy(fields['private']),
    });
    if (!parsed.success) throw new HttpFault(422, '422 Unprocessable Entity: name');
    const repository = this.state.addRepository(parsed.data);
    if (!repository) throw new HttpFault(422, '422 Unprocessable Entity: name has already been taken');
    await this.repositories.ensure(repository);
    await this.state.save();
    exchange.json(201, await this.#repositoryDocument(repository, identity));
  }

  async #repository(
    exchange: Exchange,
    identity: Identity,
    [owner = '', name = '', ...rest]: string[],
    fields: Record<string, unknown>,
  ): Promise<void> {
    const repository = this.state.repository(owner, name);
    if (!repository || !this.access.may(identity, repository, 'pull')) {
      throw new HttpFault(404, '404 Project Not Found');
    }
    const [what, ...path] = rest;
    const { method } = exchange;
    if (what === 'hooks') {
      requireScope(identity, 'hook');
      this.#require(identity, repository, 'admin');
      if (identity.kind !== 'account') throw new HttpFault(401, '401 Unauthorized');
      return this.#hooks.handle(exchange, repository, identity, path, fields);
    }
    if (identity.kind === 'account') requireScope(identity, 'projects');
    if (method !== 'GET') throw new HttpFault(405, '405 Method Not Allowed');
    if (what === undefined) return exchange.json(200, await this.#repositoryDocument(repository, identity));
    if (what === 'branches') return this.#branches(exchange, repository, path.join('/'));
    if (what === 'push_config') {
      return exchange.json(200, {
        restrict_push_own_commit: false,
        restrict_author_email_suffix: false,
        author_email_suffix: '',
        restrict_commit_message: false,
        commit_message_regex: '',
        restrict_file_size: repository.limits.fileMb !== undefined,
        max_file_size: repository.limits.fileMb ?? null,
        except_manager: false,
      });
    }
    if (what === 'contents') {
      return answerContents(exchange, this.repositories, repository, path.join('/'), this.url());
    }
    throw new HttpFault(404, '404 Not Found');
  }

  async #branches(exchange: Exchange, repository: Repository, name: string): Promise<void> {
    if (name !== '') {
      const branch = (await this.repositories.branches(repository, name))[0];
      if (!branch) throw new HttpFault(404, '404 Branch Not Found');
      return exchange.json(200, branchDocument(this.url(), repository, branch));
    }
    const number = (key: string, otherwise: number) =>
      Math.max(1, Math.floor(Number(exchange.url.searchParams.get(key) ?? otherwise)) || otherwise);
    const perPage = Math.min(100, number('per_page', 20));
    const page = number('page', 1);
    const all = await this.repositories.branches(repository);
    exchange.json(
      200,
      all.slice((page - 1) * perPage, page * perPage).map((b) => branchDocument(this.url(), repository, b)),
      { total_count: String(all.length), total_page: String(Math.ceil(all.length / perPage)) },
    );
  }

  async #repositoryDocument(repository: Repository, identity: Identity) {
    const empty = (await this.repositories.branches(repository)).length === 0;
    return repositoryDocument(this.url(), repository, this.access.permission(identity, repository), empty);
  }

  #accountDocument(account: Account) {
    return {
      id: account.id,
      login: account.login,
      name: account.name,
      email: account.email,
      url: `${this.url()}/api/v5/users/${account.login}`,
      html_url: `${this.url()}/${account.login}`,
      type: 'User',
    };
  }

  #require(identity: Identity, repository: Repository, permission: Permission): void {
    if (!this.access.may(identity, repository, permission)) throw new HttpFault(403, '403 Forbidden');
  }
}

function requireScope(identity: Identity, scope: string): void {
  if (identity.kind === 'account' && !identity.scopes.includes(scope)) {
    throw new HttpFault(403, '403 Forbidden: insufficient scope');
  }
}

function truthy(value: unknown): boolean {
  return value === true || value === 'true' || value === '1';
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new HttpFault(400, '400 Bad Request');
  }
}
