/** Questions that API v5 answers (docs/facts/gitee.md §7). */
import type { PushConfig, Repository, User } from '../api/schema.js';
import { RemoteError } from '../errors.js';
import { DOCUMENTED_LIMITS } from '../limits.js';
import { failedProbe, probe, randomName, type ProbeDeps, type ProbeResult } from './probe.js';

/** Within that, links and hooks are judged as Gitee judges them. */
const SKEW_WARNING_MS = 60_000;
const SKEW_FAILED_MS = 15 * 60_000;
const ACTIVE = '开始';
const STOPPED = /暂停|关闭/;

/** Is the token good, and whose is it? `hopeless`: no other question would be answered either. */
export async function probeToken({
  api,
  signal,
}: ProbeDeps): Promise<{ result: ProbeResult; user?: User; hopeless: boolean }> {
  const name = 'token';
  try {
    const user = await api.user(signal);
    return {
      result: { name, status: 'ok', answer: `The token belongs to ${user.login}.` },
      user,
      hopeless: false,
    };
  } catch (error) {
    const hopeless =
      error instanceof RemoteError && ['unreachable', 'timeout', 'unauthorized'].includes(error.code);
    return { result: failedProbe(name, error), hopeless };
  }
}

/** The repository and what its document says; nothing more where it cannot be read. */
export async function probeRepository(deps: ProbeDeps): Promise<ProbeResult[]> {
  const full = `${deps.owner}/${deps.name}`;
  let repository: Repository;
  try {
    repository = await deps.api.repository(deps.owner, deps.name, deps.signal);
  } catch (error) {
    return [failedProbe(`repository ${full}`, error)];
  }
  return [
    {
      name: `repository ${full}`,
      status: 'ok',
      answer: `It exists, with the id ${repository.id}${repository.empty_repo ? ', and is empty' : ''}.`,
    },
    { name: `push right ${full}`, ...judgePushRight(repository) },
    { name: `state ${full}`, ...judgeState(repository) },
    { name: `enterprise ${full}`, ...judgeEnterprise(repository) },
    { name: `visibility ${full}`, ...judgeVisibility(repository) },
  ];
}

type Judgement = Omit<ProbeResult, 'name'>;

/** `permission.push` of the repository's document. */
export function judgePushRight({ permission }: Repository): Judgement {
  if (permission?.push === true) return { status: 'ok', answer: 'The owner of the token may push.' };
  if (permission?.push === false || permission?.pull === false)
    return {
      status: 'failed',
      answer: 'The owner of the token may not push.',
      setting: 'gitee.token',
      help: 'Give the owner of the token the developer role in the repository.',
    };
  return { status: 'unknown', answer: 'Gitee does not say whether the owner of the token may push.' };
}

/** `status` of the repository's document. */
export function judgeState({ status }: Repository): Judgement {
  if (status === ACTIVE) return { status: 'ok', answer: 'The repository is active.' };
  if (status && STOPPED.test(status))
    return {
      status: 'failed',
      answer: `The repository is paused or closed (${status}): pushes are refused.`,
      setting: 'buckets[].repository',
      help: 'Open it again in its settings.',
    };
  return {
    status: 'unknown',
    answer: status ? `The state ${JSON.stringify(status)} is not known here.` : 'Gitee gives no state.',
  };
}

/** Gitee has LFS for paid enterprises only. */
export function judgeEnterprise({ enterprise, namespace }: Repository): Judgement {
  if (enterprise) return { status: 'ok', answer: 'The repository belongs to an enterprise.' };
  return {
    status: 'warning',
    answer: `The repository belongs to no enterprise (${namespace?.type ?? 'unknown'}): Gitee has no LFS for it.`,
    setting: 'buckets[].repository',
    help: DOCUMENTED_LIMITS.lfs.link,
  };
}

function judgeVisibility({ private: isPrivate, public: isPublic }: Repository): Judgement {
  if (isPrivate === true) return { status: 'ok', answer: 'The repository is private.' };
  if (isPrivate === false || isPublic === true)
    return { status: 'warning', answer: 'Everybody may read the repository, and so every image in it.' };
  return { status: 'unknown', answer: 'Gitee does not say who may read the repository.' };
}

/** Rules that may refuse our commits. */
export function probePushRules(deps: ProbeDeps): Promise<ProbeResult> {
  return probe(`push rules ${deps.owner}/${deps.name}`, async () => {
    try {
      return judgePushRules(await deps.api.pushConfig(deps.owner, deps.name, deps.signal));
    } catch (error) {
      if (error instanceof RemoteError && (error.status === 403 || error.status === 404))
        return { status: 'unknown', answer: 'The owner of the token may not read the push rules.' };
      throw error;
    }
  });
}

/** Which of the rules would meet our commits. */
export function judgePushRules(config: PushConfig): Judgement {
  const rules: string[] = [];
  if (config.restrict_push_own_commit) rules.push('only own commits may be pushed');
  if (config.restrict_author_email_suffix)
    rules.push(`e-mail addresses must end with ${config.author_email_suffix ?? '(unknown)'}`);
  if (config.restrict_commit_message)
    rules.push(`messages must match ${config.commit_message_regex ?? '(unknown)'}`);
  if (config.restrict_file_size && config.max_file_size)
    rules.push(`files may have ${config.max_file_size} MB at most`);
  if (rules.length === 0) return { status: 'ok', answer: 'No push rule is set.' };
  return {
    status: 'warning',
    answer: `Push rules are set: ${rules.join('; ')}.`,
    setting: 'gitee.identity_email',
    help: 'Make the identity of the commits fit, or lift the rules for this repository.',
  };
}

/** Is the branch there, and protected? */
export function probeBranch(deps: ProbeDeps): Promise<ProbeResult> {
  return probe(`branch ${deps.branch} of ${deps.owner}/${deps.name}`, async () => {
    const branch = await deps.api.branch(deps.owner, deps.name, deps.branch, deps.signal);
    if (!branch) return { status: 'ok', answer: 'It does not exist yet; the first push makes it.' };
    if (branch.protected)
      return {
        status: 'warning',
        answer:
          'It is protected: a push may be refused or, in review mode, become a pull request and leave the branch alone.',
        setting: 'buckets[].branch',
        help: DOCUMENTED_LIMITS.protectedBranch.link,
      };
    return { status: 'ok', answer: `It is at ${branch.commit.sha.slice(0, 12)} and not protected.` };
  });
}

/** Only needed to have the gateway told of foreign pushes at once. */
export function probeHooks(deps: ProbeDeps): Promise<ProbeResult> {
  return probe(`webhooks ${deps.owner}/${deps.name}`, async () => {
    try {
      const hooks = await deps.api.hooks(deps.owner, deps.name, deps.signal);
      const failed = hooks.filter((hook) => (hook.result_code ?? 200) >= 400).length;
      return failed === 0
        ? { status: 'ok', answer: `${hooks.length} webhook(s) are set.` }
        : {
            status: 'warning',
            answer: `${failed} of ${hooks.length} webhook(s) were refused by their receiver.`,
          };
    } catch (error) {
      if (error instanceof RemoteError && [401, 403, 404].includes(error.status ?? 0))
        return {
          status: 'unknown',
          answer: 'The token may not read webhooks (scope hook, administrator). The gateway polls instead.',
        };
      throw error;
    }
  });
}

/** What a path that is not there answers: `[]` or 404, both are handled. */
export function probeContents(deps: ProbeDeps): Promise<ProbeResult> {
  return probe(`contents ${deps.owner}/${deps.name}`, async () => {
    const found = await deps.api.contents(deps.owner, deps.name, randomName(), undefined, deps.signal);
    if (found) return { status: 'warning', answer: 'A path that nothing has is said to be there.' };
    return { status: 'ok', answer: 'A missing path is said to be missing.' };
  });
}

/** Gitee's clock and ours, by the Date header of the calls before. */
export function probeClock({ api }: ProbeDeps): ProbeResult {
  return { name: 'clock', ...judgeClock(api.serverTimeOffsetMs) };
}

export function judgeClock(offsetMs: number | undefined): Judgement {
  if (offsetMs === undefined) return { status: 'unknown', answer: 'Gitee has not told its time.' };
  const seconds = Math.round(Math.abs(offsetMs) / 1000);
  const answer = `Gitee's clock is ${seconds} s ${offsetMs >= 0 ? 'ahead of' : 'behind'} ours.`;
  if (Math.abs(offsetMs) < SKEW_WARNING_MS) return { status: 'ok', answer };
  return {
    status: Math.abs(offsetMs) < SKEW_FAILED_MS ? 'warning' : 'failed',
    answer,
    help: 'Signed links and webhooks are judged by the clock: let NTP set this one.',
  };
}

/** The numbers of the last answer. */
export function probeRateLimit({ api, clock }: ProbeDeps): ProbeResult {
  const name = 'rate limit';
  const { rateLimit } = api;
  if (!rateLimit) return { name, status: 'unknown', answer: 'Gitee gives no X-RateLimit headers.' };
  const { limit, remaining, resetAtMs } = rateLimit;
  const reset =
    resetAtMs === undefined
      ? ''
      : `, anew in ${Math.max(0, Math.round((resetAtMs - clock.nowMs()) / 1000))} s`;
  return {
    name,
    status: remaining * 10 < limit ? 'warning' : 'ok',
    answer: `${remaining} of ${limit} API calls are left${reset}.`,
  };
}
