import { randomBytes } from 'node:crypto';
import type { Clock } from '../../async/clock.js';
import type { GiteeApi } from '../api/gitee-api.js';
import { RemoteError, type RemoteCause } from '../errors.js';
import type { HttpClient } from '../http/client.js';
import { DOCUMENTED_LIMITS } from '../limits.js';
import type { TokenSource } from '../token.js';

/** One answer of `doctor`. Holds no secret: neither token, nor signed link, nor header value. */
export interface ProbeResult {
  /** What was asked: `token`, `lfs acme/images`. */
  readonly name: string;
  /** `unknown`: could not be found out, which is no failure. */
  readonly status: 'ok' | 'warning' | 'failed' | 'unknown';
  /** A plain sentence. */
  readonly answer: string;
  /** The setting to look at, as the configuration names it. */
  readonly setting?: string;
  /** What to do, or where to read about it. */
  readonly help?: string;
}

export interface ProbeDeps {
  readonly http: HttpClient;
  readonly api: GiteeApi;
  readonly giteeUrl: string;
  readonly owner: string;
  readonly name: string;
  readonly branch: string;
  readonly token: TokenSource;
  /** `gitee.user`; asked first, then the other known ones. */
  readonly user: string;
  /** `gitee.lfs_user`, where it differs. */
  readonly lfsUser?: string;
  /** `gitee.lfs_batch_max` */
  readonly lfsBatchMax: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/** Settings and help for causes that mean the same wherever they turn up. */
const ADVICE: Partial<Record<RemoteCause, Pick<ProbeResult, 'setting' | 'help'>>> = {
  unreachable: { setting: 'gitee.url', help: 'Check the address, DNS, proxy variables and firewall.' },
  timeout: { setting: 'gitee.timeouts', help: 'Check the line and the proxy to Gitee.' },
  unauthorized: {
    setting: 'gitee.token',
    help: 'Make a token with the scopes projects and user_info at /profile/personal_access_tokens.',
  },
  forbidden: {
    setting: 'gitee.token',
    help: 'The token needs the scope projects, its owner the developer role in the repository.',
  },
  'repository-missing': {
    setting: 'buckets[].repository',
    help: 'Create the repository, or let the owner of the token join it.',
  },
  'lfs-not-enabled': { setting: 'buckets[].repository', help: DOCUMENTED_LIMITS.lfs.link },
  'quota-full': { help: DOCUMENTED_LIMITS.lfs.link },
};

/** The answer for a call that failed: wrong on our side is `failed`, a bad moment of the server's is not. */
export function failedProbe(name: string, error: unknown): ProbeResult {
  if (!(error instanceof RemoteError)) throw error;
  const isClear = error.pauses || error.code === 'unreachable' || error.code === 'timeout';
  return {
    name,
    status: isClear ? 'failed' : 'unknown',
    answer:
      error.detail === undefined ? `${error.message}.` : `${error.message}. Gitee says: ${error.detail}`,
    ...ADVICE[error.code],
  };
}

/** Runs one probe; what Gitee refuses is its answer. Only the caller's signal makes it reject. */
export async function probe(
  name: string,
  run: () => Promise<Omit<ProbeResult, 'name'>>,
): Promise<ProbeResult> {
  try {
    return { name, ...(await run()) };
  } catch (error) {
    return failedProbe(name, error);
  }
}

/** A name that nothing has. */
export function randomName(): string {
  return `gateway-doctor-${randomBytes(12).toString('hex')}`;
}

/** An oid that nothing has. */
export function randomOid(): string {
  return randomBytes(32).toString('hex');
}

/** User names to try with the token, the configured one first. */
export function userNames(deps: ProbeDeps, configured: string, login: string | undefined): string[] {
  const names = [configured, 'oauth2', login ?? deps.token.loginName];
  return [...new Set(names.filter((name): name is string => name !== undefined && name !== ''))];
}
