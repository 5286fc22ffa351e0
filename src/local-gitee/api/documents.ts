import type { Permission } from '../config.js';
import type { Branch } from '../git/bare-repositories.js';
import type { Repository } from '../state.js';

/** A repository as `GET /repos/{owner}/{repo}` shows it. */
export function repositoryDocument(
  url: string,
  repository: Repository,
  permission: Permission | undefined,
  empty: boolean,
): Record<string, unknown> {
  const { owner, name } = repository;
  return {
    id: repository.id,
    full_name: `${owner}/${name}`,
    human_name: `${owner}/${name}`,
    url: `${url}/api/v5/repos/${owner}/${name}`,
    html_url: `${url}/${owner}/${name}.git`,
    namespace: {
      type: repository.enterprise ? 'enterprise' : 'personal',
      name: owner,
      path: owner,
      html_url: `${url}/${owner}`,
    },
    path: name,
    name,
    owner: { login: owner, name: owner, type: 'User' },
    description: null,
    private: repository.private,
    public: !repository.private,
    internal: false,
    fork: false,
    default_branch: repository.defaultBranch,
    enterprise: repository.enterprise ? { name: owner, path: owner } : null,
    status: repository.closed ? '已关闭' : '开始',
    empty_repo: empty,
    permission: {
      pull: permission !== undefined,
      push: permission === 'push' || permission === 'admin',
      admin: permission === 'admin',
    },
    created_at: repository.createdAt,
  };
}

/** A branch as `GET …/branches/{branch}` shows it. */
export function branchDocument(url: string, repository: Repository, branch: Branch): Record<string, unknown> {
  const api = `${url}/api/v5/repos/${repository.owner}/${repository.name}`;
  return {
    name: branch.name,
    commit: {
      sha: branch.commit,
      url: `${api}/commits/${branch.commit}`,
      commit: { tree: { sha: branch.tree, url: `${api}/git/trees/${branch.tree}` } },
    },
    protected: repository.protectedBranches.some((b) => b.name === branch.name),
    protection_url: `${api}/branches/${encodeURIComponent(branch.name)}/protection`,
  };
}
