/** Speaks to a running gateway over its control socket. */
import { request, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { withDeadline } from '../async/deadline.js';
import { isNotFound, systemCode } from '../disk/failures.js';
import { controlSocketPath, type SocketPath } from '../server/control-socket.js';
import { CALLS, operationsBy, type Call, type Operations } from '../server/operator-calls.js';

/** The gateway answered that a command failed; the message is its own. */
class ControlError extends Error {
  override readonly name = 'ControlError';
}

/** A gateway that stands still for as long ends itself (docs/operations.md); one that is only slow has answered. */
const FIRST_ANSWER_MS = 30_000;

/** A connection to a gateway that runs. */
export class ControlClient {
  readonly operations: Operations = operationsBy((call, request) => this.#run(call, request));

  private constructor(private readonly socket: SocketPath) {}

  /**
   * undefined where no gateway listens on this directory.
   * @throws ControlError where one does, and does not say how it is within the time
   */
  static async connect(
    stateDir: string,
    firstAnswerMs = FIRST_ANSWER_MS,
  ): Promise<ControlClient | undefined> {
    let socket: SocketPath;
    try {
      socket = await controlSocketPath(stateDir);
    } catch (error) {
      if (isNobodyThere(error)) return undefined;
      throw error;
    }
    const client = new ControlClient(socket);
    try {
      await withDeadline(
        firstAnswerMs,
        undefined,
        async (signal) => text(await client.#send(CALLS.status, undefined, signal)),
        () => standsStill(stateDir, firstAnswerMs),
      );
      return client;
    } catch (error) {
      await socket.release();
      if (isNobodyThere(error)) return undefined;
      throw error;
    }
  }

  close(): Promise<void> {
    return this.socket.release();
  }

  #run(call: Call, request: unknown): unknown {
    if (call.kind === 'lines') return this.#lines(call, request);
    const answer = this.#send(call, request);
    return call.kind === 'bytes'
      ? answer
      : answer.then(async (body) => JSON.parse(await text(body)) as unknown);
  }

  async *#lines(call: Call, request: unknown): AsyncGenerator<unknown> {
    const response = await this.#send(call, request);
    for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
      if (line === '') continue;
      const item = JSON.parse(line) as object;
      if ('error' in item) throw new ControlError(String(item.error));
      yield item;
    }
  }

  async #send({ method, path }: Call, body: unknown, signal?: AbortSignal): Promise<IncomingMessage> {
    const payload = method === 'GET' ? undefined : JSON.stringify(body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(
        {
          socketPath: this.socket.path,
          method,
          path,
          ...(signal ? { signal } : {}),
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

function standsStill(stateDir: string, forMs: number): Error {
  return new ControlError(
    `the gateway of ${stateDir} runs, but has not answered for ${forMs / 1000} s: it stands still, or the machine is ` +
      'very busy. Ask again in a minute: one that stands still ends itself and is started again. If this one does not, ' +
      'kill its process with -9; nothing that was acknowledged is lost by that',
  );
}

/** No socket, or one that a killed gateway left behind. */
function isNobodyThere(error: unknown): boolean {
  const code = systemCode(error);
  return isNotFound(error) || code === 'ECONNREFUSED' || code === 'ENOTDIR';
}
