import { createHmac } from 'node:crypto';
import type { Identity } from './access.js';
import type { BareRepositories, CommitInfo } from './git/bare-repositories.js';
import type { MovedRef } from './git/git-http.js';
import type { Hook, Repository, State } from './state.js';

const ZERO = '0'.repeat(40);
/** Gitee sends about ten commits and says that there were more. */
const COMMITS_MAX = 10;

/** Delivers webhooks with Gitee's headers and bodies (help articles 4184, 4186, 4290). Nothing is retried. */
export class Webhooks {
  constructor(
    private readonly state: State,
    private readonly repositories: BareRepositories,
    private readonly options: {
      url: () => string;
      timeoutMs: number;
      now: () => number;
      signal: AbortSignal;
    },
  ) {}

  /** Tells every hook of the repository; never rejects. */
  async pushed(repository: Repository, moved: readonly MovedRef[], identity: Identity): Promise<void> {
    const hooks = repository.hooks.filter((hook) => hook.pushEvents);
    if (hooks.length === 0) return;
    for (const ref of moved.filter((m) => m.ref.startsWith('refs/heads/'))) {
      const commits = await this.#commits(repository, ref);
      await Promise.all(
        hooks.map((hook) => this.#deliver(hook, this.#body(hook, repository, ref, commits, identity), false)),
      );
    }
    await this.state.save();
  }

  /** What `POST …/hooks/{id}/tests` sends. */
  async ping(repository: Repository, hook: Hook, identity: Identity): Promise<void> {
    const branch = (await this.repositories.branches(repository, repository.defaultBranch))[0];
    const head = branch?.commit ?? ZERO;
    const moved = { before: head, after: head, ref: `refs/heads/${repository.defaultBranch}` };
    await this.#deliver(hook, this.#body(hook, repository, moved, [], identity), true);
    await this.state.save();
  }

  async #commits(repository: Repository, moved: MovedRef): Promise<CommitInfo[]> {
    if (moved.after === ZERO) return [];
    const from = moved.before === ZERO ? null : moved.before;
    // The branch may be gone or rewritten by now: a hint without commits is still a hint.
    return this.repositories.log(repository, from, moved.after, COMMITS_MAX + 1).catch(() => []);
  }

  #body(
    hook: Hook,
    repository: Repository,
    moved: MovedRef,
    commits: readonly CommitInfo[],
    identity: Identity,
  ): Record<string, unknown> {
    const url = `${this.options.url()}/${repository.owner}/${repository.name}`;
    const user =
      identity.kind === 'account'
        ? { id: identity.account.id, login: identity.account.login, name: identity.account.name }
        : null;
    const shown = commits.slice(0, COMMITS_MAX).map((c) => ({
      id: c.id,
      tree_id: c.tree,
      parent_ids: c.parents,
      message: c.message,
      timestamp: c.timestamp,
      url: `${url}/commit/${c.id}`,
      author: { name: c.authorName, email: c.authorEmail },
      committer: { name: c.authorName, email: c.authorEmail },
      added: null,
      removed: null,
      modified: null,
    }));
    const deleted = moved.after === ZERO;
    return {
      hook_name: 'push_hooks',
      hook_id: hook.id,
      hook_url: `${url}/hooks/${hook.id}/edit`,
      ref: moved.ref,
      before: moved.before,
      after: moved.after,
      created: moved.before === ZERO,
      deleted,
      compare: `${url}/compare/${moved.before}...${moved.after}`,
      commits: shown,
      head_commit: shown[0] ?? null,
      total_commits_count: deleted ? null : commits.length,
      commits_more_than_ten: commits.length > COMMITS_MAX,
      repository: {
        id: repository.id,
        name: repository.name,
        path: repository.name,
        full_name: `${repository.owner} / ${repository.name}`,
        path_with_namespace: `${repository.owner}/${repository.name}`,
        default_branch: repository.defaultBranch,
        private: repository.private,
      },
      project: { id: repository.id, path_with_namespace: `${repository.owner}/${repository.name}` },
      sender: user,
      pusher: user,
      user_name: user?.name ?? null,
      enterprise: repository.enterprise ? { name: repository.owner } : null,
    };
  }

  async #deliver(hook: Hook, body: Record<string, unknown>, ping: boolean): Promise<void> {
    const timestamp = String(this.options.now());
    const sign = hook.encryptionType === 0 ? hook.password : signature(hook.password, timestamp);
    const bodyText = JSON.stringify({
      ...body,
      timestamp,
      sign,
      ...(hook.encryptionType === 0 ? { password: hook.password } : {}),
    });
    try {
      const answer = await fetch(hook.url, {
        method: 'POST',
        redirect: 'manual',
        headers: {
          'User-Agent': 'git-oschina-hook',
          'Content-Type': 'application/json',
          'X-Gitee-Token': sign,
          'X-Gitee-Timestamp': timestamp,
          'X-Gitee-Event': 'Push Hook',
          'X-Gitee-Ping': String(ping),
          'X-Git-Oschina-Event': 'Push Hook',
        },
        body: bodyText,
        signal: AbortSignal.any([this.options.signal, AbortSignal.timeout(this.options.timeoutMs)]),
      });
      hook.resultCode = answer.status;
      hook.result = (await answer.text()).slice(0, 1000);
    } catch (error) {
      hook.resultCode = null;
      hook.result = error instanceof Error ? error.message : 'not delivered';
    }
  }
}

/** base64(HMAC_SHA256(secret, timestamp + "\n" + secret)): time and secret, not the body. */
function signature(secret: string, timestamp: string): string {
  return createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest('base64');
}
