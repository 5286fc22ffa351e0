import { z } from 'zod';
import type { Access, Identity } from '../access.js';
import { HttpFault, LOGIN_PAGE, parseObject, type Exchange } from '../exchange.js';
import { retryAfter, type Faults } from '../faults.js';
import type { Repository, State } from '../state.js';
import type { Statistics } from '../statistics.js';
import type { Links } from './links.js';
import type { ObjectFiles } from './object-files.js';
import type { Forgotten } from './forgotten.js';

const MEDIA_TYPE = 'application/vnd.git-lfs+json';
const NO_LFS = 'LFS only supported repository in paid or trial enterprise.';
const OBJECTS_MAX = 1000;
const MB = 1024 * 1024;

const batchSchema = z.object({
  operation: z.enum(['upload', 'download']),
  transfers: z.array(z.string()).optional(),
  ref: z.object({ name: z.string() }).nullish(),
  hash_algo: z.string().optional(),
  objects: z.array(z.object({ oid: z.string(), size: z.number() })),
});

interface Action {
  href: string;
  header: Record<string, string>;
  expires_in: number;
}
interface ObjectAnswer {
  oid: string;
  size: number;
  authenticated?: true;
  actions?: { upload?: Action; verify?: Action; download?: Action };
  error?: { code: number; message: string };
}

/**
 * The LFS server API (git-lfs docs/api/{batch,basic-transfers,locking}.md) on the web port, strict where
 * servers differ: whoever works here sends what the specification asks for. Data is on the other port.
 */
export class LfsApi {
  constructor(
    private readonly state: State,
    private readonly access: Access,
    private readonly files: ObjectFiles,
    private readonly links: Links,
    private readonly faults: Faults,
    private readonly statistics: Statistics,
    private readonly forgotten: Forgotten,
    private readonly options: {
      url: () => string;
      lfsUrl: () => string;
      linkSeconds: number;
      now: () => number;
    },
  ) {}

  /** Answers, or throws HttpFault; its message goes out as `{"message": …}`. */
  async handle(exchange: Exchange, owner: string, name: string, action: string): Promise<void> {
    const repo = `${owner}/${name}`;
    if (this.faults.stall('lfs-stall', { repo }, exchange)) return;
    if (action === 'verify' && exchange.method === 'POST') return this.#verify(exchange, owner, name);
    if (action === 'objects/batch' && exchange.method === 'POST') return this.#batch(exchange, owner, name);
    if (action === 'locks/verify' && exchange.method === 'POST') {
      this.#admit(exchange, owner, name, 'push', 401);
      return answer(exchange, 200, { ours: [], theirs: [] });
    }
    if (action === 'locks' && exchange.method === 'GET') {
      this.#admit(exchange, owner, name, 'pull', 401);
      return answer(exchange, 200, { locks: [] });
    }
    throw new HttpFault(404, 'Not Found');
  }

  /** The plan is looked at before the login, as Gitee was seen to do; a lock call then gets 401. */
  #admit(
    exchange: Exchange,
    owner: string,
    name: string,
    wanted: 'pull' | 'push',
    noLfsStatus: number,
  ): Repository {
    const repository = this.state.repository(owner, name);
    if (repository && !repository.lfs) throw new HttpFault(noLfsStatus, NO_LFS);
    const identity: Identity = this.access.fromBasic(exchange.request);
    const challenge = {
      'LFS-Authenticate': 'Basic realm="Gitee"',
      'WWW-Authenticate': 'Basic realm="Gitee"',
    };
    if (identity.kind === 'rejected') throw new HttpFault(401, 'Credentials needed', challenge);
    const visible = repository && this.access.may(identity, repository, 'pull');
    const allowed = repository && this.access.may(identity, repository, wanted);
    if (identity.kind === 'anonymous' && !allowed) throw new HttpFault(401, 'Credentials needed', challenge);
    if (!repository || !visible) throw new HttpFault(404, 'Not Found');
    if (identity.kind === 'account' && !identity.scopes.includes('projects')) {
      throw new HttpFault(403, 'Access denied');
    }
    if (!allowed) throw new HttpFault(403, 'Access denied');
    return repository;
  }

  async #batch(exchange: Exchange, owner: string, name: string): Promise<void> {
    const repo = `${owner}/${name}`;
    requireMediaTypes(exchange);
    if (this.faults.take('lfs-batch-garbage', { repo })) return exchange.html(200, LOGIN_PAGE);
    const limited = this.faults.take('rate-limit', { repo });
    if (limited)
      throw new HttpFault(429, 'Too Many Requests', retryAfter({ retryAfterSeconds: 1, ...limited }));
    const refused = this.faults.take('lfs-batch-status', { repo });
    if (refused) {
      throw new HttpFault(refused.status ?? 500, refused.text ?? 'Something went wrong', retryAfter(refused));
    }
    const parsed = batchSchema.safeParse(parseObject(await exchange.body()));
    // The plan and the right come before what the body says.
    const upload = parsed.success && parsed.data.operation === 'upload';
    const repository = this.#admit(exchange, owner, name, upload ? 'push' : 'pull', 403);
    this.statistics.of(repository.id).batchCalls++;
    if (!parsed.success)
      throw new HttpFault(422, `wrong field: ${parsed.error.issues[0]?.path.join('.') ?? ''}`);
    const { objects, transfers, hash_algo: hashAlgo } = parsed.data;
    if (hashAlgo !== undefined && hashAlgo !== 'sha256')
      throw new HttpFault(409, 'only sha256 is known here');
    if (transfers !== undefined && transfers.length > 0 && !transfers.includes('basic')) {
      throw new HttpFault(422, 'only the transfer "basic" is known here');
    }
    if (objects.length > OBJECTS_MAX) throw new HttpFault(413, `more than ${OBJECTS_MAX} objects`);
    if (upload && repository.closed) throw new HttpFault(403, 'This repository is closed or paused');
    const refusals = objects.flatMap((object) => this.#refusal(repo, object) ?? []);
    const wanted = objects.filter(({ oid }) => !refusals.some((refused) => refused.oid === oid));
    const answers = upload
      ? await this.#uploads(repository, wanted)
      : await this.#downloads(repository, wanted);
    // The protocol promises no order.
    answer(exchange, 200, { transfer: 'basic', objects: [...answers, ...refusals], hash_algo: 'sha256' });
  }

  /** What a fault says of one object in a batch that is otherwise well. */
  #refusal(repo: string, { oid, size }: { oid: string; size: number }): ObjectAnswer | undefined {
    const refused = this.faults.take('lfs-object-status', { repo, oid });
    if (!refused) return undefined;
    return {
      oid,
      size,
      error: { code: refused.status ?? 500, message: refused.text ?? 'Something went wrong' },
    };
  }

  async #downloads(
    repository: Repository,
    objects: { oid: string; size: number }[],
  ): Promise<ObjectAnswer[]> {
    const answers: ObjectAnswer[] = [];
    for (const { oid, size } of objects) {
      const wrong = checkObject(oid, size);
      const found = wrong ? undefined : await this.files.size(repository.id, oid);
      if (wrong) answers.push({ oid, size, error: wrong });
      else if (found === undefined) {
        answers.push({ oid, size, error: { code: 404, message: 'Object does not exist' } });
      } else if (found !== size) {
        answers.push({ oid, size, error: { code: 422, message: `the size of the object is ${found}` } });
      } else {
        answers.push({
          oid,
          size,
          authenticated: true,
          actions: { download: this.#download(repository, oid, size) },
        });
      }
    }
    return answers;
  }

  async #uploads(repository: Repository, objects: { oid: string; size: number }[]): Promise<ObjectAnswer[]> {
    const repo = `${repository.owner}/${repository.name}`;
    const { lfsMb, lfsObjectMb } = repository.limits;
    const answers: ObjectAnswer[] = [];
    const missing: { oid: string; size: number }[] = [];
    for (const { oid, size } of objects) {
      const wrong = checkObject(oid, size);
      const found = wrong ? undefined : await this.files.size(repository.id, oid);
      if (wrong) answers.push({ oid, size, error: wrong });
      else if (found !== undefined && found !== size) {
        answers.push({ oid, size, error: { code: 422, message: `the size of the object is ${found}` } });
      } else if (found !== undefined) {
        const giteaStyle = this.faults.take('lfs-present-with-download-action', { repo, oid });
        answers.push({
          oid,
          size,
          ...(giteaStyle ? { actions: { download: this.#download(repository, oid, size) } } : {}),
        });
      } else if (lfsObjectMb !== undefined && size > lfsObjectMb * MB) {
        answers.push({ oid, size, error: { code: 422, message: `the object exceeds ${lfsObjectMb} MB` } });
      } else {
        missing.push({ oid, size });
        answers.push({ oid, size, authenticated: true, actions: this.#upload(repository, oid, size) });
      }
    }
    const wantedBytes = missing.reduce((sum, o) => sum + o.size, this.files.usage(repository.id).bytes);
    const full = lfsMb !== undefined && wantedBytes > lfsMb * MB;
    if (missing.length > 0 && (full || this.faults.take('lfs-quota-full', { repo }))) {
      throw new HttpFault(507, `LFS space of the enterprise is full, exceeds quota ${lfsMb ?? 0} MB`);
    }
    return answers;
  }

  #upload(repository: Repository, oid: string, sizeBytes: number): NonNullable<ObjectAnswer['actions']> {
    const target = { repo: `${repository.owner}/${repository.name}`, oid };
    const claim = { method: 'PUT' as const, ...this.#claim(repository, oid, sizeBytes) };
    const chunked = this.faults.take('lfs-chunked-header', target);
    const upload = {
      href: this.links.data(this.options.lfsUrl(), claim),
      header: {
        'Content-Type': 'application/octet-stream',
        'X-Gitee-Lfs-Ticket': this.links.ticket(claim),
        ...(chunked ? { 'Transfer-Encoding': 'chunked' } : {}),
      },
      expires_in: this.options.linkSeconds,
    };
    if (this.faults.take('lfs-no-verify', target)) return { upload };
    const proof = { method: 'POST' as const, ...this.#claim(repository, oid, sizeBytes) };
    const verify = {
      href: `${this.options.url()}/${target.repo}.git/info/lfs/verify?Expires=${proof.expiresSeconds}`,
      header: { Accept: MEDIA_TYPE, 'X-Gitee-Lfs-Ticket': this.links.ticket(proof) },
      expires_in: this.options.linkSeconds,
    };
    return { upload, verify };
  }

  #download(repository: Repository, oid: string, sizeBytes: number): Action {
    const claim = { method: 'GET' as const, ...this.#claim(repository, oid, sizeBytes) };
    return {
      href: this.links.data(this.options.lfsUrl(), claim),
      header: {},
      expires_in: this.options.linkSeconds,
    };
  }

  #claim(repository: Repository, oid: string, sizeBytes: number) {
    const expiresSeconds = Math.floor(this.options.now() / 1000) + this.options.linkSeconds;
    return { projectId: repository.id, oid, sizeBytes, expiresSeconds };
  }

  /** The ticket of the batch answer stands for the login; without it the login is asked for. */
  async #verify(exchange: Exchange, owner: string, name: string): Promise<void> {
    requireMediaTypes(exchange);
    const { oid, size } = parseObject(await exchange.body());
    const wrong = typeof oid !== 'string' || typeof size !== 'number' || checkObject(oid, size);
    if (wrong) throw new HttpFault(422, 'oid and size are needed');
    const refused = this.faults.take('lfs-verify-status', { repo: `${owner}/${name}`, oid });
    if (refused)
      throw new HttpFault(refused.status ?? 500, refused.text ?? 'Internal error', retryAfter(refused));
    const repository = this.#ticketHolder(exchange, owner, name, oid, size);
    this.statistics.of(repository.id).verifyCalls++;
    const found = this.forgotten.has(repository.id, oid) ? size : await this.files.size(repository.id, oid);
    if (found === undefined) throw new HttpFault(404, 'Object does not exist');
    if (found !== size) throw new HttpFault(422, `the size of the object is ${found}`);
    answer(exchange, 200, {});
  }

  #ticketHolder(exchange: Exchange, owner: string, name: string, oid: string, sizeBytes: number): Repository {
    const repository = this.state.repository(owner, name);
    const ticket = exchange.header('x-gitee-lfs-ticket');
    if (!repository || ticket === undefined) return this.#admit(exchange, owner, name, 'push', 403);
    const expiresSeconds = Number(exchange.url.searchParams.get('Expires') ?? 0);
    const claim = { method: 'POST' as const, projectId: repository.id, oid, sizeBytes, expiresSeconds };
    if (ticket !== this.links.ticket(claim)) throw new HttpFault(403, 'The ticket is not right');
    if (expiresSeconds * 1000 <= this.options.now()) throw new HttpFault(403, 'Request has expired');
    return repository;
  }
}

function checkObject(oid: string, size: number): { code: number; message: string } | undefined {
  if (!/^[0-9a-f]{64}$/.test(oid)) return { code: 422, message: 'the oid is not a SHA-256 in hex' };
  if (!Number.isSafeInteger(size) || size < 0) return { code: 422, message: 'the size is wrong' };
  return undefined;
}

/** git-lfs docs/api/batch.md: 406 for another Accept. Nothing says what a wrong Content-Type gets: refused. */
function requireMediaTypes(exchange: Exchange): void {
  if (!(exchange.header('accept') ?? '').includes(MEDIA_TYPE)) {
    throw new HttpFault(406, `Accept must be ${MEDIA_TYPE}`);
  }
  const contentType = exchange.header('content-type');
  if (contentType === undefined) throw new HttpFault(400, 'Content-Type is missing');
  if (contentType.split(';')[0]?.trim() !== MEDIA_TYPE) {
    throw new HttpFault(415, `Content-Type must be ${MEDIA_TYPE}`);
  }
}

function answer(exchange: Exchange, status: number, body: unknown): void {
  exchange.json(status, body, { 'Content-Type': MEDIA_TYPE });
}
