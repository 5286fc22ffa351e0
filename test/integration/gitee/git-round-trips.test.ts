/** What a small push costs on a distant line: round trips are counted at a proxy between gateway and local Gitee. */
import type { CommitId } from '../../../src/format/ids.js';
import type { GitHeadRemote } from '../../../src/gitee/git/git-head-remote.js';
import { landed, put } from '../../contract/head-remote.js';
import { CountingProxy } from '../../support/counting-proxy.js';
import { startGitHeadRemote } from '../../support/git-head-remote.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';

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

test('a server behind a proxy that drops Git-Protocol is read over the same connections, by one GET', async () => {
  proxy.without = /git-protocol: version=2\r\n/i;
  expect(await remote.fetch()).toBeNull();
  const first = await push(null, 'a', '1');
  proxy.reset();
  const second = await push(first, 'b', '2');
  const asked = proxy.requests.map((line) => line.replace(/ .*\//, ' '));
  const early = asked.length === 3 ? ['GET refs?service=git-upload-pack'] : [];
  expect(asked).toEqual(['POST git-receive-pack', 'GET refs?service=git-upload-pack', ...early]);
  expect(proxy.connections).toBeLessThanOrEqual(early.length);
  proxy.reset();
  expect(await remote.fetch()).toBe(second);
  expect(proxy.requests).toHaveLength(1);
  expect(proxy.connections).toBe(0);
  // By v2 again as soon as that goes through.
  proxy.without = undefined;
  expect(await remote.fetch()).toBe(second);
  proxy.reset();
  expect(await remote.fetch()).toBe(second);
  expect(proxy.requests).toEqual([expect.stringMatching(/^POST .*git-upload-pack$/)]);
});
