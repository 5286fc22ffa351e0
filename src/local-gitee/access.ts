import type { IncomingMessage } from 'node:http';
import type { Permission } from './config.js';
import { passwordMatches, type Account, type Repository, type State } from './state.js';

export type Identity =
  | { readonly kind: 'anonymous' }
  /** Credentials came, and they are wrong. */
  | { readonly kind: 'rejected'; readonly expired: boolean }
  | { readonly kind: 'account'; readonly account: Account; readonly scopes: readonly string[] };

const ALL_SCOPES = ['user_info', 'projects', 'hook'];
const RANK: Record<Permission, number> = { pull: 1, push: 2, admin: 3 };

/** Who asks, and what the answer to that allows. */
export class Access {
  constructor(
    private readonly state: State,
    private readonly now: () => number,
  ) {}

  /** Basic `oauth2:TOKEN`, `login:TOKEN` or `login:password`, as git and git-lfs send it. */
  fromBasic(request: IncomingMessage): Identity {
    const basic = readBasic(request.headers.authorization);
    if (!basic) return request.headers.authorization ? REJECTED : { kind: 'anonymous' };
    const byToken = this.fromToken(basic.password);
    if (byToken.kind === 'account') {
      return basic.user === 'oauth2' || basic.user === byToken.account.login ? byToken : REJECTED;
    }
    const account = this.state.account(basic.user);
    if (account && passwordMatches(account, basic.password)) {
      return { kind: 'account', account, scopes: ALL_SCOPES };
    }
    return byToken;
  }

  /** The ways API v5 takes a token: `Bearer`, `token`, `PRIVATE-TOKEN`, `access_token`. */
  fromApi(request: IncomingMessage, accessToken: string | undefined): Identity {
    const authorization = /^(?:Bearer|token) +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const header = request.headers['private-token'];
    const token = authorization ?? (typeof header === 'string' ? header : undefined) ?? accessToken;
    if (token !== undefined) return this.fromToken(token);
    return request.headers.authorization ? REJECTED : { kind: 'anonymous' };
  }

  fromToken(value: string): Identity {
    const token = this.state.token(value);
    const account = token && this.state.account(token.login);
    if (!token || !account || token.revoked) return REJECTED;
    if (token.expiresAtMs !== undefined && token.expiresAtMs <= this.now()) {
      return { kind: 'rejected', expired: true };
    }
    return { kind: 'account', account, scopes: token.scopes };
  }

  /** Undefined: the repository is hidden from this one. */
  permission(identity: Identity, repository: Repository): Permission | undefined {
    if (identity.kind === 'account') {
      if (identity.account.login === repository.owner) return 'admin';
      const given = repository.collaborators[identity.account.login];
      if (given) return given;
    }
    return repository.private ? undefined : 'pull';
  }

  may(identity: Identity, repository: Repository, wanted: Permission): boolean {
    const has = this.permission(identity, repository);
    return has !== undefined && RANK[has] >= RANK[wanted];
  }

  /** True where any header or query value of the request is a token of ours, valid or not. */
  carriesToken(request: IncomingMessage, url: URL): boolean {
    const values = [...url.searchParams.values()];
    for (const [name, value] of Object.entries(request.headers)) {
      for (const text of Array.isArray(value) ? value : [value ?? '']) {
        values.push(text, ...text.split(/\s+/));
        const basic = name === 'authorization' ? readBasic(text) : undefined;
        if (basic) values.push(basic.user, basic.password);
      }
    }
    return values.some((value) => value.length >= 8 && this.state.token(value) !== undefined);
  }
}

const REJECTED: Identity = { kind: 'rejected', expired: false };

function readBasic(authorization: string | undefined): { user: string; password: string } | undefined {
  const encoded = /^Basic +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
