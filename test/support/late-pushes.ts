import type { Readable } from 'node:stream';
import { RemoteError } from '../../src/gitee/errors.js';
import type { HttpAnswer } from '../../src/gitee/http/answer.js';
import { HttpClient, type HttpClientOptions, type HttpRequest } from '../../src/gitee/http/client.js';

/** A way out to Gitee on which pushes get lost, or are held up and come to the server when nobody waits for them. */
export class LatePushes extends HttpClient {
  #next: 'sent' | 'held' | 'answer lost' = 'sent';
  readonly #held: HttpRequest[] = [];
  /** Requests that the server got, by the service that they asked for. */
  readonly requests = { 'git-receive-pack': 0, 'git-upload-pack': 0 };

  constructor(options: HttpClientOptions) {
    super(options);
  }

  /** The next push is held up: its sender hears of a time-out. */
  holdNext(): void {
    this.#next = 'held';
  }

  /** The next push is applied, and its sender hears of a time-out. */
  loseNextAnswer(): void {
    this.#next = 'answer lost';
  }

  /** What was held up comes to the server. */
  async release(): Promise<void> {
    for (const request of this.#held.splice(0)) await drained(await super.send(request));
  }

  override async send(request: HttpRequest): Promise<HttpAnswer> {
    const service = /git-receive-pack|git-upload-pack/.exec(String(request.url))?.[0] as
      keyof LatePushes['requests'] | undefined;
    const isPush = service === 'git-receive-pack' && request.body instanceof Uint8Array;
    const next = this.#next;
    if (isPush && next !== 'sent') {
      this.#next = 'sent';
      const { signal: _, body, ...rest } = request;
      const late = { ...rest, body: Uint8Array.from(body as Uint8Array) };
      if (next === 'held') this.#held.push(late);
      else await drained(await super.send(late));
      throw new RemoteError('timeout', 'asked for');
    }
    if (service) this.requests[service] += 1;
    return super.send(request);
  }
}

async function drained(answer: HttpAnswer): Promise<void> {
  for await (const bytes of answer.body as Readable) void bytes;
}
