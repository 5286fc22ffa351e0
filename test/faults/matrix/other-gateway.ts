/**
 * A second gateway on the branch of the bucket `files`, with a state of its own: another writer. Both are asked at the
 * same time, for keys of their own and for keys that both write, and the answers of both go into one history.
 *
 * Of a key that both write the last commit wins, so what waits for Gitee is in effect between its call and its answer,
 * as within one gateway. What was put off (503) lands later, also over what the other one has acknowledged since: of
 * such nobody knows when it comes into effect, until both have landed all that they have.
 */
import * as path from 'node:path';
import { until } from '../../support/child.js';
import { TestGateway } from '../../support/gateway.js';
import { valueOf, type History, type View } from '../../support/history/history.js';
import { encodePath, WireClient } from '../../support/s3-client.js';
import { bytesOf, type S3Bucket } from '../../support/s3-bucket.js';

const SHARED_KEYS = 3;
const TURNS = 4;
const OWN_KEYS = 4;
/** In LFS. */
const LARGE_BYTES = 70_000;

export class OtherGateway {
  readonly #wire: WireClient;
  #n = 0;

  private constructor(
    private readonly gateway: TestGateway,
    private readonly bucket: S3Bucket,
  ) {
    const { endpoint, accessKeyId, secretAccessKey } = gateway;
    this.#wire = new WireClient({ endpoint, accessKeyId, secretAccessKey, region: 'us-east-1' });
  }

  /** @param config as the first one's */
  static async prepare(bucket: S3Bucket, config: Record<string, unknown>): Promise<OtherGateway> {
    const { directory, gitee } = bucket.stack;
    const gateway = await TestGateway.prepare({
      ...{ directory: path.join(directory, 'other'), gitee: { url: gitee.url, token: gitee.token }, config },
    });
    return new OtherGateway(gateway, bucket);
  }

  /** Takes requests while the first one does what is given, and is then ended. @throws Error where something is lost */
  async during(
    history: History,
    view: (wire: WireClient) => View,
    run: () => Promise<unknown>,
  ): Promise<void> {
    await this.gateway.start();
    try {
      const keys = new Set<string>();
      await Promise.all([run(), this.#ask(history, keys)]);
      await this.#allLanded();
      for (const wire of [this.bucket.wire, this.#wire]) await this.#hasFollowed(history, view(wire), keys);
    } finally {
      await this.gateway.stop();
    }
  }

  async stop(): Promise<void> {
    await this.gateway.stop();
  }

  async #ask(history: History, keys: Set<string>): Promise<void> {
    this.#n += 1;
    const both = [this.bucket.wire, this.#wire] as const;
    const put = (wire: WireClient, key: string, body: Buffer, concern: 'local' | 'remote') => {
      keys.add(key);
      return history.write(key, valueOf(body), concern, async () => {
        const status = await wire.send({ method: 'PUT', path: `/files/${encodePath(key)}`, body }).then(
          (answer) => answer.status,
          () => undefined,
        );
        return status === 200 ? 'ok' : 'no answer';
      });
    };
    const turns = async (key: string, first: 0 | 1) => {
      for (let turn = 0; turn < TURNS; turn += 1)
        await put(both[(first + turn) % 2]!, key, Buffer.from(`${key} turn ${turn}`), 'remote');
    };
    const shared = Array.from({ length: SHARED_KEYS }, (_, i) => `now/both/${this.#n}/${i}`);
    await Promise.all([
      // In turn, and both beginning at once.
      ...shared.map((key) => turns(key, 0)),
      ...shared.slice(1).map((key) => turns(key, 1)),
      ...Array.from({ length: OWN_KEYS }, (_, i) => {
        const key = `${i % 2 === 0 ? 'now' : 'here'}/other/${this.#n}/${i}`;
        return put(this.#wire, key, bytesOf(LARGE_BYTES, key), i % 2 === 0 ? 'remote' : 'local');
      }),
    ]);
  }

  /** What was put off is in effect from now on, or never. */
  async #allLanded(): Promise<void> {
    await until('both have landed all that they have', async () => {
      const pending = await Promise.all(
        [this.bucket.stack.gateway, this.gateway].map((each) =>
          each.metric('gateway_journal_pending_changes', { bucket: 'files' }),
        ),
      );
      return pending.every((count) => count === 0);
    });
  }

  /** A gateway reads what others have written once it has looked at the branch. */
  async #hasFollowed(history: History, view: View, keys: ReadonlySet<string>): Promise<void> {
    history.serverEnded();
    let wrong: string[] = [];
    await until('it shows what is on Gitee', async () => {
      const shown = await Promise.all([...keys].map(async (key) => [key, await view(key)] as const));
      wrong = shown.flatMap(([key, value]) => {
        const possible = history.possible(key);
        return possible.includes(value) ? [] : `${key}: ${value}, and not ${possible.join(' or ')}`;
      });
      return wrong.length === 0;
    }).catch((error: unknown) => {
      throw new Error(`not for long: ${wrong.join('\n')}`, { cause: error });
    });
    const problems = await history.problems(view, 'local', keys);
    if (problems.length > 0) throw new Error(problems.join('\n'));
  }
}
