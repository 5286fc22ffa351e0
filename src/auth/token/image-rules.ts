/** Which Gitee repository decides about an image, and what its permissions allow in the registry. */
import type { RepositoryPermission } from '../identity.js';
import { ImagePattern } from '../image-pattern.js';

/** What each permission on Gitee allows. `*` stands for everything, and is what listing the catalog takes. */
const ACTIONS = {
  none: [],
  pull: ['pull'],
  push: ['pull', 'push'],
  admin: ['pull', 'push', 'delete', '*'],
} as const satisfies Record<RepositoryPermission, readonly string[]>;

/** What somebody with this permission may do with an image. */
export function actionsOf(permission: RepositoryPermission): readonly string[] {
  return ACTIONS[permission];
}

/**
 * What is granted of what was asked. `*` asks for all there is: skopeo deletes with it, and filtering it to nothing
 * would refuse who may delete.
 */
export function granted(asked: readonly string[], allowed: readonly string[]): string[] {
  return asked.includes('*') ? [...allowed] : asked.filter((action) => allowed.includes(action));
}

/** The mapping of `auth.images`. */
export class ImageRules {
  readonly #rules: readonly { readonly pattern: ImagePattern; readonly repository: string }[];

  constructor(
    rules: readonly { readonly pattern: string; readonly repository: string }[],
    /** Decides about all other images, and about the catalog. */
    readonly defaultRepository: string,
  ) {
    // The sort is stable: among equally exact patterns the first in the configuration wins.
    this.#rules = rules
      .map(({ pattern, repository }) => ({ pattern: new ImagePattern(pattern), repository }))
      .sort((a, b) => b.pattern.compareTo(a.pattern));
  }

  /** `owner/name` of the repository whose permissions count for this image. */
  repositoryOf(image: string): string {
    return this.#rules.find(({ pattern }) => pattern.matches(image))?.repository ?? this.defaultRepository;
  }
}
