import type { ChunkCache } from '../chunks/cache.js';
import type { DiskBallast } from '../chunks/disk-ballast.js';
import type { Downlink } from '../line/downlink.js';
import type { LineHealth } from '../line/health.js';
import type { UploadLine } from '../line/upload-line.js';
import type { AuditParts } from './audit-parts.js';
import type { AuthParts } from './auth-parts.js';
import type { Config } from './config/config.js';
import type { GatewayParts } from './gateway.js';
import type { GiteeClient } from './gitee-client.js';
import type { HookParts } from './hook-parts.js';
import type { LfsParts } from './lfs-parts.js';
import type { LoginParts } from './login-parts.js';

/** What a gateway consists of, below its buckets. */
export interface GatewayComponents {
  readonly config: Config;
  readonly parts: GatewayParts;
  readonly gitee: GiteeClient;
  readonly line: LineHealth;
  readonly downlink: Downlink;
  /** Who sends next over the line, and how much may wait for it. */
  readonly uploads: UploadLine;
  readonly cache: ChunkCache;
  readonly ballast: DiskBallast;
  readonly lfs: LfsParts;
  readonly audit: AuditParts;
  readonly hooks: HookParts;
  /** undefined: auth is switched off. */
  readonly auth: AuthParts | undefined;
  /** undefined: auth.oauth is not set. */
  readonly login: LoginParts | undefined;
}
