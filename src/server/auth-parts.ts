import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RequestHandler } from 'express';
import type { Audit } from '../async/audit.js';
import { RecordedAccountAdmin, type AccountAdmin } from '../auth/accounts/account-admin.js';
import { DockerPasswordAccounts } from '../auth/accounts/docker-passwords.js';
import { Authenticator } from '../auth/token/authenticator.js';
import { parseEncryptionKey } from '../auth/accounts/encryption-key.js';
import { GiteeApiIdentity } from '../auth/gitee/gitee-identity.js';
import { GiteeLine } from '../auth/gitee/gitee-line.js';
import { GiteeVerdicts } from '../auth/gitee/gitee-verdicts.js';
import type { DockerPasswords, OAuthGrants } from '../auth/identity.js';
import { ImageRules } from '../auth/token/image-rules.js';
import { Lockout } from '../auth/lockout.js';
import { PasswordHasher } from '../auth/accounts/password-hasher.js';
import { RegistryTokens } from '../auth/token/registry-token.js';
import { Rights } from '../auth/token/rights.js';
import { Robots } from '../auth/accounts/robots.js';
import { Sealer } from '../auth/sealer.js';
import { Sessions } from '../auth/accounts/sessions.js';
import { SigningKey } from '../auth/token/signing-key.js';
import { tokenRouter } from '../auth/token/token-router.js';
import { TokenService } from '../auth/token/token-service.js';
import type { KeyValueStore } from '../index/key-value-store.js';
import { openStore, type StoreOptions } from '../index/open-store.js';
import type { Config } from './config/config.js';
import type { GatewayParts } from './gateway.js';
import type { GiteeClient } from './gitee-client.js';

/** Of one question to Gitee. A login may need two, one after the other, and Docker's users wait 10 s at most. */
const QUESTION_MS = 4_000;
const REFUSAL_TTL_MS = 30_000;

/** The token service of a gateway, and what the login page shares with it. */
export interface AuthParts {
  readonly router: RequestHandler;
  readonly admin: AccountAdmin;
  /** `<state_dir>/auth`. */
  readonly store: KeyValueStore;
  readonly sealer: Sealer;
  readonly passwords: DockerPasswords;
  close(): Promise<void>;
}

export interface AuthSurroundings {
  readonly config: Config;
  readonly parts: GatewayParts;
  readonly gitee: GiteeClient;
  readonly audit: Audit;
  readonly stores: StoreOptions;
  /** Those who signed in on the login page; given the store and the sealer that it shares. */
  readonly grants: (store: KeyValueStore, sealer: Sealer) => OAuthGrants;
}

/** Nobody ever signed in on a login page: there is none. */
export const noGrants: OAuthGrants = { accessToken: () => Promise.resolve(undefined) };

/** Opens the state and starts nothing; undefined where auth is switched off. */
export async function openAuth(around: AuthSurroundings): Promise<AuthParts | undefined> {
  const { config, parts, gitee, audit } = around;
  const { auth } = config;
  if (!auth.enabled) return undefined;
  const { clock, log, metrics } = parts;
  const key = await signingKey(config, clock.nowMs());
  metrics.set('gateway_token_certificate_expiry_timestamp_seconds', Math.floor(key.expiresMs / 1000));
  const encryptionKey = parseEncryptionKey(required(auth.encryptionKey, 'encryption_key').reveal());
  const sealer = new Sealer(required(encryptionKey, 'encryption_key'));
  const store = openStore(join(config.stateDir, 'auth'), around.stores);
  const limits = { sessionsMax: auth.sessionsMax, ttlMs: auth.sessionTtlMs };
  const sessions = new Sessions(store, sealer, limits, clock);
  await sessions.sweep();
  const hasher = new PasswordHasher();
  const passwords = new DockerPasswordAccounts(store, hasher, sessions, clock);
  const robots = new Robots(store, hasher, sessions, clock);
  const verdicts = new GiteeVerdicts({
    identity: new GiteeApiIdentity({ api: gitee.api, log, deadlineMs: QUESTION_MS }),
    line: new GiteeLine({ clock, timeoutMs: QUESTION_MS }),
    times: {
      ttlMs: auth.verdictTtlMs,
      negativeTtlMs: REFUSAL_TTL_MS,
      staleMs: auth.verdictStaleMs,
    },
    clock,
    metrics,
  });
  const grants = around.grants(store, sealer);
  const service = new TokenService({
    authenticator: new Authenticator({ verdicts, grants, passwords, robots, sessions, metrics }),
    rights: new Rights({ verdicts, rules: imageRules(config), anonymousPull: auth.anonymousPull }),
    tokens: new RegistryTokens({
      key,
      issuer: auth.issuer,
      service: auth.service,
      ttlPullMs: auth.tokenTtlPullMs,
      ttlPushMs: auth.tokenTtlPushMs,
      clock,
    }),
    sessions,
    lockout: new Lockout(auth.lockout, clock),
    ...{ audit, clock, log, metrics },
  });
  return {
    router: tokenRouter({ service, publicUrl: auth.publicUrl?.replace(/\/$/, '') }),
    admin: new RecordedAccountAdmin({ robots, sessions, audit }),
    store,
    sealer,
    passwords,
    close: () => store.close(),
  };
}

async function signingKey(config: Config, nowMs: number): Promise<SigningKey> {
  const [key, certificate] = await Promise.all([
    readFile(required(config.auth.keyFile, 'key_file'), 'utf8'),
    readFile(required(config.auth.certificateFile, 'certificate_file'), 'utf8'),
  ]);
  return SigningKey.read(key, certificate, nowMs);
}

/** Images that are in no rule go by the repository where the registry keeps everything. */
function imageRules(config: Config): ImageRules {
  const bucket = config.buckets.find(({ preset }) => preset === 'registry');
  return new ImageRules(config.auth.images, required(bucket, 'enabled').repository);
}

function required<T>(value: T | undefined, option: string): T {
  if (value === undefined)
    throw new Error(`auth.${option} cannot be used: the configuration check lets none pass`);
  return value;
}
