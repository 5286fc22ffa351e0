import { readFile } from 'node:fs/promises';
import { GiteeApi } from '../gitee/api/gitee-api.js';
import { RemoteError } from '../gitee/errors.js';
import { HttpClient } from '../gitee/http/client.js';
import { createDispatcher } from '../gitee/http/dispatcher.js';
import { onItsWayBytes, SendQueues, waitingBytes } from '../gitee/http/send-queues.js';
import { StandingConnections } from '../gitee/http/standing.js';
import type { KernelQueue } from '../line/uplink.js';
import type { Config } from './config/config.js';
import type { GatewayParts } from './gateway.js';
import { SecretTokenSource } from './secret-token.js';

/** The ways to Gitee that all buckets share: connections, token, API. */
export class GiteeClient {
  /** Of repositories, by owner/name. */
  readonly #ids = new Map<string, number>();
  readonly #standing = new StandingConnections();

  private constructor(
    readonly http: HttpClient,
    readonly token: SecretTokenSource,
    readonly api: GiteeApi,
    /** Of API and LFS batch calls. */
    readonly apiTimeouts: { readonly idleMs: number; readonly totalMs: number },
    /** Of the connections of `http`. */
    private readonly sendQueues: SendQueues,
  ) {}

  /** Asks Gitee nothing. Rejects where gitee.ca_file cannot be read. */
  static async open(config: Config, parts: GatewayParts, version: string): Promise<GiteeClient> {
    const { url, token: secret, caFile, timeouts } = config.gitee;
    const caPem = caFile === undefined ? undefined : await readFile(caFile, 'utf8');
    const apiTimeouts = { idleMs: timeouts.idleMs, totalMs: timeouts.apiMs };
    const sendQueues = new SendQueues();
    const http = new HttpClient({
      dispatcher: createDispatcher({
        connectTimeoutMs: timeouts.connectMs,
        env: process.env,
        onSocket: (socket) => sendQueues.add(socket),
        ...(caPem === undefined ? {} : { caPem }),
      }),
      userAgent: `gitee-s3/${version}`,
      timeouts: apiTimeouts,
    });
    if (secret === undefined)
      throw new Error('gitee.token is not set: the configuration check lets none pass');
    const token = new SecretTokenSource(secret, parts.redactor);
    const { clock, log, metrics } = parts;
    const api = new GiteeApi({
      ...{ http, giteeUrl: url, token, clock, log, metrics },
      timeouts: apiTimeouts,
    });
    return new GiteeClient(http, token, api, apiTimeouts, sendQueues);
  }

  /**
   * Numeric id of a repository, to which state is bound: names can be given away and reused. Asked once in the life of
   * the process, as each of its buckets does: another one in the same repository is made while API v5 is away.
   * @throws RemoteError.
   */
  async repositoryId(repository: string): Promise<number> {
    const known = this.#ids.get(repository);
    if (known !== undefined) return known;
    const [owner, name] = repository.split('/');
    if (!owner || !name) throw new RemoteError('repository-missing', `${repository} is not owner/name`);
    const { id } = await this.api.repository(owner, name);
    this.#ids.set(repository, id);
    return id;
  }

  /**
   * What the kernel still has of the bytes handed to each connection; undefined where it doesn't say. Closes those that
   * stand still while others move: it is asked while anything is under way, and only then.
   */
  async kernelQueues(): Promise<readonly KernelQueue[] | undefined> {
    const connections = await this.sendQueues.look();
    return (
      connections &&
      this.#standing.closeAmong(connections).map((connection) => ({
        bytes: waitingBytes(connection),
        onItsWayBytes: onItsWayBytes(connection),
      }))
    );
  }

  close(): Promise<void> {
    return this.http.close();
  }
}
