import { createHash, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import * as path from 'node:path';
import type { Config, Limits, Permission, ProtectedBranch, RepositorySeed } from './config.js';

export interface Account {
  readonly id: number;
  readonly login: string;
  readonly name: string;
  readonly email: string | null;
  /** `salt:hash`, both hex. */
  readonly passwordHash?: string;
}

/** Only hashes are kept. A revoked token stays listed, so that a seed does not bring it back. */
export interface AccessToken {
  readonly hash: string;
  readonly login: string;
  readonly scopes: readonly string[];
  readonly expiresAtMs?: number;
  readonly refreshHash?: string;
  /** The OAuth client that it was given to. */
  readonly clientId?: string;
  revoked?: boolean;
}

export interface Hook {
  readonly id: number;
  url: string;
  /** 0: the password in clear; 1: a signature of the time. */
  encryptionType: 0 | 1;
  password: string;
  pushEvents: boolean;
  result: string;
  resultCode: number | null;
  readonly createdAt: string;
}

export interface Repository {
  readonly id: number;
  readonly owner: string;
  readonly name: string;
  private: boolean;
  enterprise: boolean;
  lfs: boolean;
  closed: boolean;
  collaborators: Record<string, Permission>;
  limits: Limits;
  protectedBranches: ProtectedBranch[];
  readonly defaultBranch: string;
  readonly createdAt: string;
  hooks: Hook[];
}

interface StateDocument {
  version: 1;
  linkSecret: string;
  adminToken: string;
  nextId: number;
  accounts: Account[];
  tokens: AccessToken[];
  repositories: Repository[];
}

/**
 * Everything but git objects, LFS objects and counters: one JSON document in the data directory, replaced
 * as a whole (temporary file, fsync, rename), so that a kill leaves the old one or the new one.
 */
export class State {
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    readonly dataDir: string,
    private readonly document: StateDocument,
  ) {}

  static async open(dataDir: string): Promise<State> {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    let document: StateDocument;
    try {
      document = JSON.parse(await readFile(path.join(dataDir, 'state.json'), 'utf8')) as StateDocument;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      document = {
        version: 1,
        linkSecret: randomBytes(32).toString('hex'),
        adminToken: randomBytes(24).toString('hex'),
        nextId: 1000,
        accounts: [],
        tokens: [],
        repositories: [],
      };
    }
    return new State(dataDir, document);
  }

  get linkSecret(): string {
    return this.document.linkSecret;
  }

  /** Made at the first start; a configured one stands before it. */
  get adminToken(): string {
    return this.document.adminToken;
  }

  get accounts(): readonly Account[] {
    return this.document.accounts;
  }

  get tokens(): readonly AccessToken[] {
    return this.document.tokens;
  }

  get repositories(): readonly Repository[] {
    return this.document.repositories;
  }

  account(login: string): Account | undefined {
    return this.document.accounts.find((a) => a.login === login);
  }

  token(value: string): AccessToken | undefined {
    const hash = hashToken(value);
    return this.document.tokens.find((t) => t.hash === hash);
  }

  repository(owner: string, name: string): Repository | undefined {
    return this.document.repositories.find((r) => r.owner === owner && r.name === name);
  }

  repositoryById(id: number): Repository | undefined {
    return this.document.repositories.find((r) => r.id === id);
  }

  takeId(): number {
    const used = new Set([...this.document.accounts, ...this.document.repositories].map((x) => x.id));
    while (used.has(this.document.nextId)) this.document.nextId++;
    return this.document.nextId++;
  }

  addToken(token: AccessToken): void {
    this.document.tokens.push(token);
  }

  /** Undefined where owner and name are taken. */
  addRepository(seed: RepositorySeed): Repository | undefined {
    if (this.repository(seed.owner, seed.name)) return undefined;
    if (seed.id !== undefined && this.repositoryById(seed.id)) {
      throw new Error(`the repository id ${seed.id} is given twice`);
    }
    const repository: Repository = {
      ...seed,
      id: seed.id ?? this.takeId(),
      defaultBranch: 'master',
      createdAt: new Date().toISOString(),
      hooks: [],
    };
    this.document.repositories.push(repository);
    return repository;
  }

  /** Adds accounts, tokens and repositories that are not there yet; changes nothing that is. */
  async seed(config: Config): Promise<void> {
    for (const seed of config.accounts) {
      if (!this.account(seed.login)) {
        this.document.accounts.push({
          id: seed.id ?? this.takeId(),
          login: seed.login,
          name: seed.name ?? seed.login,
          email: seed.email,
          ...(seed.password === undefined ? {} : { passwordHash: hashPassword(seed.password) }),
        });
      }
      for (const { token, scopes } of seed.tokens) {
        if (!this.token(token)) this.addToken({ hash: hashToken(token), login: seed.login, scopes });
      }
    }
    for (const seed of config.repositories) this.addRepository(seed);
    await this.save();
  }

  /** Resolves when what stands in memory now is on disk. */
  save(): Promise<void> {
    const next = this.#saving.then(() => this.#write());
    // A failed write is reported to whoever asked for it; the next one tries anew.
    this.#saving = next.catch(() => {});
    return next;
  }

  async #write(): Promise<void> {
    const target = path.join(this.dataDir, 'state.json');
    const file = await open(`${target}.new`, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(this.document, null, 1));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${target}.new`, target);
  }
}

export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function hashPassword(password: string, salt = randomBytes(16).toString('hex')): string {
  return `${salt}:${scryptSync(password, salt, 32).toString('hex')}`;
}

export function passwordMatches(account: Account, password: string): boolean {
  if (account.passwordHash === undefined) return false;
  const salt = account.passwordHash.split(':')[0] ?? '';
  return timingSafeEqual(Buffer.from(hashPassword(password, salt)), Buffer.from(account.passwordHash));
}
