import { COMMANDS } from '../../src/cli/commands.js';
import { EXIT } from '../../src/cli/exit-codes.js';
import { helpOf, overview } from '../../src/cli/run.js';
import { z } from 'zod';
import { CALLS } from '../../src/server/operator-calls.js';
import { METRICS } from '../../src/async/metric-table.js';
import { exists, readDocument, section } from './document.js';

const names = COMMANDS.map((command) => command.name);

function commandsIn(text: string): string[] {
  return [...text.matchAll(/^\| `gitee-s3 ([a-z-]+)([^`]*)` \|/gm)].map((m) => m[1]! + m[2]!);
}

test('both READMEs list the same commands with the same arguments', () => {
  const [english, chinese] = ['README.md', 'README.zh-CN.md'].map((path) =>
    commandsIn(section(path, 'commands')),
  );
  expect(english).toEqual(chinese);
  expect(english!.map((line) => line.split(' ')[0])).toEqual(names);
});

test('the list of commands in operations and in --help is the list that exists', () => {
  expect(commandsIn(readDocument('docs/operations.md')).map((line) => line.split(' ')[0])).toEqual(names);
  expect([...overview('1').matchAll(/^ {2}([a-z-]+) {2,}/gm)].map((m) => m[1])).toEqual(names);
});

test('every flag that a document shows with a command is a flag of that command', () => {
  for (const path of ['README.md', 'README.zh-CN.md', 'docs/operations.md', 'docs/hacking.md']) {
    for (const [, name, rest] of readDocument(path).matchAll(/gitee-s3 ([a-z][a-z-]+)((?: [^`\n#|]*)?)/g)) {
      const command = COMMANDS.find((c) => c.name === name);
      if (!command) continue;
      for (const [flag] of rest!.matchAll(/--[a-z-]+/g)) expect(helpOf(command)).toContain(flag);
    }
  }
});

test('every command that a document shows exists', () => {
  for (const path of [
    'README.md',
    'README.zh-CN.md',
    'docs/operations.md',
    'CONTRIBUTING.md',
    'deploy/quickstart.sh',
  ]) {
    for (const [, name] of readDocument(path).matchAll(
      /(?:`gitee-s3|dist\/cli\/main\.js'?) ([a-z][a-z-]+)/g,
    )) {
      expect([path, names]).toEqual([path, expect.arrayContaining([name])]);
    }
  }
});

test('every call of the control socket is documented with what it takes', () => {
  const documented = [
    ...section('docs/hacking.md', 'calls').matchAll(/^\| `([A-Z]+) (\S+)` \|([^|]*)\| (\w+) \|$/gm),
  ].map(([, method, path, request, kind]) => [method, path, request!.replace(/[` ]/g, ''), kind]);
  const rows = Object.values(CALLS).map(({ kind, method, path, request }) => {
    const { properties = {}, required = [] } = z.toJSONSchema(request, { io: 'input' });
    const names = Object.keys(properties).map((name) => (required.includes(name) ? name : `${name}?`));
    return [method, path, names.join(','), kind];
  });
  expect(documented).toEqual(rows);
});

test('exit codes are documented', () => {
  const documented = [...readDocument('docs/operations.md').matchAll(/^\| (\d) \|/gm)].map((m) =>
    Number(m[1]),
  );
  expect(documented).toEqual(Object.values(EXIT));
});

test('every metric is documented with its labels, and every documented metric exists', () => {
  const table = section('docs/operations.md', 'metrics');
  const documented = [...table.matchAll(/^\| `([^`]+)` \| ([a-z]+) \| (.*) \|$/gm)].map((m) => [
    m[1],
    m[2],
    m[3],
  ]);
  const rows = METRICS.map((row) => [
    row.name + (row.labels.length > 0 ? `{${row.labels.join(',')}}` : ''),
    row.kind,
    row.help,
  ]);
  expect(documented).toEqual([...rows, expect.arrayContaining(['gauge'])]);
  expect(documented.at(-1)![0]).toBe('gateway_build_info{version,node_version,storage_format}');
});

test('READMEs link to the same files, and what this part owns exists', () => {
  const [english, chinese] = ['README.md', 'README.zh-CN.md'].map((path) =>
    [...readDocument(path).matchAll(/\]\(([^)#:]+)\)/g)]
      .map((m) => m[1]!)
      .filter((l) => !l.startsWith('README')),
  );
  // Pages that exist in Chinese are linked in Chinese.
  expect(english).toEqual(chinese!.map((link) => link.replace('docs/zh/', 'docs/')));
  for (const link of [...english!, ...chinese!]) expect([link, exists(link)]).toEqual([link, true]);
});

test('both READMEs have the two commands, the scopes and the honest notes', () => {
  for (const path of ['README.md', 'README.zh-CN.md']) {
    const text = readDocument(path);
    for (const said of [
      'bash deploy/quickstart.sh\n',
      'bash test/run.sh\n',
      '`projects`',
      '`user_info`',
      'LFS',
      'gitee.com',
    ]) {
      expect([path, said, text.includes(said)]).toEqual([path, said, true]);
    }
  }
});
