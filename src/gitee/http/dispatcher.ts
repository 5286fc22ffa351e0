import type { Socket } from 'node:net';
import { Agent, buildConnector, EnvHttpProxyAgent, Pool, type Dispatcher } from 'undici';

export interface DispatcherOptions {
  readonly connectTimeoutMs: number;
  /** Certificates to trust beside the built-in ones are not added but replace them, as in Node's `ca`. */
  readonly caPem?: string;
  /** `http_proxy`, `https_proxy` and `no_proxy`, in either case. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told of each connection, and of each way through a proxy that speaks HTTP; not of those through SOCKS. */
  readonly onSocket?: (socket: Socket) => void;
}

/**
 * Where a server does not say how long it keeps an idle connection: below the 60 to 75 s that Nginx and load balancers
 * have by default. With undici's 4 s every other push paid for TCP and TLS again.
 */
const IDLE_MS = 45_000;

/** Connections to Gitee: through the proxy that the environment names, straight where it names none. */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { env } = options;
  const connect = {
    timeout: options.connectTimeoutMs,
    ...(options.caPem === undefined ? {} : { ca: options.caPem }),
  };
  // The watch of each call has the deadlines; undici's own would end a body that our reader takes slowly.
  const common = {
    ...{ connect, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: IDLE_MS },
    factory: watchedPools(options.onSocket),
  };
  const httpProxy = env['http_proxy'] ?? env['HTTP_PROXY'] ?? '';
  const httpsProxy = env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '';
  if (httpProxy === '' && httpsProxy === '') return new Agent(common);
  return new EnvHttpProxyAgent({
    ...common,
    // To the proxy, and through it to the host behind.
    proxyTls: { timeout: options.connectTimeoutMs },
    requestTls: connect,
    httpProxy,
    httpsProxy,
    noProxy: env['no_proxy'] ?? env['NO_PROXY'] ?? '',
  });
}

/**
 * A pool for each host, as undici makes it, that tells of its connections. Where the host is behind a proxy the agent
 * gives a connector that goes through it: what comes out is one connection of ours, to the proxy.
 */
function watchedPools(onSocket: ((socket: Socket) => void) | undefined) {
  return (origin: string | URL, { connect, ...options }: Pool.Options): Dispatcher => {
    const connector = typeof connect === 'function' ? connect : buildConnector(connect ?? {});
    return new Pool(origin, { ...options, connect: watchedConnector(connector, onSocket) });
  };
}

function watchedConnector(
  connector: buildConnector.connector,
  onSocket: ((socket: Socket) => void) | undefined,
): buildConnector.connector {
  if (!onSocket) return connector;
  return (options, callback) =>
    connector(options, (...[error, socket]) => {
      if (error) callback(error, null);
      else {
        onSocket(socket);
        callback(null, socket);
      }
    });
}
