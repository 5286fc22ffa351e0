/** Walks over the option table: every option by its YAML path and its environment name. */
import type { Fields, Leaf, OptionNode } from './option.js';

/** One option as help and documents show it. */
export interface OptionRow {
  /** `gitee.token`, `buckets[].name`. */
  readonly path: string;
  /** `GATEWAY_GITEE_TOKEN`, `GATEWAY_BUCKETS_0_NAME`. */
  readonly environment: string;
  readonly leaf: Leaf;
}

export const ENVIRONMENT_PREFIX = 'GATEWAY_';

/** Environment names that mean something without being options. */
export const SPECIAL_NAMES: Readonly<Record<string, string>> = {
  GATEWAY_CONFIG: 'path of the configuration file, where --config is not given',
  GATEWAY_FAILPOINTS: 'for tests only: makes the process fail at a named place (docs/hacking.md)',
  GATEWAY_METRICS_URL: 'not read: deploy/quickstart.sh writes it for scripts',
  GATEWAY_PID: 'not read: deploy/quickstart.sh writes it for scripts',
};

/** All options in the order of the table; a secret is one row, its `_file` twin is not listed. */
export function optionRows(fields: Fields, path = '', environment = ENVIRONMENT_PREFIX): OptionRow[] {
  return Object.entries(fields).flatMap(([name, node]) => {
    const here = path + name;
    const variable = environment + name.toUpperCase();
    switch (node.node) {
      case 'leaf':
        return [{ path: here, environment: variable, leaf: node }];
      case 'group':
        return optionRows(node.fields, `${here}.`, `${variable}_`);
      case 'list':
        return optionRows(node.fields, `${here}[].`, `${variable}_0_`);
    }
  });
}

/** Names that may stand in a mapping of the file: those of the fields, and `<secret>_file`. */
export function namesIn(fields: Fields): string[] {
  return Object.entries(fields).flatMap(([name, node]) => (isSecret(node) ? [name, `${name}_file`] : [name]));
}

export function isSecret(node: OptionNode | undefined): boolean {
  return node?.node === 'leaf' && node.kind === 'secret';
}
