/**
 * Reads the configuration: YAML file, then environment over it, then secrets from their files; defaults and
 * cross-checks last. Every mistake is reported at once.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { crossCheck } from './check.js';
import type { BucketConfig, Config, RawBucket, RawConfig } from './config.js';
import type { ConfigPath } from './environment.js';
import { readEnvironment } from './environment.js';
import { ConfigError, type Mistake } from './mistakes.js';
import { nearestName } from './nearest-name.js';
import { optionRows } from './option-walk.js';
import { OPTIONS } from './options.js';
import { Resolver, pathName } from './resolve.js';
import type { Secret } from './secret.js';

const SECRET_NAMES: ReadonlySet<string> = new Set(
  optionRows(OPTIONS)
    .filter((row) => row.leaf.kind === 'secret')
    .map((row) => row.path.replace(/^.*\./, '')),
);

export interface LoadedConfig {
  readonly config: Config;
  /** Sentences about what works but is probably not meant. */
  readonly warnings: readonly string[];
}

/**
 * @param file path of the YAML file; undefined: environment only.
 * @throws ConfigError with every mistake.
 */
export async function loadConfig(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<LoadedConfig> {
  const { mistakes, raw, variables } = await readTree(file, env);
  const resolver = new Resolver(variables);
  const table = resolver.fields(OPTIONS, raw) as RawConfig;
  mistakes.push(...resolver.mistakes);
  // Cross-checks need values that stand: with mistakes in single options they would only add noise.
  if (mistakes.length > 0) throw new ConfigError(mistakes);

  const config = complete(table, resolver.secrets);
  const { mistakes: crossed, warnings } = crossCheck(config, table);
  if (crossed.length > 0) throw new ConfigError(crossed);
  return { config, warnings };
}

/** What file and environment say, still as texts, and which variable said it. */
export async function readTree(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ raw: Record<string, unknown>; variables: Map<string, string>; mistakes: Mistake[] }> {
  const mistakes: Mistake[] = [];
  const raw = file === undefined ? {} : await readYaml(file, mistakes);
  const variables = applyEnvironment(raw, env, mistakes);
  return { raw, variables, mistakes };
}

async function readYaml(file: string, mistakes: Mistake[]): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new ConfigError([
      { name: file, message: `cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}` },
    ]);
  }
  // failsafe: every scalar stays the text that was written, so that a token of digits is not a number.
  const document = parseDocument(text, { schema: 'failsafe' });
  for (const error of document.errors) {
    // The first line says what and where; the following lines quote the file, where a secret may stand.
    mistakes.push({ name: file, message: error.message.split('\n')[0]!.replace(/:$/, '') });
  }
  const value: unknown = document.errors.length > 0 ? {} : document.toJS();
  if (value === null || value === '') return {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    mistakes.push({ name: file, message: 'must be a mapping of option names to values' });
    return {};
  }
  return value as Record<string, unknown>;
}

/** Puts the variables into the raw tree; returns which variable set which path. */
function applyEnvironment(
  raw: Record<string, unknown>,
  env: Readonly<Record<string, string | undefined>>,
  mistakes: Mistake[],
): Map<string, string> {
  const { assignments, unknown } = readEnvironment(OPTIONS, env);
  const known = optionRows(OPTIONS).map((row) => row.environment);
  for (const variable of unknown) {
    const near = nearestName(variable.replace(/_\d+(_|$)/, '_0$1'), known);
    mistakes.push({
      name: variable,
      message: `is not known${near === undefined ? '' : `; did you mean ${near}?`}`,
    });
  }
  const variables = new Map<string, string>();
  for (const { variable, path, value } of assignments) {
    forgetTwin(raw, path, variables);
    const problem = assign(raw, path, value);
    if (problem !== undefined) mistakes.push({ name: variable, message: problem });
    else variables.set(pathName(path), variable);
  }
  return variables;
}

/** Sets one path; answers what is in the way, if anything. */
function assign(raw: Record<string, unknown>, path: ConfigPath, value: string): string | undefined {
  let at: unknown = raw;
  for (const [i, part] of path.entries()) {
    const container = at as Record<string | number, unknown>;
    if (Array.isArray(at) && typeof part === 'number' && part > at.length) {
      return `leaves a gap: the list has ${at.length} entries so far, so the next index is ${at.length}`;
    }
    if (i === path.length - 1) {
      container[part] = value;
      return undefined;
    }
    const next = container[part];
    if (next === undefined || next === null || next === '') {
      container[part] = typeof path[i + 1] === 'number' ? [] : {};
    } else if (typeof next !== 'object') {
      return `cannot be set: ${pathName(path.slice(0, i + 1))} has a value of its own in the file`;
    }
    at = container[part];
  }
  return undefined;
}

/**
 * A secret from the environment replaces the file's, whichever of the two forms either has. Both forms from the
 * environment are a mistake that the resolver reports.
 */
function forgetTwin(raw: Record<string, unknown>, path: ConfigPath, variables: Map<string, string>): void {
  const name = String(path[path.length - 1]);
  const secretName = name.replace(/_file$/, '');
  if (!SECRET_NAMES.has(secretName)) return;
  const twin = [...path.slice(0, -1), name === secretName ? `${name}_file` : secretName];
  if (variables.has(pathName(twin))) return;
  const container = path
    .slice(0, -1)
    .reduce<unknown>((at, part) => (at as Record<string | number, unknown> | undefined)?.[part], raw);
  if (typeof container === 'object' && container !== null) {
    delete (container as Record<string, unknown>)[String(twin[twin.length - 1])];
  }
}

function complete(table: RawConfig, secrets: readonly Secret[]): Config {
  const local = table.localGitee;
  const enabled = local.enabled ?? table.gitee.url === undefined;
  const localHost = local.host === '0.0.0.0' || local.host === '::' ? '127.0.0.1' : local.host;
  const url = table.gitee.url ?? `http://${localHost}:${local.port}`;
  return {
    ...table,
    gitee: { ...table.gitee, url: url.replace(/\/$/, ''), lfsUser: table.gitee.lfsUser ?? table.gitee.user },
    localGitee: { ...local, enabled, dataDir: local.dataDir ?? join(table.stateDir, 'local-gitee') },
    audit: { ...table.audit, directory: table.audit.directory ?? join(table.stateDir, 'audit') },
    buckets: table.buckets.map(completeBucket),
    createBuckets: {
      ...table.createBuckets,
      pathPrefix: table.createBuckets.pathPrefix.replace(/\/$/, ''),
    },
    secrets,
  };
}

/** A bucket that stands in no configuration: what is not given is as the table of options has it. */
export function bucketByDefaults(
  place: Pick<BucketConfig, 'name' | 'repository' | 'branch' | 'pathPrefix'>,
): BucketConfig {
  const raw = { name: 'placeholder', repository: place.repository };
  const fields = new Resolver(new Map()).fields(OPTIONS.buckets.fields, raw) as unknown as RawBucket;
  return { ...completeBucket(fields), ...place };
}

function completeBucket(bucket: RawBucket): BucketConfig {
  const root = bucket.registryRoot.replace(/\/?$/, bucket.registryRoot === '' ? '' : '/');
  const registry = bucket.preset === 'registry';
  const tags = `${root}docker/registry/v2/repositories/**/_manifests/tags/*/current/link`;
  const writeConcern = bucket.writeConcern ?? (registry ? 'barrier' : 'local');
  return {
    ...bucket,
    pathPrefix: bucket.pathPrefix.replace(/\/$/, ''),
    registryRoot: root,
    writeConcern,
    barrierPatterns: bucket.barrierPatterns ?? (registry && writeConcern === 'barrier' ? [tags] : []),
  };
}
