import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import {
  limitsSchema,
  permissionSchema,
  protectedBranchSchema,
  repositorySchema,
  tokenSchema,
} from './config.js';
import { HttpFault, type Exchange } from './exchange.js';
import { faultSchema, type Faults } from './faults.js';
import type { BareRepositories } from './git/bare-repositories.js';
import type { ObjectFiles } from './lfs/object-files.js';
import { hashToken, type Repository, type State } from './state.js';
import type { Statistics } from './statistics.js';

const patchSchema = z.strictObject({
  owner: z.string(),
  name: z.string(),
  private: z.boolean().optional(),
  enterprise: z.boolean().optional(),
  lfs: z.boolean().optional(),
  closed: z.boolean().optional(),
  collaborators: z.record(z.string(), permissionSchema).optional(),
  limits: limitsSchema.optional(),
  protectedBranches: z.array(protectedBranchSchema).optional(),
});
const tokensSchema = z.strictObject({
  add: tokenSchema.extend({ login: z.string(), expiresInSeconds: z.number().optional() }).optional(),
  revoke: z.string().optional(),
  /** Ends what this account has granted to OAuth clients, as its own settings page does. */
  revokeGrants: z.string().optional(),
});
const moveSchema = z.strictObject({
  repo: z.string(),
  branch: z.string().optional(),
  edits: z
    .array(
      z.strictObject({
        path: z.string().min(1),
        content: z.string().optional(),
        base64: z.string().optional(),
        delete: z.boolean().optional(),
      }),
    )
    .default([]),
  message: z.string().default('A change by somebody else'),
  /** Points the branch at this commit instead of making one. */
  to: z.string().optional(),
  /** The new commit has no parent: the head then descends from nothing known. */
  orphan: z.boolean().default(false),
});
const repoSchema = z.strictObject({ repo: z.string() });
const objectSchema = z.strictObject({ repo: z.string(), oid: z.string() });

/** `/_local/`: what tests ask for and look at. Guarded by the admin token. */
export class AdminApi {
  constructor(
    private readonly state: State,
    private readonly repositories: BareRepositories,
    private readonly files: ObjectFiles,
    private readonly faults: Faults,
    private readonly statistics: Statistics,
    private readonly options: { adminToken: string; now: () => number },
  ) {}

  async handle(exchange: Exchange): Promise<void> {
    const given = /^Bearer (\S+)$/.exec(exchange.header('authorization') ?? '')?.[1] ?? '';
    if (!timingSafeEqual(digest(given), digest(this.options.adminToken)))
      throw new HttpFault(401, 'admin token needed');
    const { method, url } = exchange;
    const call = `${method} ${url.pathname.slice('/_local/'.length)}`;
    if (call === 'GET stats') return exchange.json(200, await this.#stats());
    if (call === 'DELETE faults') {
      this.faults.clear(url.searchParams.get('name') ?? undefined);
      return exchange.json(200, {});
    }
    const handler = this.#handlers[call];
    if (!handler) throw new HttpFault(404, `no such call: ${call}`);
    exchange.json(200, await handler(await exchange.fields()));
  }

  readonly #handlers: Record<string, (body: unknown) => Promise<unknown>> = {
    'POST faults': async (body) => ({ id: this.faults.add(parse(faultSchema, body)) }),
    'POST tokens': (body) => this.#tokens(parse(tokensSchema, body)),
    'POST repositories': (body) => this.#upsert(body),
    'POST move-branch': (body) => this.#move(parse(moveSchema, body)),
    'POST gc': async (body) => {
      await this.repositories.gc(this.#find(parse(repoSchema, body).repo));
      return {};
    },
    'POST delete-object': async (body) => {
      const { repo, oid } = parse(objectSchema, body);
      return { deleted: await this.files.remove(this.#find(repo).id, oid) };
    },
  };

  async #stats() {
    const repositories: Record<string, unknown> = {};
    for (const repository of this.state.repositories) {
      const branches: Record<string, { head: string; commits: number }> = {};
      for (const branch of await this.repositories.branches(repository)) {
        branches[branch.name] = {
          head: branch.commit,
          commits: await this.repositories.commitCount(repository, branch.commit),
        };
      }
      const usage = this.files.usage(repository.id);
      repositories[`${repository.owner}/${repository.name}`] = {
        id: repository.id,
        branches,
        lfsObjects: usage.objects,
        lfsBytes: usage.bytes,
        ...this.statistics.of(repository.id),
      };
    }
    return {
      repositories,
      apiCalls: this.statistics.apiCalls,
      tokenLeaks: this.statistics.tokenLeaks,
      faults: this.faults.list(),
      heldConnections: this.faults.heldConnections,
    };
  }

  async #tokens({ add, revoke, revokeGrants }: z.infer<typeof tokensSchema>) {
    if (add) {
      if (!this.state.account(add.login)) throw new HttpFault(422, `no such account: ${add.login}`);
      if (this.state.token(add.token)) throw new HttpFault(422, 'this token exists already');
      this.state.addToken({
        hash: hashToken(add.token),
        login: add.login,
        scopes: add.scopes,
        ...(add.expiresInSeconds === undefined
          ? {}
          : { expiresAtMs: this.options.now() + add.expiresInSeconds * 1000 }),
      });
    }
    const old = revoke === undefined ? undefined : this.state.token(revoke);
    if (revoke !== undefined && !old) throw new HttpFault(404, 'no such token');
    if (old) old.revoked = true;
    for (const token of this.state.tokens)
      if (revokeGrants === token.login && token.clientId !== undefined) token.revoked = true;
    await this.state.save();
    return {};
  }

  /** Makes the repository, or changes the given fields of the one that is there. */
  async #upsert(body: unknown) {
    const patch = parse(patchSchema.loose(), body);
    const found = this.state.repository(patch.owner, patch.name);
    if (found) {
      const { owner: _owner, name: _name, ...changes } = parse(patchSchema, body);
      Object.assign(found, changes);
    }
    const repository = found ?? this.state.addRepository(parse(repositorySchema, body));
    if (repository && !found) await this.repositories.ensure(repository);
    await this.state.save();
    return { id: repository?.id };
  }

  async #move({ repo, branch, edits, message, to, orphan }: z.infer<typeof moveSchema>) {
    const repository = this.#find(repo);
    const target = branch ?? repository.defaultBranch;
    if (to !== undefined) {
      const commit = await this.repositories.resolve(repository, `${to}^{commit}`);
      if (commit === undefined) throw new HttpFault(422, `no such commit: ${to}`);
      await this.repositories.setBranch(repository, target, commit);
      return { head: commit };
    }
    const head = await this.repositories.commit(repository, {
      branch: target,
      edits: edits.map((e) => ({
        path: e.path,
        content: e.delete
          ? null
          : Buffer.from(e.base64 ?? e.content ?? '', e.base64 === undefined ? 'utf8' : 'base64'),
      })),
      message,
      orphan,
      nowMs: this.options.now(),
    });
    return { head };
  }

  #find(repo: string): Repository {
    const [owner = '', name = ''] = repo.split('/');
    const repository = this.state.repository(owner, name);
    if (!repository) throw new HttpFault(404, `no such repository: ${repo}`);
    return repository;
  }
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new HttpFault(422, parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; '));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
