/** Speaks to a running gateway over its control socket. */
import { request, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { isNotFound, systemCode } from '../disk/failures.js';
import type { AccountAdmin } from '../auth/accounts/account-admin.js';
import type { AcceptPreview } from '../journal/accept-preview.js';
import { controlSocketPath, type SocketPath } from '../server/control-socket.js';
import type { GatewayStatus } from '../server/control-server.js';
import type { FsckOptions, FsckStep, ProbeResult } from '../server/gateway.js';
import type { NotificationAdmin } from '../notifications/notifier.js';
import type { QuarantineAdmin } from '../server/quarantine.js';
import { ControlAccounts } from './control-accounts.js';
import { ControlNotifications } from './control-notifications.js';
import { ControlQuarantine } from './control-quarantine.js';
import type { Operations } from './operations.js';

/** The gateway answered that a command failed; the message is its own. */
class ControlError extends Error {
  override readonly name = 'ControlError';
}

/** Operations of a gateway that runs. */
export class ControlClient implements Operations {
  private constructor(private readonly socket: SocketPath) {}

  /** undefined where no gateway listens on this directory. */
  static async connect(stateDir: string): Promise<ControlClient | undefined> {
    let socket: SocketPath;
    try {
      socket = await controlSocketPath(stateDir);
    } catch (error) {
      if (isNobodyThere(error)) return undefined;
      throw error;
    }
    const client = new ControlClient(socket);
    try {
      await client.status();
      return client;
    } catch (error) {
      await socket.release();
      if (isNobodyThere(error)) return undefined;
      throw error;
    }
  }

  status(): Promise<GatewayStatus> {
    return this.#json('GET', '/v1/status');
  }

  doctor(): Promise<ProbeResult[]> {
    return this.#json('POST', '/v1/doctor', {});
  }

  fsck(options: FsckOptions): AsyncIterable<FsckStep> {
    return this.#lines('/v1/fsck', options);
  }

  quarantine(): QuarantineAdmin {
    return new ControlQuarantine({
      json: (path, body) => this.#json('POST', path, body),
      lines: (path, body) => this.#lines(path, body),
      send: (path, body) => this.#send('POST', path, body),
    });
  }

  rebuild(bucket: string): Promise<{ keys: number; seconds: number; head: string | null }> {
    return this.#json('POST', '/v1/rebuild', { bucket });
  }

  acceptRemote(bucket: string): Promise<{ previousHead: string | null; head: string | null }> {
    return this.#json('POST', '/v1/accept-remote', { bucket });
  }

  previewAccept(bucket: string): Promise<AcceptPreview> {
    return this.#json('POST', '/v1/accept-remote/preview', { bucket });
  }

  notifications(): NotificationAdmin {
    return new ControlNotifications((method, path, body) => this.#json(method, path, body));
  }

  accounts(): AccountAdmin {
    return new ControlAccounts((method, path, body) => this.#json(method, path, body));
  }

  close(): Promise<void> {
    return this.socket.release();
  }

  async *#lines<T>(path: string, body: unknown): AsyncGenerator<T> {
    const response = await this.#send('POST', path, body);
    for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
      if (line === '') continue;
      const item = JSON.parse(line) as object;
      if ('error' in item) throw new ControlError(String(item.error));
      yield item as T;
    }
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    return JSON.parse(await text(await this.#send(method, path, body))) as T;
  }

  async #send(method: string, path: string, body?: unknown): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(
        {
          socketPath: this.socket.path,
          method,
          path,
          headers: payload === undefined ? {} : { 'content-type': 'application/json' },
        },
        resolve,
      );
      sent.on('error', reject);
      sent.end(payload);
    });
    if (response.statusCode === 200) return response;
    throw new ControlError(errorText(await text(response), response.statusCode));
  }
}

function errorText(body: string, status: number | undefined): string {
  try {
    return (JSON.parse(body) as { error: string }).error;
  } catch {
    // Not JSON: then the status is all there is to say.
    return `the gateway answered the command with status ${status ?? 'none'}`;
  }
}

/** No socket, or one that a killed gateway left behind. */
function isNobodyThere(error: unknown): boolean {
  const code = systemCode(error);
  return isNotFound(error) || code === 'ECONNREFUSED' || code === 'ENOTDIR';
}
