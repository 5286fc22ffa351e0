import type { RequestHandler } from 'express';
import type { Audit } from '../async/audit.js';
import { GiteeApiIdentity } from '../auth/gitee/gitee-identity.js';
import { LoginPage } from '../auth/page/login-page.js';
import { StoredGrants } from '../auth/gitee/oauth-grants.js';
import type { Sealer } from '../auth/sealer.js';
import { GiteeOAuth } from '../gitee/oauth.js';
import type { KeyValueStore } from '../index/key-value-store.js';
import type { AuthParts } from './auth-parts.js';
import type { Config } from './config/config.js';
import type { GatewayParts } from './gateway.js';
import type { GiteeClient } from './gitee-client.js';

export interface LoginSurroundings {
  readonly config: Config;
  readonly parts: GatewayParts;
  readonly gitee: GiteeClient;
  readonly audit: Audit;
}

/** The page /auth/, and the grants of those who signed in there. */
export class LoginParts {
  #grants: StoredGrants | undefined;

  private constructor(
    private readonly around: LoginSurroundings,
    private readonly publicUrl: string,
    private readonly oauth: GiteeOAuth,
  ) {}

  /** undefined where it is not switched on. */
  static of(around: LoginSurroundings): LoginParts | undefined {
    const { config, parts, gitee } = around;
    const { enabled, oauth, publicUrl } = config.auth;
    const { clientId, clientSecret, scope, pkce } = oauth;
    if (!enabled || clientId === undefined) return undefined;
    if (clientSecret === undefined || publicUrl === undefined)
      throw new Error('auth.oauth is not whole: the configuration check lets none pass');
    const origin = new URL(publicUrl).origin;
    const client = new GiteeOAuth({
      http: gitee.http,
      giteeUrl: config.gitee.url,
      clientId,
      clientSecret: () => clientSecret.reveal(),
      scope,
      pkce,
      redirectUri: `${origin}/auth/callback`,
      clock: parts.clock,
      metrics: parts.metrics,
    });
    return new LoginParts(around, origin, client);
  }

  /** In the store of the token service. One for it and for the page: two would refresh with the same token. */
  grants(store: KeyValueStore, sealer: Sealer): StoredGrants {
    const { audit, parts } = this.around;
    const { clock, log, metrics } = parts;
    this.#grants ??= new StoredGrants({ store, sealer, oauth: this.oauth, audit, clock, log, metrics });
    return this.#grants;
  }

  router({ store, sealer, passwords }: Pick<AuthParts, 'store' | 'sealer' | 'passwords'>): RequestHandler {
    const { config, parts, gitee, audit } = this.around;
    const { clock, log, metrics } = parts;
    const registry = config.buckets.filter(({ preset }) => preset === 'registry').slice(0, 1);
    const deciding = [...config.auth.images, ...registry].map(({ repository }) => repository);
    return new LoginPage({
      publicUrl: this.publicUrl,
      oauth: this.oauth,
      identity: new GiteeApiIdentity({ api: gitee.api, log }),
      grants: this.grants(store, sealer),
      passwords,
      repositories: [...new Set(deciding)],
      ...{ audit, clock, log, metrics },
    }).router();
  }
}
