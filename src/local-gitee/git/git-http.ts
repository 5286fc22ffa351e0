import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import * as path from 'node:path';
import type { Access, Identity } from '../access.js';
import { HttpFault, LOGIN_PAGE, type Exchange } from '../exchange.js';
import { retryAfter, type Faults } from '../faults.js';
import type { Repository, State } from '../state.js';
import type { Statistics } from '../statistics.js';
import type { BareRepositories } from './bare-repositories.js';
import { writeHooks } from './hook-scripts.js';
import { runBackend, type BackendRequest } from './http-backend.js';
import type { LaggingCopies } from './lagging-copies.js';

export interface MovedRef {
  readonly before: string;
  readonly after: string;
  readonly ref: string;
}

const ZERO = '0'.repeat(40);
const BRANCHES = 'refs/heads/';

/** Settings of git's server side that do not depend on who asks. */
const SETTINGS: readonly (readonly [string, string])[] = [
  ['receive.fsckObjects', 'true'],
  ['receive.autogc', 'true'],
  ['receive.advertisePushOptions', 'false'],
  ['uploadpack.allowFilter', 'true'],
  ['uploadpack.allowAnySHA1InWant', 'true'],
];

/** Git's smart HTTP protocol: who may do what, the plan's rules, then git itself. */
export class GitHttp {
  #hooks: { usual: string; ge007: string } | undefined;
  readonly #reports: string;

  constructor(
    private readonly state: State,
    private readonly access: Access,
    private readonly repositories: BareRepositories,
    private readonly copies: LaggingCopies,
    private readonly faults: Faults,
    private readonly statistics: Statistics,
    private readonly options: { publicUrl: () => string; pushBodyMaxBytes: number; now: () => number },
    /** Told of every push that moved a ref. */
    private readonly onPush: (repository: Repository, moved: MovedRef[], identity: Identity) => void,
  ) {
    this.#reports = path.join(state.dataDir, 'reports');
  }

  async prepare(): Promise<void> {
    this.#hooks = await writeHooks(this.state.dataDir);
    await rm(this.#reports, { recursive: true, force: true });
    await mkdir(this.#reports, { recursive: true });
  }

  /** Answers, or throws HttpFault whose message is the text that git prints behind `remote:`. */
  async handle(exchange: Exchange, owner: string, name: string, action: string): Promise<void> {
    const repo = `${owner}/${name}`;
    const service = action === 'info/refs' ? exchange.url.searchParams.get('service') : action;
    if (service !== 'git-upload-pack' && service !== 'git-receive-pack') {
      throw new HttpFault(403, 'Please upgrade your git client.');
    }
    if (this.faults.stall('git-stall', { repo }, exchange)) return;
    if (action === 'info/refs' && this.faults.stall('git-stall-info-refs', { repo }, exchange)) return;
    if (this.faults.take('git-garbage', { repo })) return exchange.html(200, LOGIN_PAGE);
    const writes = service === 'git-receive-pack';
    const { repository, identity } = this.#admit(exchange, owner, name, writes);
    if (!writes) return this.#read(exchange, repository, identity, action);
    const refused = this.faults.take('git-refuse-push', { repo });
    if (refused) {
      throw new HttpFault(
        refused.status ?? 503,
        refused.text ?? session('Access denied'),
        retryAfter(refused),
      );
    }
    if (action === 'info/refs') return this.#run(exchange, repository, identity, action, {});
    await this.#push(exchange, repository, identity);
  }

  #admit(exchange: Exchange, owner: string, name: string, writes: boolean) {
    const identity = this.access.fromBasic(exchange.request);
    const challenge = { 'WWW-Authenticate': 'Basic realm="Gitee"' };
    if (identity.kind === 'rejected') {
      throw new HttpFault(401, session('LOGIN: Incorrect username or password (access token)'), challenge);
    }
    const repository = this.state.repository(owner, name);
    const visible = repository && this.access.may(identity, repository, 'pull');
    if (identity.kind === 'anonymous' && (!visible || writes)) {
      throw new HttpFault(401, session('LOGIN: Access denied'), challenge);
    }
    if (!repository || !visible) throw new HttpFault(404, session('404 not found!'));
    if (identity.kind === 'account' && !identity.scopes.includes('projects')) {
      throw new HttpFault(403, session('Access denied'));
    }
    if (writes && !this.access.may(identity, repository, 'push')) {
      throw new HttpFault(403, session('Access denied'));
    }
    if (writes && repository.closed) {
      throw new HttpFault(403, session('This repository is closed or paused, push is not allowed'));
    }
    return { repository, identity };
  }

  async #read(exchange: Exchange, repository: Repository, identity: Identity, action: string): Promise<void> {
    const cut =
      action === 'git-upload-pack'
        ? this.faults.take('git-cut-mid-body', { repo: fullName(repository) })
        : undefined;
    const lagging = this.faults.take('git-lagging-copy', { repo: fullName(repository) });
    if (lagging) await this.copies.follow(repository, lagging.ms ?? 5_000);
    await this.#run(exchange, repository, identity, action, {
      ...(lagging ? { projectRoot: this.copies.root } : {}),
      ...(cut ? { answer: { kind: 'cut', afterBytes: cut.afterBytes ?? 100 } } : {}),
    });
  }

  async #push(exchange: Exchange, repository: Repository, identity: Identity): Promise<void> {
    const repo = fullName(repository);
    const declaredBytes = Number(exchange.header('content-length') ?? 0);
    if (declaredBytes > this.options.pushBodyMaxBytes) {
      throw new HttpFault(413, '413 Request Entity Too Large');
    }
    // Before a large body git asks with an empty one ("0000") whether it is let in. That is no push.
    if (declaredBytes === 4) return this.#run(exchange, repository, identity, 'git-receive-pack', {});
    if (this.faults.stall('git-stall-receive-pack', { repo }, exchange)) return;
    const cut = this.faults.take('git-cut-mid-body', { repo });
    if (cut) return cutRequest(exchange, cut.afterBytes ?? 100);
    const move = this.faults.take('git-move-branch-before-push', { repo });
    if (move) {
      const nowMs = this.options.now();
      await this.repositories.commit(repository, {
        branch: move.branch ?? repository.defaultBranch,
        edits: [
          {
            path: `moved-by-somebody-else/${nowMs}-${randomBytes(4).toString('hex')}`,
            content: Buffer.from('moved\n'),
          },
        ],
        message: 'Somebody else was faster',
        orphan: false,
        nowMs,
      });
    }
    const report = path.join(this.#reports, randomBytes(8).toString('hex'));
    const refuse = this.faults.take('git-hook-refuse', { repo });
    const ge007 = this.faults.take('git-ge007', { repo });
    const lost = this.faults.take('git-lose-after-accept', { repo });
    const slow = this.faults.take('git-slow-after-push', { repo });
    const late = this.faults.take('git-late-push', { repo });
    const refs = this.#protectedRefs(repository, identity);
    const { limits } = repository;
    try {
      await this.#run(exchange, repository, identity, 'git-receive-pack', {
        ...(lost ? { answer: { kind: 'drop' } } : {}),
        ...(late ? { answer: { kind: 'drop' }, lateMs: late.ms ?? 10_000 } : {}),
        settings: [
          ['core.hooksPath', ge007 ? this.#hooks!.ge007 : this.#hooks!.usual],
          ...refs.review.map((ref) => ['receive.procReceiveRefs', ref] as const),
        ],
        env: {
          LOCAL_GITEE_DIR: this.repositories.directory(repository),
          LOCAL_GITEE_FILE_BYTES:
            limits.fileMb === undefined ? '' : String(Math.floor(limits.fileMb * 1048576)),
          LOCAL_GITEE_REPO_MB: limits.repoMb === undefined ? '' : String(limits.repoMb),
          LOCAL_GITEE_PROTECTED: refs.refused.join(' '),
          LOCAL_GITEE_REFUSE_TEXT: refuse
            ? (refuse.text ?? 'error: refused by a rule of this repository')
            : '',
          LOCAL_GITEE_SITE: this.options.publicUrl(),
          LOCAL_GITEE_REPO: repo,
          LOCAL_GITEE_REPORT: report,
          LOCAL_GITEE_WORK_SECONDS: slow ? String((slow.ms ?? 10_000) / 1000) : '',
          LOCAL_GITEE_TRACE: randomBytes(4).toString('hex'),
          LOCAL_GITEE_REVIEW_ID: identity.kind === 'account' ? String(identity.account.id) : '0',
          LOCAL_GITEE_NODE: process.execPath,
        },
        onEnded: () => this.#report(repository, identity, report, refs.review),
      });
    } finally {
      await rm(report, { force: true });
    }
  }

  /** Protected branches bind everybody but administrators. */
  #protectedRefs(repository: Repository, identity: Identity): { refused: string[]; review: string[] } {
    if (this.access.may(identity, repository, 'admin')) return { refused: [], review: [] };
    const refs = (mode: string) =>
      repository.protectedBranches.filter((b) => b.mode === mode).map((b) => `refs/heads/${b.name}`);
    return { refused: refs('standard'), review: refs('review') };
  }

  async #report(repository: Repository, identity: Identity, file: string, review: string[]): Promise<void> {
    let text: string;
    try {
      text = await readFile(file, 'utf8');
    } catch {
      return; // post-receive did not run: nothing was accepted.
    }
    const moved = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [before = ZERO, after = ZERO, ref = ''] = line.split(' ');
        return { before, after, ref };
      })
      .filter((m) => !review.includes(m.ref));
    if (moved.length === 0) return;
    for (const { before, ref } of moved) {
      if (!ref.startsWith(BRANCHES)) continue;
      const branch = ref.slice(BRANCHES.length);
      this.repositories.onMoved(repository, { branch, before: before === ZERO ? undefined : before });
    }
    this.statistics.of(repository.id).pushes++;
    this.onPush(repository, moved, identity);
  }

  #run(
    exchange: Exchange,
    repository: Repository,
    identity: Identity,
    action: string,
    more: Partial<Pick<BackendRequest, 'answer' | 'lateMs' | 'projectRoot' | 'settings' | 'env' | 'onEnded'>>,
  ): Promise<void> {
    return runBackend(exchange, {
      projectRoot: this.repositories.root,
      pathInfo: `/${fullName(repository)}.git/${action}`,
      remoteUser: identity.kind === 'account' ? identity.account.login : undefined,
      bodyMaxBytes: this.options.pushBodyMaxBytes,
      answer: { kind: 'send' },
      env: {},
      ...more,
      settings: [...SETTINGS, ...(more.settings ?? [])],
    });
  }
}

function fullName(repository: Repository): string {
  return `${repository.owner}/${repository.name}`;
}

/** Gitee puts a session before its texts. */
function session(text: string): string {
  return `[session-${randomBytes(4).toString('hex')}] ${text}`;
}

/** Reads so much of the body, then is gone. Git never saw any of it. */
function cutRequest(exchange: Exchange, afterBytes: number): void {
  let receivedBytes = 0;
  exchange.request.on('data', (data: Buffer) => {
    receivedBytes += data.length;
    if (receivedBytes >= afterBytes) exchange.cut();
  });
  exchange.request.on('end', () => exchange.cut());
}
