/** The real router on a real socket, over objects in memory. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, type Clock } from '../../src/async/clock.js';
import { silentLog, type Log } from '../../src/async/log.js';
import { silentMetrics, type Metrics } from '../../src/async/metrics.js';
import type { ObjectsApi } from '../../src/objects/api.js';
import { createS3App, prepareS3Server, type S3AppDeps } from '../../src/s3/endpoint.js';
import type { CredentialStore } from '../../src/s3/sigv4/credentials.js';
import { MemoryObjects } from './memory-objects.js';
import { WireClient, type S3Target } from './s3-client.js';

export const ACCESS_KEY = 'AKIDEXAMPLE';
export const SECRET_KEY = 'a/secret+with=signs';
const READER_KEY = 'AKIDREADER';
const READER_SECRET = 'reader-secret';

/** One key that may write `images` and read `shared`, one that may read `images`. */
const testCredentials: CredentialStore = {
  find: (accessKeyId) => {
    if (accessKeyId === ACCESS_KEY)
      return {
        secret: SECRET_KEY,
        rights: (bucket) => (bucket === 'shared' ? 'read' : bucket === 'secret' ? 'none' : 'write'),
      };
    if (accessKeyId === READER_KEY)
      return { secret: READER_SECRET, rights: (bucket) => (bucket === 'images' ? 'read' : 'none') };
    return undefined;
  },
};

export interface TestApp<O extends ObjectsApi = MemoryObjects> {
  readonly objects: O;
  readonly server: http.Server;
  readonly endpoint: string;
  readonly port: number;
  readonly target: S3Target;
  readonly client: WireClient;
  readonly reader: WireClient;
  close(): Promise<void>;
}

type TestAppOptions = Partial<
  Pick<S3AppDeps, 'domain' | 'bodyIdleTimeoutMs' | 'answerIdleTimeoutMs' | 'drain' | 'settings' | 'onAccess'>
> & {
  clock?: Clock;
  log?: Log;
  metrics?: Metrics;
  region?: string;
};

/** Over objects in memory, of which parts may be short. */
export function startTestApp(options: TestAppOptions & { objects?: MemoryObjects } = {}): Promise<TestApp> {
  const { clock = systemClock } = options;
  const objects = options.objects ?? new MemoryObjects(['images', 'shared', 'secret'], () => clock.nowMs());
  objects.partMinBytes = 0;
  return startAppOver(objects, options);
}

export async function startAppOver<O extends ObjectsApi>(
  objects: O,
  options: TestAppOptions = {},
): Promise<TestApp<O>> {
  const { clock = systemClock, log = silentLog, metrics = silentMetrics, region = 'us-east-1' } = options;
  const { domain, bodyIdleTimeoutMs, answerIdleTimeoutMs, drain, settings, onAccess } = options;
  const app = createS3App({
    objects,
    credentials: testCredentials,
    region,
    log,
    metrics,
    clock,
    ...(settings === undefined ? {} : { settings }),
    ...(onAccess === undefined ? {} : { onAccess }),
    ...(domain === undefined ? {} : { domain }),
    ...(bodyIdleTimeoutMs === undefined ? {} : { bodyIdleTimeoutMs }),
    ...(answerIdleTimeoutMs === undefined ? {} : { answerIdleTimeoutMs }),
    ...(drain === undefined ? {} : { drain }),
  });
  const server = http.createServer(app);
  prepareS3Server(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}`;
  const target = { endpoint, region, accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
  return {
    objects,
    server,
    endpoint,
    port,
    target,
    client: new WireClient(target),
    reader: new WireClient({ ...target, accessKeyId: READER_KEY, secretAccessKey: READER_SECRET }),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
