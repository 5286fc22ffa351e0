/** Reads documents of this repository for the tests of what they promise. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Jest runs in the root of the checkout. */
export const ROOT = process.cwd();

export function readDocument(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** What stands between `<!-- name -->` and `<!-- /name -->`. */
export function section(path: string, name: string): string {
  const text = readDocument(path);
  const [start, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} has no section ${start}`);
  return text.slice(from + start.length, to);
}

export function exists(path: string): boolean {
  return existsSync(join(ROOT, path));
}
