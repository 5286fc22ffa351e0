import { randomBytes } from 'node:crypto';
import { appendFile, cp, mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { makeAuthFiles } from '../../support/auth-files.js';
import { freePort } from '../../support/child.js';
import { TestGateway } from '../../support/gateway.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { makeCertificate, TestNginx } from '../../support/nginx.js';
import { ShippedRegistry } from '../../support/shipped-registry.js';
import { ADDRESS, NAME } from './own-namespaces.js';

/** What stands behind a client: Nginx with TLS and the registry as they are shipped, the gateway, local Gitee. */
export interface ClientStack {
  readonly gitee: RunningLocalGitee;
  readonly gateway: TestGateway;
  readonly registry: ShippedRegistry;
  readonly nginx: TestNginx;
  readonly certificateFile: string;
  /** Of the account that pushes, at Gitee. */
  readonly user: { readonly name: string; token: string };
  gatewayToken: string;
  /** Another token for the account that pushes, at Gitee; the clients have to log in again. */
  newUserToken(): Promise<void>;
  /** Another token for the gateway, at Gitee and in its file. */
  newGatewayToken(): Promise<void>;
  /** So that Docker knows the certificate at one more port. */
  trust(port: number): Promise<void>;
  close(): Promise<void>;
}

export async function startClientStack(directory: string): Promise<ClientStack> {
  const random = () => randomBytes(16).toString('hex');
  const tokens = { gateway: random(), zhang: random() };
  const nginx = await TestNginx.prepare({ directory: path.join(directory, 'nginx'), registryName: NAME });
  const publicUrl = `https://${nginx.registry}`;
  const webPort = await freePort();
  const gitee = await startLocalGitee({
    config: {
      accounts: Object.entries(tokens).map(([login, token]) => ({
        login,
        tokens: [{ token, scopes: ['user_info', 'projects'] }],
      })),
    },
    repository: { collaborators: { gateway: 'push', zhang: 'push' } },
  });
  const { config, certificateFile: tokenCertificate } = await makeAuthFiles(directory, {
    public_url: publicUrl,
  });
  const gateway = await TestGateway.start({
    directory: path.join(directory, 'gateway'),
    gitee: { url: gitee.url, token: tokens.gateway },
    config: { ...config, web: { host: '127.0.0.1', port: webPort } },
  });
  const registry = await ShippedRegistry.start({
    directory: path.join(directory, 'registry'),
    variant: 'config.token.yml',
    s3Endpoint: `http://127.0.0.1:${nginx.ports.s3}`,
    accessKeyId: gateway.accessKeyId,
    secretAccessKey: gateway.secretAccessKey,
    httpSecret: random(),
    env: {
      REGISTRY_AUTH_TOKEN_REALM: `${publicUrl}/token`,
      REGISTRY_AUTH_TOKEN_SERVICE: 'registry',
      REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: tokenCertificate,
    },
  });
  await makeCertificate(nginx.tlsDirectory, 'registry', [`DNS:${NAME}`]);
  const listen = `listen ${ADDRESS}:${nginx.ports.tls} ssl http2;\n`;
  await appendFile(path.join(nginx.directory, 'snippets', 'tls.conf'), listen);
  await nginx.setUpstreams({
    registries: [registry.address],
    gatewayS3: new URL(gateway.endpoint).host,
    gatewayWeb: `127.0.0.1:${webPort}`,
  });
  await nginx.start();
  const trust = async (port: number) => {
    await mkdir(`/etc/docker/certs.d/${NAME}:${port}`, { recursive: true });
    await cp(nginx.certificateFile, `/etc/docker/certs.d/${NAME}:${port}/ca.crt`);
  };
  await trust(nginx.ports.tls);
  const scopes = ['user_info', 'projects'];
  const stack: ClientStack = {
    ...{ gitee, gateway, registry, nginx, trust },
    certificateFile: nginx.certificateFile,
    user: { name: 'zhang', token: tokens.zhang },
    gatewayToken: tokens.gateway,
    newUserToken: async () => {
      stack.user.token = random();
      await gitee.admin('tokens', { add: { login: stack.user.name, token: stack.user.token, scopes } });
    },
    newGatewayToken: async () => {
      stack.gatewayToken = random();
      await gitee.admin('tokens', { add: { login: 'gateway', token: stack.gatewayToken, scopes } });
      await writeFile(gateway.tokenFile, `${stack.gatewayToken}\n`, { mode: 0o600 });
    },
    close: async () => {
      await nginx.stop();
      await registry.stop();
      await gateway.stop();
      await gitee.stop();
    },
  };
  return stack;
}
