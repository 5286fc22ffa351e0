import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Access } from './access.js';
import { AdminApi } from './admin.js';
import { ApiV5 } from './api/api.js';
import { RateLimit } from './api/rate-limit.js';
import type { Config } from './config.js';
import { Exchange, HttpFault } from './exchange.js';
import { Faults } from './faults.js';
import { BareRepositories } from './git/bare-repositories.js';
import { GitHttp } from './git/git-http.js';
import { LaggingCopies } from './git/lagging-copies.js';
import { LfsApi } from './lfs/api.js';
import { LfsDataServer } from './lfs/data-server.js';
import { Forgotten } from './lfs/forgotten.js';
import { Links } from './lfs/links.js';
import { ObjectFiles } from './lfs/object-files.js';
import { Oauth } from './oauth.js';
import { State } from './state.js';
import { Statistics } from './statistics.js';
import { Webhooks } from './webhooks.js';

export interface ServerOptions {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  readonly lfsPort: number;
  /** How clients reach us, where that is not host and port. */
  readonly publicUrl: string | undefined;
  readonly lfsPublicUrl: string | undefined;
  readonly adminToken: string | undefined;
  readonly config: Config;
  /** Told of errors of ours; what clients do wrong is no error. */
  readonly onError: (error: unknown) => void;
}

export interface RunningServer {
  readonly url: string;
  readonly lfsUrl: string;
  /** Ends every connection and waits for what is still being written. */
  stop(): Promise<void>;
}

const GIT = /^\/([\w.-]+)\/([\w.-]+?)(?:\.git)?\/(info\/refs|git-upload-pack|git-receive-pack)$/;
const LFS = /^\/([\w.-]+)\/([\w.-]+?)(?:\.git)?\/info\/lfs\/(objects\/batch|verify|locks|locks\/verify)$/;
const LFS_TYPE = 'application/vnd.git-lfs+json';

/** Builds and starts everything: web, git, LFS API and API v5 on one port, LFS data on the other. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, dataDir } = options;
  const now = () => Date.now();
  const state = await State.open(dataDir);
  await state.seed(config);
  const repositories = new BareRepositories(dataDir);
  for (const repository of state.repositories) await repositories.ensure(repository);
  const files = new ObjectFiles(dataDir);
  await files.prepare();

  let url = '';
  let lfsUrl = '';
  const stopping = new AbortController();
  const background = new Set<Promise<void>>();
  const access = new Access(state, now);
  const faults = new Faults();
  const statistics = new Statistics();
  const links = new Links(state.linkSecret);
  const forgotten = new Forgotten();
  const webhooks = new Webhooks(state, repositories, {
    url: () => url,
    timeoutMs: 5_000,
    now,
    signal: stopping.signal,
  });
  const gitHttp = new GitHttp(
    state,
    access,
    repositories,
    new LaggingCopies(dataDir, repositories, now),
    faults,
    statistics,
    { publicUrl: () => url, pushBodyMaxBytes: config.pushBodyMb * 1024 * 1024, now },
    (repository, moved, identity) => {
      const delivery = webhooks.pushed(repository, moved, identity).catch(options.onError);
      background.add(delivery);
      void delivery.finally(() => background.delete(delivery));
    },
  );
  await gitHttp.prepare();
  const lfsApi = new LfsApi(state, access, files, links, faults, statistics, forgotten, {
    url: () => url,
    lfsUrl: () => lfsUrl,
    linkSeconds: config.linkSeconds,
    now,
  });
  const lfsData = new LfsDataServer(state, access, files, links, faults, statistics, forgotten, now);
  const api = new ApiV5(
    state,
    access,
    repositories,
    faults,
    statistics,
    new RateLimit(config.rateLimit, now),
    () => url,
    webhooks,
  );
  const oauth = new Oauth(state, config.oauthClients, now);
  const adminToken = options.adminToken ?? config.adminToken ?? state.adminToken;
  const admin = new AdminApi(state, repositories, files, faults, statistics, { adminToken, now });

  const route = async (exchange: Exchange): Promise<void> => {
    const { pathname } = exchange.url;
    const git = GIT.exec(pathname);
    if (git) return withTextErrors(exchange, () => gitHttp.handle(exchange, git[1]!, git[2]!, git[3]!));
    const lfs = LFS.exec(pathname);
    if (lfs)
      return withJsonErrors(exchange, LFS_TYPE, () => lfsApi.handle(exchange, lfs[1]!, lfs[2]!, lfs[3]!));
    if (pathname.startsWith('/api/v5/'))
      return withJsonErrors(exchange, 'application/json', () => api.handle(exchange));
    if (pathname.startsWith('/oauth/')) return withTextErrors(exchange, () => oauth.handle(exchange));
    if (pathname.startsWith('/_local/'))
      return withJsonErrors(exchange, 'application/json', () => admin.handle(exchange));
    if (pathname === '/')
      return exchange.html(200, '<!DOCTYPE html><html><body><h1>Local Gitee</h1></body></html>');
    exchange.text(404, 'Not Found');
  };
  const web = serve(route, options.onError);
  const data = serve((x) => withTextErrors(x, () => lfsData.handle(x)), options.onError);
  await listen(data, options.lfsPort, options.host);
  await listen(web, options.port, options.host);
  url = withoutSlash(options.publicUrl) ?? address(web, options.host);
  lfsUrl = withoutSlash(options.lfsPublicUrl) ?? address(data, options.host);

  return {
    url,
    lfsUrl,
    stop: async () => {
      stopping.abort();
      await Promise.all([close(web), close(data)]);
      await Promise.all(background);
      await state.save();
    },
  };
}

function serve(
  handle: (exchange: Exchange) => Promise<void>,
  onError: (error: unknown) => void,
): http.Server {
  const server = http.createServer((request, response) => {
    const exchange = new Exchange(request, response);
    // A client that goes away is not news; an error without listener would end the process.
    request.on('error', () => {});
    response.on('error', () => {});
    handle(exchange).catch((error: unknown) => {
      onError(error);
      if (response.headersSent) exchange.cut();
      else exchange.text(500, 'Internal Server Error');
    });
  });
  // A push may take long, and the faults hold connections on purpose: only heads have a deadline.
  server.requestTimeout = 0;
  server.headersTimeout = 60_000;
  server.keepAliveTimeout = 30_000;
  return server;
}

async function withTextErrors(exchange: Exchange, handle: () => Promise<void>): Promise<void> {
  try {
    await handle();
  } catch (error) {
    if (!(error instanceof HttpFault)) throw error;
    exchange.text(error.status, `${error.message}\n`, error.headers);
  }
}

async function withJsonErrors(exchange: Exchange, type: string, handle: () => Promise<void>): Promise<void> {
  try {
    await handle();
  } catch (error) {
    if (!(error instanceof HttpFault)) throw error;
    exchange.json(error.status, { message: error.message }, { 'Content-Type': type, ...error.headers });
  }
}

function listen(server: http.Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function close(server: http.Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function address(server: http.Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function withoutSlash(url: string | undefined): string | undefined {
  return url?.replace(/\/+$/, '');
}
