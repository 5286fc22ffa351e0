/** Old data stays readable: a bucket of format 1, kept as it was written, and everything that it holds. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TreePath } from '../../../src/format/ids.js';
import { parsePointer } from '../../../src/format/lfs-pointer.js';
import { classifyPath } from '../../../src/format/tree-layout.js';
import { decodeFormat } from '../../../src/format/version.js';

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/format/${name}`, import.meta.url));
const golden = JSON.parse(readFileSync(fixture('format-1.json'), 'utf8')) as {
  objects: Record<string, string>;
};
const CHUNK_BYTES = 64;

describe('a bucket of format 1', () => {
  const dir = mkdtempSync(join(tmpdir(), 'format-1-'));
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', dir, ...args], { env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null' } });
  const show = (path: string) => git('cat-file', 'blob', `main:${path}`);

  beforeAll(() => {
    git('init', '-q', '--bare');
    git('fetch', '-q', fixture('format-1.bundle'), 'main:main');
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  test('has a format.json that is read', () => {
    expect(decodeFormat(show('.gateway/format.json'))).toMatchObject({ version: 1, repositoryId: 1 });
  });

  test('holds exactly its objects, in bytes and in chunks', () => {
    // The chunks are not in the bundle; their pointers tell their hashes and sizes.
    const pieces = new Map<string, Buffer>();
    for (const base64 of Object.values(golden.objects)) {
      const bytes = Buffer.from(base64, 'base64');
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
        const piece = bytes.subarray(at, at + CHUNK_BYTES);
        pieces.set(createHash('sha256').update(piece).digest('hex'), piece);
      }
    }
    const chunkOf = (path: string) => {
      const pointer = parsePointer(show(path));
      const piece = pieces.get(pointer?.oid ?? '');
      if (piece?.length !== pointer?.sizeBytes || !piece) throw new Error(`${path} points nowhere`);
      return piece;
    };

    const found = new Map<string, Buffer[]>();
    for (const path of git('ls-tree', '-r', '-z', '--name-only', 'main').toString().split('\0')) {
      if (path === '') continue;
      const place = classifyPath(path as TreePath);
      if (place.kind === 'gateway') continue;
      if (place.kind === 'foreign') throw new Error(`${path} has no key`);
      const isBlob = /\/blobs\/.*\/data$/.test(place.key) && show(path).length > 0;
      const parts = found.get(place.key) ?? [];
      const index = place.kind === 'chunk' ? place.index : 0;
      parts[index] = place.kind === 'chunk' || isBlob ? chunkOf(path) : show(path);
      found.set(place.key, parts);
    }

    const objects = [...found].map(([key, parts]) => [key, Buffer.concat(parts).toString('base64')]);
    expect(Object.fromEntries(objects)).toEqual(golden.objects);
  });
});
