import { createHash, createVerify, X509Certificate, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import express from 'express';
import type { AuditEvent } from '../../src/async/audit.js';
import { silentLog } from '../../src/async/log.js';
import { RecordedAccountAdmin } from '../../src/auth/accounts/account-admin.js';
import { DockerPasswordAccounts } from '../../src/auth/accounts/docker-passwords.js';
import { Authenticator } from '../../src/auth/token/authenticator.js';
import { GiteeLine } from '../../src/auth/gitee/gitee-line.js';
import { GiteeVerdicts } from '../../src/auth/gitee/gitee-verdicts.js';
import type { GiteeIdentity, RepositoryPermission } from '../../src/auth/identity.js';
import { ImageRules } from '../../src/auth/token/image-rules.js';
import { Lockout } from '../../src/auth/lockout.js';
import { PasswordHasher } from '../../src/auth/accounts/password-hasher.js';
import { RegistryTokens } from '../../src/auth/token/registry-token.js';
import { Rights } from '../../src/auth/token/rights.js';
import { Robots } from '../../src/auth/accounts/robots.js';
import { Sealer } from '../../src/auth/sealer.js';
import { Sessions } from '../../src/auth/accounts/sessions.js';
import { SigningKey } from '../../src/auth/token/signing-key.js';
import { tokenRouter } from '../../src/auth/token/token-router.js';
import { TokenService } from '../../src/auth/token/token-service.js';
import { RemoteError } from '../../src/gitee/errors.js';
import { LmdbStore } from '../../src/index/lmdb-store.js';
import { KeepingMetrics, SkippingClock } from '../unit/gitee/http/scripted-server.js';
import { makeAuthFiles } from './auth-files.js';
import { limitMs } from './time-limits.js';

/** Gitee as a test wants it: tokens and rights in maps, and outages by a switch. */
class ScriptedIdentity implements GiteeIdentity {
  readonly users = new Map<string, { id: number; login: string }>();
  /** By `login repository`. */
  readonly permissions = new Map<string, RepositoryPermission>();
  readonly publicRepositories = new Set<string>();
  /** `stall`: answers nothing. */
  outage: 'none' | 'down' | 'stall' = 'none';
  calls = 0;

  async user(token: string) {
    await this.#reach();
    const user = this.users.get(token);
    if (!user) throw new RemoteError('unauthorized', 'Gitee does not take the token', { status: 401 });
    return { ...user, name: user.login };
  }

  async permission(token: string, repository: string) {
    const { login } = await this.user(token);
    return this.permissions.get(`${login} ${repository}`) ?? 'none';
  }

  async isPublic(repository: string) {
    await this.#reach();
    return this.publicRepositories.has(repository);
  }

  async #reach(): Promise<void> {
    this.calls += 1;
    if (this.outage === 'down') throw new RemoteError('unreachable', 'Gitee cannot be reached');
    if (this.outage === 'stall') await new Promise<never>(() => {});
  }
}

export interface Asked {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly token?: string;
    readonly access_token?: string;
    readonly expires_in?: number;
    readonly issued_at?: string;
    readonly refresh_token?: string;
    readonly errors?: readonly { code: string; message: string }[];
  };
}

/** The whole token service on a real port, with a scripted Gitee, a clock that does not wait and cheap hashes. */
export class TokenBench {
  readonly clock = new SkippingClock(Date.now());
  readonly metrics = new KeepingMetrics();
  readonly identity = new ScriptedIdentity();
  readonly events: AuditEvent[] = [];
  /** The audit log takes an event and never says that it is written. */
  auditStalls = false;
  /** Tokens of those who signed in on the login page. */
  readonly grants = new Map<string, string>();
  readonly passwords: DockerPasswordAccounts;
  readonly robots: Robots;
  readonly sessions: Sessions;
  readonly admin: RecordedAccountAdmin;
  readonly certificate: X509Certificate;
  readonly #server: Server;

  private constructor(
    private readonly directory: string,
    readonly store: LmdbStore,
    keyPem: string,
    certificatePem: string,
  ) {
    const { clock, metrics } = this;
    this.certificate = new X509Certificate(certificatePem);
    const audit = {
      record: (event: AuditEvent) => {
        this.events.push(event);
        return this.auditStalls ? new Promise<void>(() => {}) : Promise.resolve();
      },
    };
    const sealer = new Sealer(new Uint8Array(32).fill(9));
    const hasher = new PasswordHasher(16);
    this.sessions = new Sessions(store, sealer, { sessionsMax: 3, ttlMs: 14 * 86_400_000 }, clock);
    this.passwords = new DockerPasswordAccounts(store, hasher, this.sessions, clock);
    this.robots = new Robots(store, hasher, this.sessions, clock);
    this.admin = new RecordedAccountAdmin({ robots: this.robots, sessions: this.sessions, audit });
    const verdicts = new GiteeVerdicts({
      identity: this.identity,
      line: new GiteeLine({ clock, timeoutMs: limitMs(400) }),
      times: { ttlMs: 120_000, negativeTtlMs: 30_000, staleMs: 3600_000 },
      ...{ clock, metrics },
    });
    const service = new TokenService({
      authenticator: new Authenticator({
        ...{ verdicts, robots: this.robots, passwords: this.passwords, sessions: this.sessions, metrics },
        grants: { accessToken: (login) => Promise.resolve(this.grants.get(login.toLowerCase())) },
      }),
      rights: new Rights({
        verdicts,
        rules: new ImageRules([{ pattern: 'other/**', repository: 'acme/other' }], 'acme/images'),
        anonymousPull: true,
      }),
      tokens: new RegistryTokens({
        key: SigningKey.read(keyPem, certificatePem, Date.now()),
        ...{ issuer: 'gitee-s3', service: 'registry', ttlPullMs: 600_000, ttlPushMs: 3600_000, clock },
      }),
      sessions: this.sessions,
      lockout: new Lockout({ failures: 3, windowMs: 600_000, durationMs: 900_000 }, clock),
      ...{ audit, clock, log: silentLog, metrics },
    });
    const app = express();
    app.set('trust proxy', 'loopback');
    app.use(tokenRouter({ service, publicUrl: 'https://registry.example.com' }));
    this.#server = createServer({ maxHeaderSize: 32 * 1024 }, app);
  }

  static async start(): Promise<TokenBench> {
    const directory = await mkdtemp(path.join(tmpdir(), 'token-bench-'));
    const { keyFile, certificateFile } = await makeAuthFiles(directory);
    const bench = new TokenBench(
      directory,
      LmdbStore.open(path.join(directory, 'auth')),
      await readFile(keyFile, 'utf8'),
      await readFile(certificateFile, 'utf8'),
    );
    bench.identity.users.set('token-of-ann', { id: 1, login: 'Ann' });
    bench.identity.users.set('token-of-bob', { id: 2, login: 'bob' });
    bench.identity.permissions.set('Ann acme/images', 'admin');
    bench.identity.permissions.set('bob acme/images', 'push');
    bench.identity.permissions.set('bob acme/other', 'pull');
    bench.#server.listen(0, '127.0.0.1');
    await once(bench.#server, 'listening');
    return bench;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/token`;
  }

  /** @param query after the service. */
  async get(query: string, user?: string, password?: string, from?: string): Promise<Asked> {
    const headers: Record<string, string> = from === undefined ? {} : { 'X-Forwarded-For': from };
    if (user !== undefined)
      headers['Authorization'] = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    return answer(await fetch(`${this.url}?service=registry&${query}`, { headers }));
  }

  async post(fields: Record<string, string>): Promise<Asked> {
    const body = new URLSearchParams({ service: 'registry', ...fields });
    return answer(await fetch(this.url, { method: 'POST', body }));
  }

  /** What a token grants, after it was verified as the registry does. */
  access(asked: Asked): { type: string; name: string; actions: string[] }[] {
    const claims = verifyAsRegistry(asked.body.token!, this.certificate, this.clock.nowMs());
    return claims.access as { type: string; name: string; actions: string[] }[];
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await this.store.close();
    await rm(this.directory, { recursive: true });
  }
}

async function answer(response: Response): Promise<Asked> {
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Asked['body'],
  };
}

/**
 * Takes and refuses tokens by the table of what was measured on registry 2.8.2 (the same code as 2.7.1). Throws with
 * the row of the table that a token breaks.
 */
export function verifyAsRegistry(
  token: string,
  trusted: X509Certificate,
  nowMs: number,
  expected = { issuer: 'gitee-s3', audience: 'registry' },
): Record<string, unknown> {
  const [header64, claims64, signature64, more] = token.split('.');
  if (!header64 || !claims64 || !signature64 || more !== undefined) throw new Error('malformed token');
  const header = JSON.parse(Buffer.from(header64, 'base64url').toString()) as Record<string, unknown>;
  const claims = JSON.parse(Buffer.from(claims64, 'base64url').toString()) as Record<string, unknown>;
  if (claims64.includes('=') || header64.includes('=')) throw new Error('padding');
  const key = keyOf(header, trusted);
  const verify = createVerify('sha256').update(`${header64}.${claims64}`);
  const signature = Buffer.from(signature64, 'base64url');
  if (header['alg'] === 'ES256' && signature.length !== 64) throw new Error('ES256 wants r||s of 64 bytes');
  if (header['alg'] !== 'ES256' && header['alg'] !== 'RS256') throw new Error('unknown algorithm');
  if (!verify.verify({ key, dsaEncoding: 'ieee-p1363' }, signature)) throw new Error('wrong signature');
  if (claims['iss'] !== expected.issuer) throw new Error('wrong issuer');
  if (claims['aud'] !== expected.audience) throw new Error('aud must be one string, the service');
  const nowSeconds = nowMs / 1000;
  for (const name of ['exp', 'nbf', 'iat'])
    if (!Number.isInteger(claims[name])) throw new Error(`${name} must be a whole number`);
  if (nowSeconds > (claims['exp'] as number) + 60) throw new Error('expired');
  if (nowSeconds < (claims['nbf'] as number) - 60) throw new Error('not yet valid');
  if (!Array.isArray(claims['access'])) throw new Error('insufficient_scope');
  return claims;
}

/** x5c wins over kid; it is standard base64, leaf first, and must chain to what is trusted. */
function keyOf(header: Record<string, unknown>, trusted: X509Certificate): KeyObject {
  const chain = header['x5c'];
  if (Array.isArray(chain)) {
    const [leaf] = chain as string[];
    if (!leaf || !/^[A-Za-z0-9+/]+={0,2}$/.test(leaf)) throw new Error('x5c must be standard base64');
    const certificate = new X509Certificate(Buffer.from(leaf, 'base64'));
    if (certificate.fingerprint256 !== trusted.fingerprint256 && !certificate.verify(trusted.publicKey))
      throw new Error('x5c does not chain to the bundle');
    return certificate.publicKey;
  }
  if (header['kid'] !== libtrustId(trusted.publicKey)) throw new Error('no key');
  return trusted.publicKey;
}

/** Written from the rule in words, apart from the code under test: RFC 4648 base32 of 30 bytes, 12 groups of 4. */
export function libtrustId(key: KeyObject): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bytes = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
  let number = 0n;
  for (const byte of bytes.subarray(0, 30)) number = number * 256n + BigInt(byte);
  const letters: string[] = [];
  for (let i = 0; i < 48; i += 1) {
    letters.unshift(alphabet[Number(number % 32n)]!);
    number /= 32n;
  }
  return Array.from({ length: 12 }, (_, i) => letters.slice(i * 4, i * 4 + 4).join('')).join(':');
}
