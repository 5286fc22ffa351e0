/**
 * Each failpoint is in one place, is called after it, and is one at which a suite kills the gateway: a second place of
 * a name, or one right behind another, would be a stage that no kill reaches.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { FAILPOINTS } from '../../src/async/failpoint.js';
import { BUCKET_STAGES, PUSH_STAGES, SHARED_BRANCH_STAGE } from '../faults/kill-stages.js';
import { readDocument, ROOT } from './document.js';

const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ path: `src/${name}`, text: readDocument(`src/${name}`) }));
const HIT = /\bfailpoints\s*\.hit\(\s*(?:'([\w.]+)')?/g;
const hits = sources.flatMap(({ path, text }) =>
  [...text.matchAll(HIT)].map(([, name]) => ({ path, name: name ?? 'no literal' })),
);
const kills: readonly string[] = [
  ...PUSH_STAGES,
  ...BUCKET_STAGES.map(([, stage]) => stage),
  SHARED_BRANCH_STAGE,
];

test('every failpoint is hit in one place, and no other is', () => {
  expect(hits.map(({ name }) => name).sort()).toEqual([...FAILPOINTS].sort());
});

test('every failpoint is killed by a suite once, and no suite kills at another', () => {
  expect([...kills].sort()).toEqual(hits.map(({ name }) => name).sort());
});

test('the first half of a name is a word of the file’s path', () => {
  const strayed = hits.filter(({ path, name }) => !path.split(/[/.-]/).includes(name.split('.')[0]!));
  expect(strayed).toEqual([]);
});

test('between two failpoints something happens', () => {
  const neighbours = /failpoints\s*\.hit\('([\w.]+)'\);\s*await [\w.]*failpoints\s*\.hit\('([\w.]+)'\)/g;
  const found = sources.flatMap(({ text }) => [...text.matchAll(neighbours)].map(([, a, b]) => `${a}, ${b}`));
  expect(found).toEqual([]);
});
