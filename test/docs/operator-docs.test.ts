/** The pages for operators: English and Chinese say the same, and no command stands there that no test runs. */
import { readdirSync } from 'node:fs';
import * as path from 'node:path';
import { S3_ERRORS } from '../../src/s3/errors.js';
import { METRICS } from '../../src/async/metric-table.js';
import {
  blocksOf,
  commandBlocks,
  headingLevels,
  OPERATOR_PAGES,
  pageText,
} from '../support/operator-docs.js';
import { PLAN } from '../support/operator-plan.js';
import { exists, readDocument, section } from './document.js';

const PAGES = [...OPERATOR_PAGES, 'from-the-article'] as const;

/** Pages to look things up in: their blocks are shown, not run one after another. */
const REFERENCE_PAGES = [
  'operations',
  'monitoring',
  'token-service',
  'gitee-login',
  'nginx',
  'audit',
  'clients',
  's3-clients',
  'errors',
  'glossary',
  'README',
] as const;

const TRANSLATED = [...PAGES, ...REFERENCE_PAGES] as const;

/** How GitHub and Gitee name the place of a heading. */
function anchorsOf(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}

/** First cells of tables that are nothing but names in code, or a number: those are not translated. */
function rowNames(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/^\| ((?:`[^`]+`(?:, |、)?)+|\d+) \|/gm)].map(([, names]) =>
    names!.replaceAll('、', ', '),
  );
}

test('the Chinese pages are the same pages', () => {
  const chinese = readdirSync('docs/zh').filter((name) => name.endsWith('.md'));
  expect(chinese.sort()).toEqual([...TRANSLATED].map((page) => `${page}.md`).sort());
});

test.each(TRANSLATED)('%s has the same headings, tables, lists and blocks in both languages', (page) => {
  const [english, chinese] = [pageText(page), pageText(page, 'zh')];
  expect(headingLevels(chinese)).toEqual(headingLevels(english));
  expect(blocksOf(chinese)).toEqual(blocksOf(english));
  const rows = (text: string) => text.split('\n').filter((line) => /^(\||- )/.test(line)).length;
  expect(rows(chinese)).toBe(rows(english));
  expect(rowNames(chinese)).toEqual(rowNames(english));
  expect(chinese).toMatch(/\p{Script=Han}{4}/u);
});

test.each(TRANSLATED)('what %s names in code is named in Chinese too', (page) => {
  // A name that one language has and the other lacks is a step that one reader misses.
  const names = (text: string) =>
    new Set([...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/`([^`\n]+)`/g)].map((m) => m[1]!));
  const [english, chinese] = [names(pageText(page)), names(pageText(page, 'zh'))];
  expect([...english].filter((name) => !chinese.has(name))).toEqual([]);
  expect([...chinese].filter((name) => !english.has(name))).toEqual([]);
});

test('every block of commands is run by test/integration/docs exactly once', () => {
  for (const page of OPERATOR_PAGES) {
    const steps = PLAN.filter((step) => step.page === page);
    const blocks = commandBlocks(page);
    expect([page, blocks.length]).toEqual([page, steps.length]);
    for (const step of steps) {
      expect([page, step.has, blocks.filter((block) => block.includes(step.has)).length]).toEqual([
        page,
        step.has,
        1,
      ]);
    }
    for (const block of blocks) {
      expect([block, steps.filter((step) => block.includes(step.has)).length]).toEqual([block, 1]);
    }
  }
});

test('the page about the article has no commands, and every block elsewhere says what it is', () => {
  expect(blocksOf(pageText('from-the-article'))).toEqual([]);
  for (const page of OPERATOR_PAGES) {
    for (const block of blocksOf(pageText(page))) expect(['sh', 'ini', 'text']).toContain(block.language);
  }
});

test('options, metrics and values of .env that the pages name exist', () => {
  const options = readDocument('docs/configuration.md');
  const metrics = METRICS.map((row) => row.name);
  const compose = readDocument('deploy/compose.yaml') + readDocument('deploy/setup.sh');
  for (const page of PAGES) {
    const text = pageText(page);
    for (const [name] of text.matchAll(/\bGATEWAY_[A-Z_]+/g)) {
      expect([page, name, options.includes(`\`${name}\``)]).toEqual([page, name, true]);
    }
    for (const [, name] of text.matchAll(/`(gateway_[a-z_]+)`/g)) expect(metrics).toContain(name);
    for (const { text: ini } of blocksOf(text).filter((block) => block.language === 'ini')) {
      for (const [, name] of ini.matchAll(/^([A-Z_]+)=/gm))
        expect(compose).toMatch(new RegExp(`\\b${name}\\b`));
    }
  }
});

test.each(TRANSLATED)('the links of %s lead somewhere', (page) => {
  for (const [file, directory] of [
    [`docs/${page}.md`, 'docs'],
    [`docs/zh/${page}.md`, 'docs/zh'],
  ] as const) {
    for (const [, link, anchor] of readDocument(file).matchAll(/\]\(([^)#:]*)(?:#([^)]+))?\)/g)) {
      const target = link === '' ? file : path.join(directory, link!);
      expect([file, link, exists(target)]).toEqual([file, link, true]);
      if (anchor !== undefined)
        expect([file, anchorsOf(readDocument(target))]).toEqual([file, expect.arrayContaining([anchor])]);
    }
  }
});

test('the links of every other page lead somewhere too', () => {
  const pages = ['.', 'docs', 'docs/facts', 'docs/runbooks', 'docs/decisions', 'bench', 'findings'].flatMap(
    (directory) =>
      readdirSync(directory)
        .filter((name) => name.endsWith('.md'))
        .map((name) => path.join(directory, name)),
  );
  expect(pages.length).toBeGreaterThan(35);
  for (const file of pages) {
    for (const [, link, anchor] of readDocument(file).matchAll(/\]\(([^)#:\s]*)(?:#([^)\s]+))?\)/g)) {
      const target = link === '' ? file : path.join(path.dirname(file), link!);
      expect([file, link, exists(target)]).toEqual([file, link, true]);
      if (anchor !== undefined && target.endsWith('.md'))
        expect([file, anchorsOf(readDocument(target))]).toEqual([file, expect.arrayContaining([anchor])]);
    }
  }
});

test('commands of a runbook need no variable that an operator’s shell has not', () => {
  for (const name of readdirSync('docs/runbooks')) {
    for (const { text } of blocksOf(readDocument(path.join('docs/runbooks', name))))
      expect([name, text.match(/\$\{?[A-Za-z_]+/g) ?? []]).toEqual([name, []]);
  }
});

test('what a runbook has its reader run, can be run where it says', () => {
  const commands = section('README.md', 'commands');
  for (const name of readdirSync('docs/runbooks')) {
    for (const { text } of blocksOf(readDocument(path.join('docs/runbooks', name)))) {
      for (const line of text.split('\n')) {
        for (const [, command] of line.matchAll(/gateway gitee-s3 ([a-z-]+)/g))
          expect([name, commands]).toEqual([name, expect.stringContaining(`\`gitee-s3 ${command}`)]);
        // The container's Nginx has its configuration in a place of its own.
        if (/exec nginx nginx\b/.test(line))
          expect([name, line]).toEqual([name, expect.stringContaining('-c /tmp/nginx/nginx.conf')]);
        // Directories that only root enters.
        if (/(?:^|[ <])(?:secrets|tls)\/|\/var\/lib\/docker\/\w/.test(line))
          expect([name, line]).toEqual([name, expect.stringMatching(/\bsudo\b/)]);
      }
    }
  }
});

test('the glossary has every word that the commands, alerts and metrics use in a sense of their own', () => {
  const terms = [...pageText('glossary').matchAll(/^\| (.+?) \|/gm)].flatMap(([, term]) => term!.split(', '));
  for (const term of [
    'spool',
    'barrier',
    'head',
    'quarantine',
    'preset',
    'frozen',
    'paused',
    'pending',
    'chunk',
  ])
    expect(terms).toContain(term);
});

test.each(TRANSLATED)('from %s a Chinese reader stays in Chinese where there is a page', (page) => {
  for (const [link, name] of pageText(page, 'zh').matchAll(/\]\(\.\.\/([a-z-]+)\.md/g))
    expect([link, exists(`docs/zh/${name}.md`)]).toEqual([link, false]);
});

test('the Chinese README links to the Chinese page wherever there is one', () => {
  for (const [link, name] of readDocument('README.zh-CN.md').matchAll(/\]\(docs\/([a-z-]+)\.md/g))
    expect([link, exists(`docs/zh/${name}.md`)]).toEqual([link, false]);
});

test('the Chinese table of metrics has every metric with its labels and kind, each explained in Chinese', () => {
  const rows = [
    ...section('docs/zh/operations.md', 'metrics').matchAll(/^\| `([^`]+)` \| ([a-z]+) \| (.*) \|$/gm),
  ];
  const wanted = METRICS.map(({ name, labels, kind }) => [
    name + (labels.length > 0 ? `{${labels.join(',')}}` : ''),
    kind,
  ]);
  wanted.push(['gateway_build_info{version,node_version,storage_format}', 'gauge']);
  expect(rows.map(([, name, kind]) => [name, kind])).toEqual(wanted);
  for (const [, name, , meaning] of rows)
    expect([name, meaning]).toEqual([name, expect.stringMatching(/\p{Script=Han}{2}/u)]);
});

test('the Chinese table of alerts has the same alerts and severities', () => {
  const rows = (file: string) =>
    [...section(file, 'alerts').matchAll(/^\| \[(\w+)\]\((.*)\) \| (\w+) \|/gm)].map(
      ([, name, link, severity]) => [name, path.basename(link!), severity],
    );
  const chinese = rows('docs/zh/monitoring.md');
  expect(chinese.length).toBeGreaterThan(20);
  expect(chinese).toEqual(rows('docs/monitoring.md'));
});

test('the Chinese table of S3 errors has the codes, statuses and messages that are answered', () => {
  const rows = [...pageText('errors', 'zh').matchAll(/^\| `(\w+)` \| (\d+) \| (.*?) \| (.*) \|$/gm)];
  expect(rows.map(([, code, status, message]) => [code, Number(status), message])).toEqual(
    Object.entries(S3_ERRORS).map(([code, { status, message }]) => [code, status, message]),
  );
  for (const [, code, , , fix] of rows)
    expect([code, fix]).toEqual([code, expect.stringMatching(/\p{Script=Han}{2}/u)]);
});
