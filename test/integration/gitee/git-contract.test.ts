/**
 * GitHeadRemote on a bare repository with fsckObjects, by the real git program; and over HTTP, where reading the head
 * and pushing are our own (src/git-wire), in front of the real `git http-backend`.
 */
import { join } from 'node:path';
import { headRemoteContract } from '../../contract/head-remote.js';
import { CountingProxy } from '../../support/counting-proxy.js';
import { startGitHeadRemote } from '../../support/git-head-remote.js';
import { GitServerRepository } from '../../support/git-server-repository.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';

describe.each(['', 'images', 'deep/down'])('with the path prefix %j', (pathPrefix) => {
  headRemoteContract('GitHeadRemote', async () => {
    const server = await GitServerRepository.create();
    const { remote, remove } = await startGitHeadRemote(server.url, { pathPrefix });
    const lead = pathPrefix === '' ? '' : `${pathPrefix}/`;
    const prefixed = <T>(files: Record<string, T>) =>
      Object.fromEntries(Object.entries(files).map(([path, content]) => [`${lead}${path}`, content]));
    return {
      remote,
      foreignCommit: (files) => server.commit(prefixed(files)),
      rewriteHistory: (files) => server.rewrite(prefixed(files)),
      serverHead: () => server.head(),
      serverFiles: async () =>
        new Map([...(await server.files())].map(([path, content]) => [path.slice(lead.length), content])),
      close: async () => {
        await remove();
        await server.remove();
      },
    };
  });
});

describe.each([2, 0])('over HTTP, protocol version %d', (version) => {
  let gitee: RunningLocalGitee;
  let made = 0;
  beforeAll(async () => {
    gitee = await startLocalGitee();
  });
  afterAll(() => gitee.stop());

  headRemoteContract('GitHeadRemote', async () => {
    made += 1;
    const name = `contract-${made}`;
    await gitee.admin('repositories', {
      owner: 'acme',
      name,
      enterprise: true,
      collaborators: { gateway: 'push' },
    });
    const server = new GitServerRepository(
      join(gitee.dataDir, 'repositories', 'acme', `${name}.git`),
      'master',
    );
    const proxy = await CountingProxy.start(Number(new URL(gitee.url).port));
    if (version === 0) proxy.without = /git-protocol: version=2\r\n/i;
    const { remote, remove } = await startGitHeadRemote(`${proxy.url}/acme/${name}.git`, {
      branch: 'master',
      token: { current: () => gitee.token, reload: async () => false },
    });
    return {
      remote,
      foreignCommit: (files) => server.commit(files),
      rewriteHistory: (files) => server.rewrite(files),
      serverHead: () => server.head(),
      serverFiles: () => server.files(),
      close: async () => {
        await remove();
        proxy.close();
      },
    };
  });
});
