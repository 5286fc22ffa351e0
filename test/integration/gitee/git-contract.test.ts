/** GitHeadRemote on a bare repository with fsckObjects, by the real git program. */
import { headRemoteContract } from '../../contract/head-remote.js';
import { startGitHeadRemote } from '../../support/git-head-remote.js';
import { GitServerRepository } from '../../support/git-server-repository.js';

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
