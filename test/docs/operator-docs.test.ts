/** The pages for operators: English and Chinese say the same, and no command stands there that no test runs. */
import { readdirSync } from 'node:fs';
import * as path from 'node:path';
import { METRICS } from '../../src/server/metrics.js';
import {
  blocksOf,
  commandBlocks,
  headingLevels,
  OPERATOR_PAGES,
  pageText,
} from '../support/operator-docs.js';
import { PLAN } from '../support/operator-plan.js';
import { exists, readDocument } from './document.js';

const PAGES = [...OPERATOR_PAGES, 'from-the-article'] as const;

test('the Chinese pages are the same pages', () => {
  const chinese = readdirSync('docs/zh').filter((name) => name.endsWith('.md'));
  expect(chinese.sort()).toEqual([...PAGES].map((page) => `${page}.md`).sort());
});

test.each(PAGES)('%s has the same headings, tables, lists and blocks in both languages', (page) => {
  const [english, chinese] = [pageText(page), pageText(page, 'zh')];
  expect(headingLevels(chinese)).toEqual(headingLevels(english));
  expect(blocksOf(chinese)).toEqual(blocksOf(english));
  const rows = (text: string) => text.split('\n').filter((line) => /^(\||- )/.test(line)).length;
  expect(rows(chinese)).toBe(rows(english));
  expect(chinese).toMatch(/\p{Script=Han}{4}/u);
});

test.each(PAGES)('what %s names in code is named in Chinese too', (page) => {
  // A name that one language has and the other lacks is a step that one reader misses.
  const names = (text: string) =>
    new Set([...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/`([^`\n]+)`/g)].map((m) => m[1]!));
  const chinese = names(pageText(page, 'zh'));
  expect([...names(pageText(page))].filter((name) => !chinese.has(name))).toEqual([]);
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
      expect([page, name, name === 'GATEWAY_VERSION' || options.includes(`\`${name}\``)]).toEqual([
        page,
        name,
        true,
      ]);
    }
    for (const [, name] of text.matchAll(/`(gateway_[a-z_]+)`/g)) expect(metrics).toContain(name);
    for (const { text: ini } of blocksOf(text).filter((block) => block.language === 'ini')) {
      for (const [, name] of ini.matchAll(/^([A-Z_]+)=/gm))
        expect(compose).toMatch(new RegExp(`\\b${name}\\b`));
    }
  }
});

test.each(PAGES)('the links of %s lead somewhere', (page) => {
  for (const [file, directory] of [
    [`docs/${page}.md`, 'docs'],
    [`docs/zh/${page}.md`, 'docs/zh'],
  ] as const) {
    for (const [, link] of readDocument(file).matchAll(/\]\(([^)#:]+)\)/g)) {
      expect([file, link, exists(path.join(directory, link!))]).toEqual([file, link, true]);
    }
  }
});
