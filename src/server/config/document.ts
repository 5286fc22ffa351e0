/** The option table as text: for `serve --help` and for docs/configuration.md. */
import type { OptionRow } from './option-walk.js';
import { SPECIAL_NAMES, optionRows } from './option-walk.js';
import { OPTIONS } from './options.js';

/** What stands in the column "value" for each kind. */
const VALUES: Readonly<Record<OptionRow['leaf']['kind'], string>> = {
  text: 'text',
  integer: 'whole number',
  switch: 'true or false',
  size: 'size',
  duration: 'duration',
  rate: 'size per second',
  choice: '',
  secret: 'secret',
  file: 'path',
  texts: 'list of texts',
  rights: 'bucket to read or write',
};

/** Every option with its environment name, value, default and meaning, for a terminal. */
export function optionsHelp(): string {
  const options = optionRows(OPTIONS).flatMap((row) => [
    `  ${row.path} (${row.environment})`,
    `      ${valueText(row)}; ${defaultText(row)}`,
    ...wrap(row.leaf.about, 96).map((line) => `      ${line}`),
  ]);
  const special = Object.entries(SPECIAL_NAMES).map(([name, about]) => `  ${name}: ${about}`);
  return [
    'Options stand in the YAML file by their path, or in the environment by the name in brackets (0 is the',
    'index in a list); the environment wins. For a secret, NAME_FILE (in YAML name_file) gives a file that holds it.',
    'Sizes: 64KiB, 8MiB, 20GiB. Durations: 500ms, 60s, 5m, 24h. An empty value is as if it were not there.',
    '',
    'Options:',
    ...options,
    '',
    'Other environment variables:',
    ...special,
    '',
  ].join('\n');
}

/** The tables of docs/configuration.md, one per top-level section. @internal compared by a test */
export function optionsMarkdown(): string {
  const rows = optionRows(OPTIONS).map(
    (row) =>
      `| \`${row.path}\` | \`${row.environment}\` | ${cell(valueText(row))} | ${cell(defaultText(row, true))} | ${cell(row.leaf.about)} |`,
  );
  return [
    '| option | environment | value | default | what it does |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ]
    .join('\n')
    .concat('\n');
}

function valueText({ leaf }: OptionRow): string {
  return leaf.kind === 'choice' ? leaf.choices.join(', ') : VALUES[leaf.kind];
}

function defaultText({ leaf }: OptionRow, bare = false): string {
  if (leaf.required) return 'required';
  if (leaf.default === undefined) return bare ? '' : 'no default';
  const shown = leaf.default === '' ? 'empty' : leaf.default;
  return bare ? `\`${shown}\`` : `default ${shown}`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
