import { z } from 'zod';
import type { Identity } from '../access.js';
import { HttpFault, type Exchange } from '../exchange.js';
import type { Hook, Repository, State } from '../state.js';
import type { Webhooks } from '../webhooks.js';

const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((v) => v === 'true')]);
const hookFields = z.object({
  url: z.url({ protocol: /^https?$/ }).optional(),
  encryption_type: z.coerce
    .number()
    .pipe(z.union([z.literal(0), z.literal(1)]))
    .optional(),
  password: z.string().optional(),
  push_events: flag.optional(),
});

/** `/repos/{owner}/{repo}/hooks`. */
export class HooksApi {
  constructor(
    private readonly state: State,
    private readonly webhooks: Webhooks,
  ) {}

  async handle(
    exchange: Exchange,
    repository: Repository,
    identity: Identity,
    [id, action]: string[],
    fields: Record<string, unknown>,
  ): Promise<void> {
    const { method } = exchange;
    if (id === undefined && method === 'GET') return exchange.json(200, repository.hooks.map(hookDocument));
    if (id === undefined && method === 'POST') return this.#create(exchange, repository, fields);
    const hook = repository.hooks.find((h) => String(h.id) === id);
    if (!hook) throw new HttpFault(404, '404 Hook Not Found');
    if (action === 'tests' && method === 'POST') {
      await this.webhooks.ping(repository, hook, identity);
      return exchange.send(204, '', {});
    }
    if (action !== undefined) throw new HttpFault(404, '404 Not Found');
    if (method === 'GET') return exchange.json(200, hookDocument(hook));
    if (method === 'PATCH') {
      apply(hook, parse(fields));
      await this.state.save();
      return exchange.json(200, hookDocument(hook));
    }
    if (method === 'DELETE') {
      repository.hooks = repository.hooks.filter((h) => h !== hook);
      await this.state.save();
      return exchange.send(204, '', {});
    }
    throw new HttpFault(405, '405 Method Not Allowed');
  }

  async #create(exchange: Exchange, repository: Repository, fields: Record<string, unknown>): Promise<void> {
    const given = parse(fields);
    if (given.url === undefined) throw new HttpFault(400, '400 Bad Request: url is missing');
    const hook: Hook = {
      id: this.state.takeId(),
      url: given.url,
      encryptionType: 0,
      password: '',
      pushEvents: true,
      result: '',
      resultCode: null,
      createdAt: new Date().toISOString(),
    };
    apply(hook, given);
    repository.hooks.push(hook);
    await this.state.save();
    exchange.json(201, hookDocument(hook));
  }
}

function parse(fields: Record<string, unknown>): z.infer<typeof hookFields> {
  const parsed = hookFields.safeParse(fields);
  if (!parsed.success) {
    throw new HttpFault(422, `422 Unprocessable Entity: ${parsed.error.issues[0]?.path.join('.') ?? ''}`);
  }
  return parsed.data;
}

function apply(hook: Hook, given: z.infer<typeof hookFields>): void {
  hook.url = given.url ?? hook.url;
  hook.encryptionType = given.encryption_type ?? hook.encryptionType;
  hook.password = given.password ?? hook.password;
  hook.pushEvents = given.push_events ?? hook.pushEvents;
}

function hookDocument(hook: Hook): Record<string, unknown> {
  return {
    id: hook.id,
    url: hook.url,
    password: hook.password,
    encryption_type: hook.encryptionType,
    push_events: hook.pushEvents,
    result: hook.result,
    result_code: hook.resultCode,
    created_at: hook.createdAt,
  };
}
