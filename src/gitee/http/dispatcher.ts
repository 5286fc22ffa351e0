import type { Socket } from 'node:net';
import { Agent, buildConnector, EnvHttpProxyAgent, type Dispatcher } from 'undici';

export interface DispatcherOptions {
  readonly connectTimeoutMs: number;
  /** Certificates to trust beside the built-in ones are not added but replace them, as in Node's `ca`. */
  readonly caPem?: string;
  /** `http_proxy`, `https_proxy` and `no_proxy`, in either case. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told of each connection; not of those through a proxy. */
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
  const common = { connect, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: IDLE_MS };
  const httpProxy = env['http_proxy'] ?? env['HTTP_PROXY'] ?? '';
  const httpsProxy = env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '';
  if (httpProxy === '' && httpsProxy === '')
    return new Agent({ ...common, connect: watchedConnector(connect, options.onSocket) });
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

function watchedConnector(
  connect: buildConnector.BuildOptions,
  onSocket: ((socket: Socket) => void) | undefined,
): buildConnector.connector {
  const connector = buildConnector(connect);
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
