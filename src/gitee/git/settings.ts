import type { Clock } from '../../async/clock.js';
import type { Failpoints } from '../../async/failpoint.js';
import type { Log } from '../../async/log.js';
import type { Metrics } from '../../async/metrics.js';
import type { LineReports } from '../../line/health.js';
import type { HttpClient } from '../http/client.js';
import type { Identity } from './git-object.js';

/** The secret, and how to look for a newer one. */
interface TokenSource {
  current(): string;
  /** Reads the secret again; true where it changed, so that another try makes sense. */
  reload(): Promise<boolean>;
}

/** Time limits; each ends the whole process group. */
export interface GitTimeouts {
  /** One push: this, and `per100kKeysMs` for each 100,000 keys, since the server walks the tree at every push. */
  readonly pushBaseMs: number;
  readonly per100kKeysMs: number;
  /** One fetch, the first one of the whole history included; grows with the keys too. */
  readonly fetchMs: number;
  /** Asking for the head. */
  readonly readHeadMs: number;
  /** A transfer below this for `lowSpeedTimeMs` (grows with the keys) counts as hung. */
  readonly lowSpeedBytesPerSecond: number;
  readonly lowSpeedTimeMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly killGraceMs: number;
}

export const DEFAULT_GIT_TIMEOUTS: GitTimeouts = {
  pushBaseMs: 60_000,
  per100kKeysMs: 5_000,
  fetchMs: 900_000,
  readHeadMs: 30_000,
  lowSpeedBytesPerSecond: 1_000,
  lowSpeedTimeMs: 30_000,
  killGraceMs: 2_000,
};

export interface GitBranchSettings {
  /** `https://gitee.com/owner/name.git`, without credentials. */
  readonly url: string;
  readonly branch: string;
  /** Connections to Gitee; certificates and proxies are its affair. */
  readonly http: HttpClient;
  /** Where the bare repository is kept; made if missing, ours alone, may vanish at any time. */
  readonly directory: string;
  readonly token: TokenSource;
  /** User name beside the token. Default: `oauth2`. */
  readonly user?: string;
  /** PEM file of the authorities to trust for this server, instead of the system's. */
  readonly caFile?: string;
  /** Author and committer. */
  readonly identity: Identity;
  /** Names this gateway in the log. */
  readonly gatewayId: string;
  /** Told what comes of each push and fetch. */
  readonly line?: LineReports;
  /** Large bodies make way on the line until what this returns is called: asked for pushes that somebody waits for. */
  readonly clearLine?: () => () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly failpoints: Failpoints;
  readonly timeouts?: Partial<GitTimeouts>;
  /** Memory for trees that pushes touch again and again. Default: 64 MiB. */
  readonly treeCacheMaxBytes?: number;
  /** Packs from which maintain() joins them. Default: 50; each push adds one. */
  readonly joinFromPacks?: number;
  /** Loose objects from which maintain() packs them; old state has them, pushes make none. Default: 1,000. */
  readonly packFromLooseObjects?: number;
}

/** What the branch's own commands need beside that. */
export interface ServerBranchSettings extends GitBranchSettings {
  /** How many keys the branch has, roughly: time limits grow with it. */
  readonly keyCount: () => number;
}

/** One bucket, a folder of the branch. */
export interface GitPlaceSettings {
  /** Without slashes at the ends; '' for the root. */
  readonly pathPrefix: string;
  /** How many keys the bucket has, roughly: time limits grow with it. */
  readonly keyCount: () => number;
}
