/**
 * What a client of the registry reads where its storage failed. The registry says "unknown error" whatever it is
 * told, so Nginx asks here (nginx/snippets/registry-why.conf) and passes the sentence on: what is the matter, who has
 * to act, and whether trying again helps. For users, who see no log: no names of repositories, no texts of servers.
 */
import type { RemoteCause } from '../gitee/errors.js';
import type { LineState } from '../line/health.js';

/** What the registry was doing: a tag is a manifest by PUT, a layer is anything of an upload. */
export type RegistryTask = 'tag' | 'layer' | 'read';

/** What is asked of a bucket; the first that stands in the way is told. */
interface BucketCondition {
  readonly isFrozen: boolean;
  readonly isReady: boolean;
  /** RemoteCause that keeps changes or chunks from Gitee until an operator acts. */
  readonly pausedBy: string | undefined;
}

export interface RegistryConditions {
  readonly isStopping: boolean;
  /** Those that registries store in. */
  readonly buckets: readonly BucketCondition[];
  readonly line: Pick<LineState, 'isDown' | 'uses' | 'sinceMs'>;
  readonly nowMs: number;
}

export interface RegistryFailure {
  /** For the metric. */
  readonly reason: 'stopping' | 'read-only' | 'paused' | 'no-answer' | 'starting' | 'waiting';
  /**
   * DENIED where trying again is of no use before an operator has acted: docker, podman and others then don't.
   * UNAVAILABLE otherwise: docker repeats a layer, which it doesn't after TOOMANYREQUESTS.
   */
  readonly code: 'DENIED' | 'UNAVAILABLE';
  /** English and Chinese. */
  readonly message: string;
  readonly retryAfterSeconds: number;
}

interface Sentence {
  readonly en: string;
  readonly zh: string;
}

const RETRY_SECONDS = 10;
const LASTING_SECONDS = 60;

/** What stands in the way of pushes until an operator acts. */
const PAUSES: Readonly<Record<string, Sentence>> = {
  unauthorized: { en: "Gitee refuses the gateway's token", zh: 'Gitee 拒绝了网关的令牌' },
  forbidden: { en: "the gateway's account may not write at Gitee", zh: '网关的账号在 Gitee 没有写权限' },
  'repository-missing': { en: 'the repository at Gitee is not there', zh: 'Gitee 上的仓库不存在' },
  'repository-closed': { en: 'the repository at Gitee is closed', zh: 'Gitee 上的仓库已关闭' },
  'lfs-not-enabled': { en: 'LFS is not enabled at Gitee', zh: 'Gitee 未开通 LFS' },
  'quota-full': { en: 'the storage space at Gitee is used up', zh: 'Gitee 的存储空间已用完' },
  'bandwidth-exceeded': { en: 'the LFS traffic at Gitee is used up', zh: 'Gitee 的 LFS 流量已用完' },
  'branch-protected': { en: 'the branch at Gitee is protected', zh: 'Gitee 上的分支受保护' },
  'review-mode': { en: 'Gitee asks for reviews on the branch', zh: 'Gitee 上的分支需要评审' },
} satisfies Partial<Record<RemoteCause, Sentence>>;
const OTHER_PAUSE: Sentence = { en: 'Gitee refuses what the gateway sends', zh: 'Gitee 拒绝了网关的写入' };

/** What became of the push, and what to do. */
const ADVICE: Readonly<Record<RegistryTask, Sentence>> = {
  tag: {
    en: 'the image is not yet on Gitee: what has arrived here is kept and goes there by itself; please push again in a minute, layers are not sent again',
    zh: '镜像尚未写入 Gitee:已到达的内容会保留并自动写入;请一分钟后重新 push,已存入的层不会重传',
  },
  layer: {
    en: 'this layer could not be stored at the moment; please push again in a minute, layers that are there are not sent again',
    zh: '该层暂时无法存入,请一分钟后重新 push,已存入的层不会重传',
  },
  read: {
    en: 'the registry cannot read its storage at the moment; please try again in a minute',
    zh: '仓库暂时读不到存储,请一分钟后重试',
  },
};
const LASTING_ADVICE: Sentence = {
  en: 'images can be pulled, pushes fail until the operator has mended it',
  zh: '拉取不受影响,管理员处理之前无法 push',
};
const OPERATOR: Sentence = { en: 'Operator: gitee-s3 status', zh: '管理员:gitee-s3 status' };

/** What was asked of the registry. @param method of the client, @param path as Nginx passes it on */
export function registryTask(method: string, path: string): RegistryTask {
  if (method === 'PUT' && /^\/v2\/.+\/manifests\//.test(path)) return 'tag';
  if (/^(?:POST|PATCH|PUT)$/.test(method) && /^\/v2\/.+\/blobs\/uploads\//.test(path)) return 'layer';
  return 'read';
}

/** Never throws; where nothing is known to be wrong, the likely: it waits for its turn on the line. */
export function registryFailure(task: RegistryTask, conditions: RegistryConditions): RegistryFailure {
  const { buckets, isStopping, line } = conditions;
  if (isStopping) return passing('stopping', task, { en: 'the gateway restarts', zh: '网关正在重启' });
  const pausedBy = buckets.find((bucket) => bucket.pausedBy !== undefined)?.pausedBy;
  if (task !== 'read') {
    if (buckets.some((bucket) => bucket.isFrozen))
      return lasting('read-only', {
        en: 'the gateway is read-only, since the branch at Gitee was changed by somebody else',
        zh: 'Gitee 上的分支被他人改动,网关现为只读',
      });
    if (pausedBy) return lasting('paused', PAUSES[pausedBy] ?? OTHER_PAUSE);
  }
  const down = line.uses.filter((use) => use.isDown && use.use !== 'fetch');
  if (line.isDown || down.length > 0) {
    const answersErrors = !line.isDown && down.every((use) => use.failure?.code === 'server-fault');
    return passing('no-answer', task, noAnswer(answersErrors, line.sinceMs, conditions.nowMs));
  }
  // With its token refused, or its traffic used up, nothing can be read that is not here.
  if (pausedBy) return passing('paused', task, PAUSES[pausedBy] ?? OTHER_PAUSE);
  if (buckets.some((bucket) => !bucket.isReady))
    return passing('starting', task, {
      en: 'the gateway is reading the branch from Gitee',
      zh: '网关正在从 Gitee 读取分支',
    });
  return passing('waiting', task, undefined);
}

function noAnswer(answersErrors: boolean, sinceMs: number | undefined, nowMs: number): Sentence {
  if (sinceMs === undefined) return { en: 'Gitee does not answer', zh: 'Gitee 没有应答' };
  const since = `${new Date(sinceMs).toISOString().slice(11, 16)} UTC`;
  const minutes = Math.floor((nowMs - sinceMs) / 60_000);
  if (answersErrors)
    return {
      en: `Gitee has answered with errors since ${since} (${minutes} min)`,
      zh: `Gitee 自 ${since} 起返回错误(${minutes} 分钟)`,
    };
  return {
    en: `Gitee has not answered since ${since} (${minutes} min)`,
    zh: `Gitee 自 ${since} 起没有应答(${minutes} 分钟)`,
  };
}

function passing(
  reason: RegistryFailure['reason'],
  task: RegistryTask,
  why: Sentence | undefined,
): RegistryFailure {
  const message = inBoth(why ? [why, ADVICE[task], OPERATOR] : [ADVICE[task], OPERATOR]);
  return { reason, code: 'UNAVAILABLE', message, retryAfterSeconds: RETRY_SECONDS };
}

function lasting(reason: RegistryFailure['reason'], why: Sentence): RegistryFailure {
  const message = inBoth([why, LASTING_ADVICE, OPERATOR]);
  return { reason, code: 'DENIED', message, retryAfterSeconds: LASTING_SECONDS };
}

/** Behind `unavailable:` or `denied:` a sentence begins small, the next ones don't. */
function inBoth([first, ...rest]: readonly [Sentence, ...Sentence[]]): string {
  const en = [first.en, ...rest.map((part) => part.en.charAt(0).toUpperCase() + part.en.slice(1))];
  return `${en.join('. ')} / ${[first, ...rest].map((part) => part.zh).join('。')}`;
}
