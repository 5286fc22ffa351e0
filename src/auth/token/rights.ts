/** What somebody gets of what was asked. Partial grants are right: the registry decides with them. */
import type { Subject } from './authenticator.js';
import { AuthError } from '../errors.js';
import type { GiteeVerdicts } from '../gitee/gitee-verdicts.js';
import type { RepositoryPermission } from '../identity.js';
import { actionsOf, granted, type ImageRules } from './image-rules.js';
import { robotActions } from '../accounts/robots.js';
import { isImageName, type ResourceScope } from './scopes.js';

export interface RightsOptions {
  readonly verdicts: GiteeVerdicts;
  readonly rules: ImageRules;
  /** May those without a login pull what is public. */
  readonly anonymousPull: boolean;
}

export class Rights {
  constructor(private readonly options: RightsOptions) {}

  /**
   * The scopes of which something is granted, with what is granted.
   * @throws AuthError `refused` where Gitee takes the token no more, `unavailable` where it cannot be asked: a
   * missing verdict must not look like a missing right.
   */
  async grant(subject: Subject, asked: readonly ResourceScope[]): Promise<ResourceScope[]> {
    const allowed = await Promise.all(asked.map((scope) => this.#allowed(subject, scope)));
    return asked
      .map((scope, i) => ({ ...scope, actions: granted(scope.actions, allowed[i]!) }))
      .filter(({ actions }) => actions.length > 0);
  }

  async #allowed(subject: Subject, scope: ResourceScope): Promise<readonly string[]> {
    if (scope.type === 'repository' && isImageName(scope.name)) return this.#onImage(subject, scope.name);
    if (scope.type === 'registry' && scope.name === 'catalog' && scope.class === undefined)
      return this.#onCatalog(subject);
    // Kinds of things that this registry does not have.
    return [];
  }

  async #onImage(subject: Subject, image: string): Promise<readonly string[]> {
    if (subject.kind === 'robot') return robotActions(subject.rights, image);
    const repository = this.options.rules.repositoryOf(image);
    if (subject.kind !== 'anonymous') return actionsOf(await this.#permission(subject, repository));
    const open = this.options.anonymousPull && (await this.options.verdicts.isPublic(repository));
    return actionsOf(open ? 'pull' : 'none');
  }

  /** It names every image, whoever may see them: for administrators only. */
  async #onCatalog(subject: Subject): Promise<readonly string[]> {
    if (subject.kind === 'robot' || subject.kind === 'anonymous') return [];
    const permission = await this.#permission(subject, this.options.rules.defaultRepository);
    return permission === 'admin' ? ['*'] : [];
  }

  async #permission(
    subject: Extract<Subject, { kind: 'gitee' | 'docker-password' }>,
    repository: string,
  ): Promise<RepositoryPermission> {
    const permission = await this.options.verdicts.permission(subject.credential, repository);
    if (permission === 'refused') throw new AuthError('refused', 'Gitee takes the token no more');
    return permission;
  }
}
