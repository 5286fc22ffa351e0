/** What a small push costs on a distant line: round trips are counted at a proxy between gateway and local Gitee. */
import { createServer, connect, type AddressInfo, type Server } from 'node:net';
import type { CommitId } from '../../../src/format/ids.js';
import type { GitHeadRemote } from '../../../src/gitee/git/git-head-remote.js';
import { landed, put } from '../../contract/head-remote.js';
import { startGitHeadRemote } from '../../support/git-head-remote.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';

/** Hands bytes on and counts connections and requests. */
class CountingProxy {
  connections = 0;
  readonly requests: string[] = [];
  /** Removes this header from what the client sends. */
  without: RegExp | undefined;
  readonly #server: Server;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      this.connections += 1;
      const upstream = connect(targetPort, '127.0.0.1');
      client.on('data', (bytes) => {
        for (const match of bytes.toString('latin1').matchAll(/^(?:GET|POST) \S+/gm))
          this.requests.push(match[0]);
        const text = bytes.toString('latin1');
        upstream.write(this.without ? Buffer.from(text.replace(this.without, ''), 'latin1') : bytes);
      });
      upstream.on('data', (bytes) => client.write(bytes));
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        one.on('end', () => other.end());
        one.on('close', () => other.destroy());
        one.on('error', () => other.destroy());
      }
    });
  }

  static async start(targetPort: number): Promise<CountingProxy> {
    const proxy = new CountingProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  reset(): void {
    this.connections = 0;
    this.requests.length = 0;
  }

  close(): void {
    this.#server.close();
  }
}

let gitee: RunningLocalGitee;
let proxy: CountingProxy;
let remote: GitHeadRemote;
let remove: () => Promise<void>;
beforeAll(async () => {
  gitee = await startLocalGitee();
});
afterAll(() => gitee.stop());
let made = 0;
beforeEach(async () => {
  made += 1;
  const name = `trips-${made}`;
  await gitee.admin('repositories', {
    owner: 'acme',
    name,
    enterprise: true,
    collaborators: { gateway: 'push' },
  });
  proxy = await CountingProxy.start(Number(new URL(gitee.url).port));
  ({ remote, remove } = await startGitHeadRemote(`${proxy.url}/acme/${name}.git`, {
    branch: 'master',
    token: { current: () => gitee.token, reload: async () => false },
  }));
});
afterEach(async () => {
  await remove();
  proxy.close();
});

const push = async (head: CommitId | null, path: string, content: string) =>
  landed(await remote.push({ expectedHead: head, edits: [put(path, content)], subject: 's', trailers: [] }));

test('a push on a warm connection is one POST, and one for the look at the branch; no connection is made', async () => {
  await remote.fetch();
  const first = await push(null, 'a/b', '1');
  proxy.reset();
  const second = await push(first, 'a/c', '2');
  const asked = proxy.requests.map((line) => line.replace(/ .*\//, ' '));
  // On a busy machine the first look may have taken as long as far away; then one may be tried before the report, over
  // a connection of its own, and come too soon (early-look.ts).
  const early = asked.length === 3 ? ['POST git-upload-pack'] : [];
  expect(asked).toEqual(['POST git-receive-pack', 'POST git-upload-pack', ...early]);
  expect(proxy.connections).toBeLessThanOrEqual(early.length);
  proxy.reset();
  expect(await remote.fetch()).toBe(second);
  expect(proxy.requests).toHaveLength(1);
  expect(proxy.connections).toBe(0);
});

test('a server behind a proxy that drops Git-Protocol is read with the git program, and pushed to as ever', async () => {
  proxy.without = /git-protocol: version=2\r\n/i;
  expect(await remote.fetch()).toBeNull();
  const head = await push(null, 'a', '1');
  proxy.reset();
  expect(await remote.fetch()).toBe(head);
  // It does not ask every time what it knows already.
  expect(proxy.requests.filter((line) => line.startsWith('POST'))).toEqual([]);
});
