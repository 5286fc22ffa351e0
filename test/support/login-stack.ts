import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { makeAuthFiles } from './auth-files.js';
import { freePort } from './child.js';
import { TestGateway } from './gateway.js';
import { startLocalGitee, type RunningLocalGitee } from './local-gitee.js';

/**
 * Local Gitee and a gateway with the token service and the login page. Accounts with passwords: `zhang` may push to
 * acme/images, `stranger` may read nothing.
 */
export interface LoginStack {
  readonly directory: string;
  readonly gitee: RunningLocalGitee;
  readonly gateway: TestGateway;
  /** Of the login page and of /token, as people reach them. */
  readonly publicUrl: string;
  readonly clientSecret: string;
  readonly passwordOf: Readonly<Record<'zhang' | 'stranger', string>>;
  close(): Promise<void>;
}

export async function startLoginStack(): Promise<LoginStack> {
  const directory = await mkdtemp(path.join(tmpdir(), 'login-'));
  const webPort = await freePort();
  const publicUrl = `http://127.0.0.1:${webPort}`;
  const [token, zhang, stranger, clientSecret] = [16, 12, 12, 24].map((n) =>
    randomBytes(n).toString('hex'),
  ) as [string, string, string, string];
  const gitee = await startLocalGitee({
    config: {
      accounts: [
        { login: 'gateway', tokens: [{ token, scopes: ['user_info', 'projects'] }] },
        { login: 'zhang', name: '张三', password: zhang },
        { login: 'stranger', name: 'A Stranger', password: stranger },
      ],
      oauthClients: [
        { id: 'the-gateway', secret: clientSecret, redirectUris: [`${publicUrl}/auth/callback`] },
      ],
    },
    repository: { collaborators: { gateway: 'push', zhang: 'push' } },
  });
  const { config } = await makeAuthFiles(directory, {
    public_url: publicUrl,
    oauth: { client_id: 'the-gateway', client_secret: clientSecret, pkce: true },
  });
  const gateway = await TestGateway.start({
    directory: path.join(directory, 'gateway'),
    gitee: { url: gitee.url, token },
    config: { ...config, web: { host: '127.0.0.1', port: webPort } },
  });
  return {
    ...{ directory, gitee, gateway, publicUrl, clientSecret, passwordOf: { zhang, stranger } },
    close: async () => {
      await gateway.stop();
      await gitee.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
