/** Environment variables as configuration: `GATEWAY_BUCKETS_0_NAME` is `buckets[0].name`. */
import type { Fields } from './option.js';
import { ENVIRONMENT_PREFIX, SPECIAL_NAMES, isSecret } from './option-walk.js';

/** Where in the configuration a variable belongs: names and indexes. */
export type ConfigPath = readonly (string | number)[];

export interface Assignment {
  readonly variable: string;
  readonly path: ConfigPath;
  readonly value: string;
}

/** Splits the environment into what the table knows and the names that it does not. */
export function readEnvironment(
  fields: Fields,
  env: Readonly<Record<string, string | undefined>>,
): { assignments: Assignment[]; unknown: string[] } {
  const assignments: Assignment[] = [];
  const unknown: string[] = [];
  for (const variable of Object.keys(env).sort(byIndexes)) {
    const value = env[variable];
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || variable in SPECIAL_NAMES) continue;
    // An empty variable is as good as none: compose files pass on what is not set as ''.
    if (value === undefined || value === '') continue;
    const path = pathOf(fields, variable.slice(ENVIRONMENT_PREFIX.length));
    if (path) assignments.push({ variable, path, value });
    else unknown.push(variable);
  }
  return { assignments, unknown };
}

/** So that GATEWAY_X_2 comes before GATEWAY_X_10, and a list is filled in order. */
function byIndexes(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** Names hold underscores themselves, so each field is tried: no two lead to the same variable (tested). */
export function pathOf(fields: Fields, rest: string): ConfigPath | undefined {
  for (const [name, node] of Object.entries(fields)) {
    const upper = name.toUpperCase();
    if (node.node === 'leaf') {
      if (rest === upper) return [name];
      if (isSecret(node) && rest === `${upper}_FILE`) return [`${name}_file`];
      const index = node.kind === 'texts' ? /^_(\d{1,3})$/.exec(afterName(rest, upper)) : null;
      if (index) return [name, Number(index[1])];
      continue;
    }
    if (!rest.startsWith(`${upper}_`)) continue;
    const inner = rest.slice(upper.length + 1);
    if (node.node === 'group') {
      const found = pathOf(node.fields, inner);
      if (found) return [name, ...found];
      continue;
    }
    const item = /^(\d{1,3})_(.+)$/.exec(inner);
    const found = item ? pathOf(node.fields, item[2]!) : undefined;
    if (found) return [name, Number(item![1]), ...found];
  }
  return undefined;
}

function afterName(rest: string, upper: string): string {
  return rest.startsWith(upper) ? rest.slice(upper.length) : '';
}
