/**
 * docs/ARCHITECTURE.md says which interfaces have a contract suite. Held here: each of them has one, each class that
 * says that it implements one of them is run by that suite, and there is no suite that the page does not name.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const sources = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`);

/** Interface to file, as the page has them. */
function documented(): Map<string, string> {
  const sentence = /^The seams are interfaces with a contract suite each .*?\.(?= They)/m.exec(
    read('docs/ARCHITECTURE.md'),
  )![0];
  const seams = new Map<string, string>();
  let names: string[] = [];
  for (const [, name, file] of sentence.matchAll(/`([A-Z]\w+)`|`(src\/[\w/-]+\.ts)`/g)) {
    if (name) names.push(name);
    for (const each of file ? names : []) seams.set(each, file!);
    if (file) names = [];
  }
  return seams;
}

const SEAMS = documented();
const suiteOf = (seam: string) => `${seam[0]!.toLowerCase()}${seam.slice(1)}Contract`;
const tests = ['test/unit', 'test/integration'].flatMap(sources).filter((path) => path.endsWith('.test.ts'));
const runs = tests.flatMap((path) => [...read(path).matchAll(/\b(\w+Contract)\(\s*'(\w+)/g)]);
const isRun = (seam: string, name: string) =>
  runs.some(([, suite, run]) => run === name && suite === suiteOf(seam));

test('every seam of the page is an interface of its file, and has a suite', () => {
  expect(SEAMS.size).toBeGreaterThan(7);
  const suites = sources('test/contract').map(read).join('\n');
  for (const [seam, file] of SEAMS) {
    expect([seam, read(file).includes(`export interface ${seam} `)]).toEqual([seam, true]);
    expect([seam, suites.includes(`export function ${suiteOf(seam)}`)]).toEqual([seam, true]);
  }
});

test('every suite is of a seam that the page names', () => {
  const suites = sources('test/contract').flatMap((path) => [
    ...read(path).matchAll(/export function (\w+Contract)/g),
  ]);
  expect(suites.map((suite) => suite[1]!).sort()).toEqual([...SEAMS.keys()].map(suiteOf).sort());
});

test('every class that implements a seam is run by its suite: product, wrapper or double', () => {
  const missing: string[] = [];
  for (const path of ['src', 'test/support'].flatMap(sources))
    for (const [, name, seam] of read(path).matchAll(/class (\w+)(?:<\w+>)? implements (\w+)/g))
      if (SEAMS.has(seam!) && !isRun(seam!, name!)) missing.push(`${name} (${path}) as ${seam}`);
  expect(missing).toEqual([]);
});
