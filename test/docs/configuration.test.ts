import { parse } from 'yaml';
import { optionsHelp, optionsMarkdown } from '../../src/server/config/document.js';
import { loadConfig } from '../../src/server/config/load.js';
import { SPECIAL_NAMES, optionRows } from '../../src/server/config/option-walk.js';
import { OPTIONS } from '../../src/server/config/options.js';
import { readDocument, section } from './document.js';

const rows = optionRows(OPTIONS);
const documented = [
  ...section('docs/configuration.md', 'options').matchAll(/^\| `([^`]+)` \| `([^`]+)` \|/gm),
];

test('every option is documented, and every documented option exists', () => {
  expect(documented.map((m) => m[1])).toEqual(rows.map((row) => row.path));
  expect(documented.map((m) => m[2])).toEqual(rows.map((row) => row.environment));
});

test('values, defaults and meanings in the document are those of the table', () => {
  expect(section('docs/configuration.md', 'options')).toBe(optionsMarkdown());
});

test('the help of serve has every option, and special variables stand in both', () => {
  for (const row of rows) expect(optionsHelp()).toContain(`  ${row.path} (${row.environment})\n`);
  const special = [...section('docs/configuration.md', 'special').matchAll(/^- `([^`]+)`/gm)].map(
    (m) => m[1],
  );
  expect(special).toEqual(Object.keys(SPECIAL_NAMES));
  for (const name of special) expect(optionsHelp()).toContain(`  ${name}: `);
});

test.each(['README.md', 'README.zh-CN.md', 'docs/configuration.md'])(
  'the example in %s is a configuration that is right but for its files',
  async (path) => {
    const [, indent, example] = /^( *)```yaml\n([\s\S]*?)```/m.exec(readDocument(path))!;
    const value = parse(example!.replaceAll(new RegExp(`^${indent}`, 'gm'), '')) as Record<string, unknown>;
    const flat = Object.fromEntries(environmentOf(value, 'GATEWAY'));
    const { config } = await loadConfig(undefined, flat);
    expect(config.buckets[0]).toMatchObject({ name: 'registry', writeConcern: 'barrier' });
  },
);

/** As environment variables, with each secret's file replaced by a text. */
function environmentOf(value: unknown, name: string): [string, string][] {
  if (name.endsWith('_ACCESS_KEYS_0_BUCKETS')) return [[name, JSON.stringify(value)]];
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, inner]) =>
      environmentOf(inner, `${name}_${key.toUpperCase()}`),
    );
  }
  const secret = /_(TOKEN|SECRET_ACCESS_KEY)_FILE$/.test(name);
  return [secret ? [name.slice(0, -'_FILE'.length), 'a-secret-of-a-test'] : [name, String(value)]];
}

test('every name of an option that a document mentions exists', () => {
  const known = new Set([
    ...rows.map((row) => row.path.replace(/^.*\[\]\./, '')),
    ...rows.map((row) => row.path),
  ]);
  const variables = new Set([...rows.map((row) => row.environment), ...Object.keys(SPECIAL_NAMES)]);
  for (const path of [
    'README.md',
    'README.zh-CN.md',
    'docs/operations.md',
    'docs/hacking.md',
    'deploy/compose.yaml',
  ]) {
    const text = readDocument(path);
    for (const [, name] of text.matchAll(
      /`((?:gitee|s3|metrics|cache|commit|barrier|log|shutdown|local_gitee)\.[a-z_]+)`/g,
    )) {
      expect([path, name, known.has(name!.replace(/_file$/, '')) || known.has(name!)]).toEqual([
        path,
        name,
        true,
      ]);
    }
    for (const [name] of text.matchAll(/\bGATEWAY_[A-Z0-9_]+(?=:|=|`)/g)) {
      const plain = name.replace(/_FILE$/, '');
      if (path === 'deploy/compose.yaml' && ['GATEWAY_IMAGE', 'GATEWAY_VERSION'].includes(name)) continue;
      expect([path, name, variables.has(plain) || variables.has(name)]).toEqual([path, name, true]);
    }
  }
});
