import { HttpFault, type Exchange } from '../exchange.js';
import type { BareRepositories } from '../git/bare-repositories.js';
import type { Repository } from '../state.js';

/** `GET …/contents/{path}`: an object for a file, an array for a directory, and `[]` for what is not there. */
export async function answerContents(
  exchange: Exchange,
  repositories: BareRepositories,
  repository: Repository,
  path: string,
  url: string,
): Promise<void> {
  const ref = exchange.url.searchParams.get('ref') ?? repository.defaultBranch;
  const commit = await repositories.resolve(repository, `${ref}^{commit}`);
  if (commit === undefined) {
    // An empty repository has no default branch yet: nothing is there, and nobody asked for more.
    if (ref === repository.defaultBranch) return exchange.json(200, []);
    throw new HttpFault(404, '404 Branch Not Found');
  }
  const id = await repositories.resolve(repository, `${commit}:${path}`);
  if (id === undefined) return exchange.json(200, []);
  const entry = (type: string, sha: string, entryPath: string) => {
    const self = `${url}/api/v5/repos/${repository.owner}/${repository.name}/contents/${encodePath(entryPath)}`;
    const html = `${url}/${repository.owner}/${repository.name}/blob/${ref}/${encodePath(entryPath)}`;
    return {
      type: type === 'tree' ? 'dir' : 'file',
      encoding: null as string | null,
      size: null as number | null,
      name: entryPath.slice(entryPath.lastIndexOf('/') + 1),
      path: entryPath,
      content: null as string | null,
      sha,
      url: self,
      html_url: html,
      download_url: type === 'tree' ? null : html.replace('/blob/', '/raw/'),
      _links: { self, html },
    };
  };
  if ((await repositories.objectType(repository, id)) === 'tree') {
    const prefix = path === '' ? '' : `${path}/`;
    const entries = await repositories.list(repository, id);
    return exchange.json(
      200,
      entries.map((e) => entry(e.type, e.id, prefix + e.name)),
    );
  }
  const bytes = await repositories.blob(repository, id);
  exchange.json(200, {
    ...entry('blob', id, path),
    encoding: 'base64',
    size: bytes.length,
    content: bytes.toString('base64'),
  });
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
