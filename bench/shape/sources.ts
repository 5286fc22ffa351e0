import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';

const LINES_MAX = 400;
/** So many lines in a row that stand elsewhere, too, are a duplicate. */
const WINDOW_LINES = 8;

export interface SourceFigures {
  readonly files: number;
  readonly lines: number;
  readonly overLong: readonly string[];
  /** Lines of runs that stand in more than one place; without comments, imports, and lines of brackets alone. */
  readonly duplicateLines: number;
}

/** What can be counted in the sources of a checkout. */
export function sourceFigures(checkout: string): SourceFigures {
  const root = path.join(checkout, 'src');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const texts = files.map((name) => readFileSync(path.join(root, name), 'utf8').split('\n'));
  const lengths = texts.map((lines) => lines.length - 1);
  return {
    files: files.length,
    lines: lengths.reduce((sum, n) => sum + n, 0),
    overLong: files.filter((_, i) => lengths[i]! > LINES_MAX),
    duplicateLines: duplicateLines(texts),
  };
}

function duplicateLines(texts: readonly (readonly string[])[]): number {
  const places = new Map<string, number[]>();
  let base = 0;
  for (const text of texts) {
    const lines = meaning(text);
    for (let i = 0; i + WINDOW_LINES <= lines.length; i += 1) {
      const id = createHash('sha1')
        .update(lines.slice(i, i + WINDOW_LINES).join('\n'))
        .digest('base64');
      places.set(id, [...(places.get(id) ?? []), base + i]);
    }
    base += lines.length;
  }
  const inRuns = new Set<number>();
  for (const starts of places.values())
    if (starts.length > 1)
      for (const start of starts) for (let i = 0; i < WINDOW_LINES; i += 1) inRuns.add(start + i);
  return inRuns.size;
}

const meaning = (lines: readonly string[]): string[] => {
  const text = lines.join('\n').replace(/\/\*[^]*?\*\//g, '');
  return text
    .replace(/^import [^;]*;$/gm, '')
    .split('\n')
    .map((line) => line.replace(/\/\/.*$/, '').trim())
    .filter((line) => /\w/.test(line));
};
