import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { bytesOf } from './s3-bucket.js';

/** Writes files by their path below a directory. */
export async function writeTree(root: string, files: Readonly<Record<string, Buffer>>): Promise<void> {
  for (const [name, bytes] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), bytes);
  }
}

/** SHA-256 of every file below a directory, by path. */
export async function readTree(root: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    tree[path.relative(root, file)] = sha256(await readFile(file));
  }
  return Object.fromEntries(Object.entries(tree).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function hashesOf(files: Readonly<Record<string, Buffer>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files)
      .map(([name, bytes]) => [name, sha256(bytes)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** 5 names of 203 bytes: below `tree/` a key of 1,024 bytes, the longest that S3 has. */
const LONGEST = Array.from({ length: 5 }, (_, i) => String(i).repeat(203)).join('/');

/** Small, empty, 64 MiB, and names that clients and gateways get wrong. */
export const ODD_TREE: Readonly<Record<string, Buffer>> = {
  'small.txt': Buffer.from('hello'),
  empty: Buffer.alloc(0),
  'large.bin': bytesOf(64 * 1024 * 1024, 'large'),
  'a/inline': bytesOf(64 * 1024, 'inline'),
  'a/over': bytesOf(64 * 1024 + 1, 'over'),
  'a b/c  d': Buffer.from('blanks'),
  'plus+plus/+': Buffer.from('plus'),
  'percent%2Fslash': Buffer.from('percent'),
  '100%': Buffer.from('hundred'),
  '中文/文件.txt': Buffer.from('chinese'),
  '🐳': Buffer.from('whale'),
  [`quote's "double"`]: Buffer.from('quotes'),
  'tilde~(paren)*!&=;,$@:#?[]{}|^': Buffer.from('signs'),
  '.git/config': Buffer.from('git'),
  '.hidden': Buffer.from('hidden'),
  'deep/er/and/deeper/still/x': Buffer.from('deep'),
  ['n'.repeat(240)]: Buffer.from('long name'),
  [LONGEST]: Buffer.from('longest key'),
};

/** Keys that no file of a local tree can have. */
export const ODD_KEYS: readonly string[] = [
  'a//b',
  '/leading',
  'trailing/',
  '../up',
  'back\\slash',
  `${'k'.repeat(255)}/${'好'.repeat(256)}`,
];

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
