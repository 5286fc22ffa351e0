/**
 * Scopes of the registry's token protocol: `type[(class)]:name:action[,action…]`, several in one parameter with
 * blanks between, or several parameters (distribution, docs/spec/auth/scope.md). The name may itself hold a colon:
 * `repository:host:5000/a/b:pull`.
 */
import { AuthError } from '../errors.js';

/** One kind of thing and what is asked or granted on it. Also an entry of `access` in a token. */
export interface ResourceScope {
  readonly type: string;
  /** As in `repository(plugin)`. */
  readonly class?: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** Docker asks for two or three (cross-repository mounts); what is over this is no client of a registry. */
const SCOPES_MAX = 100;
const SCOPE_CHARACTERS_MAX = 1024;
const SCOPE = /^([a-z0-9]+)(?:\(([a-z0-9]+)\))?:([^\s]+):([^\s:]*)$/;
const NAME =
  /^(?:[A-Za-z0-9.-]+(?::\d{1,5})?\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

/**
 * The scopes asked for, one entry per resource in the order of their first mention.
 * @throws AuthError `bad-request`
 */
export function parseScopes(parameters: readonly string[]): ResourceScope[] {
  const byResource = new Map<string, ResourceScope>();
  const texts = parameters.flatMap((parameter) => parameter.split(' ')).filter((text) => text !== '');
  if (texts.length > SCOPES_MAX)
    throw new AuthError('bad-request', `at most ${SCOPES_MAX} scopes fit into one request`);
  for (const text of texts) {
    const scope = parseScope(text);
    const key = `${scope.type}(${scope.class ?? ''}):${scope.name}`;
    const before = byResource.get(key)?.actions ?? [];
    byResource.set(key, { ...scope, actions: [...new Set([...before, ...scope.actions])] });
  }
  return [...byResource.values()];
}

function parseScope(text: string): ResourceScope {
  const m = text.length > SCOPE_CHARACTERS_MAX ? null : SCOPE.exec(text);
  if (!m)
    throw new AuthError('bad-request', 'a scope must be type:name:actions, such as repository:a/b:pull');
  const [, type, kind, name, actions] = m as unknown as [string, string, string | undefined, string, string];
  return {
    type,
    ...(kind === undefined ? {} : { class: kind }),
    name,
    actions: [...new Set(actions.split(',').filter((action) => action !== ''))],
  };
}

/** As parseScopes() takes it. */
export function formatScope(scope: ResourceScope): string {
  const type = scope.class === undefined ? scope.type : `${scope.type}(${scope.class})`;
  return `${type}:${scope.name}:${scope.actions.join(',')}`;
}

/** May an image be called so, with or without a host in front. Patterns are no names: `a/*` is not. */
export function isImageName(name: string): boolean {
  return name.length <= 255 && NAME.test(name);
}
