/** From the raw tree of texts (YAML and environment) to the typed configuration, collecting every mistake. */
import { readFileSync } from 'node:fs';
import { resolve as resolvePath } from 'node:path';
import { parse as parseYaml } from 'yaml';
import type { ConfigPath } from './environment.js';
import type { Mistake } from './mistakes.js';
import { nearestName } from './nearest-name.js';
import type { Fields, Leaf, OptionNode } from './option.js';
import { propertyName } from './option.js';
import { namesIn } from './option-walk.js';
import { Secret, trimSecret } from './secret.js';

/** Resolves one configuration; use it once. */
export class Resolver {
  readonly mistakes: Mistake[] = [];
  readonly secrets: Secret[] = [];

  /** @param variables which environment variable set a path, by pathName(). */
  constructor(private readonly variables: ReadonlyMap<string, string>) {}

  fields(fields: Fields, raw: unknown, path: ConfigPath = []): Record<string, unknown> {
    const given = this.#mapping(raw, path);
    const known = namesIn(fields);
    for (const name of Object.keys(given)) {
      if (known.includes(name)) continue;
      const near = nearestName(name, known);
      this.mistake([...path, name], `is not known${near === undefined ? '' : `; did you mean ${near}?`}`);
    }
    const result: Record<string, unknown> = {};
    for (const [name, node] of Object.entries(fields)) {
      result[propertyName(name, node)] = this.#node(node, given, name, [...path, name]);
    }
    return result;
  }

  mistake(path: ConfigPath, message: string): void {
    const name = pathName(path);
    const variable = this.variables.get(name);
    this.mistakes.push({ name: variable === undefined ? name : `${name} (${variable})`, message });
  }

  #node(node: OptionNode, given: Record<string, unknown>, name: string, path: ConfigPath): unknown {
    const raw = given[name];
    if (node.node === 'group') return this.fields(node.fields, raw, path);
    if (node.node === 'list') {
      if (isUnset(raw)) return [];
      if (!Array.isArray(raw)) {
        this.mistake(path, 'must be a list');
        return [];
      }
      return raw.map((item, i) => this.fields(node.fields, item as unknown, [...path, i]));
    }
    if (node.kind === 'secret') return this.#secret(node, raw, given[`${name}_file`], path);
    return this.#leaf(node, raw, path);
  }

  #leaf(leaf: Leaf, raw: unknown, path: ConfigPath): unknown {
    const given = isUnset(raw) ? leaf.default : raw;
    if (given === undefined) {
      if (leaf.required) this.mistake(path, 'must be set');
      return undefined;
    }
    const structured = leaf.kind === 'texts' || leaf.kind === 'rights';
    const value = structured && typeof given === 'string' ? asYaml(given) : given;
    const parsed = leaf.schema.safeParse(value);
    if (!parsed.success) {
      const shown = typeof value === 'string' ? `, not ${JSON.stringify(value.slice(0, 80))}` : '';
      this.mistake(path, `${parsed.error.issues[0]?.message ?? 'is wrong'}${shown}`);
      return undefined;
    }
    return leaf.kind === 'file' ? resolvePath(parsed.data as string) : parsed.data;
  }

  #secret(leaf: Leaf, raw: unknown, rawFile: unknown, path: ConfigPath): Secret | undefined {
    const twin = [...path.slice(0, -1), `${String(path[path.length - 1])}_file`];
    if (!isUnset(raw) && !isUnset(rawFile)) {
      this.mistake(path, `is set twice: give either it or ${pathName(twin)}`);
      return undefined;
    }
    if (!isUnset(rawFile)) {
      if (typeof rawFile === 'string') return this.#secretFile(rawFile, twin);
      this.mistake(twin, 'must be a path');
      return undefined;
    }
    if (isUnset(raw)) {
      if (leaf.required) this.mistake(path, `must be set, itself or as ${pathName(twin)}`);
      return undefined;
    }
    if (typeof raw !== 'string') {
      this.mistake(path, 'must be a text');
      return undefined;
    }
    return this.#keep(new Secret(trimSecret(raw)));
  }

  #secretFile(file: string, path: ConfigPath): Secret | undefined {
    const absolute = resolvePath(file);
    let value: string;
    try {
      value = trimSecret(readFileSync(absolute, 'utf8'));
    } catch (error) {
      // Reported with all other mistakes; the code says enough (ENOENT, EACCES, EISDIR).
      this.mistake(path, `cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'} ${absolute}`);
      return undefined;
    }
    if (value === '') {
      this.mistake(path, `is an empty file: ${absolute}`);
      return undefined;
    }
    return this.#keep(new Secret(value, absolute));
  }

  #keep(secret: Secret): Secret {
    this.secrets.push(secret);
    return secret;
  }

  #mapping(raw: unknown, path: ConfigPath): Record<string, unknown> {
    if (isUnset(raw)) return {};
    if (typeof raw === 'object' && !Array.isArray(raw)) return raw as Record<string, unknown>;
    this.mistake(path, 'must be a mapping of names to values');
    return {};
  }
}

/** `buckets[0].name`. */
export function pathName(path: ConfigPath): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}

function isUnset(raw: unknown): boolean {
  return raw === undefined || raw === null || raw === '';
}

/** A list or mapping from the environment; what is no YAML stays the text, and the schema says what it must be. */
function asYaml(text: string): unknown {
  try {
    return parseYaml(text, { schema: 'failsafe' }) as unknown;
  } catch {
    return text;
  }
}
