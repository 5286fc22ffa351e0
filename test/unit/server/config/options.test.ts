import { pathOf } from '../../../../src/server/config/environment.js';
import { compileKeyPattern } from '../../../../src/server/config/key-pattern.js';
import { nearestName } from '../../../../src/server/config/nearest-name.js';
import { propertyName } from '../../../../src/server/config/option.js';
import { ENVIRONMENT_PREFIX, SPECIAL_NAMES, optionRows } from '../../../../src/server/config/option-walk.js';
import { OPTIONS } from '../../../../src/server/config/options.js';

test("every option is reached by its environment name, and by no other option's", () => {
  const rows = optionRows(OPTIONS);
  for (const row of rows) {
    const path = pathOf(OPTIONS, row.environment.slice(ENVIRONMENT_PREFIX.length));
    const text = path?.map((part) => (typeof part === 'number' ? '[]' : `.${part}`)).join('');
    expect(text?.slice(1)).toBe(row.path);
    expect(SPECIAL_NAMES).not.toHaveProperty([row.environment]);
  }
  expect(new Set(rows.map((row) => row.environment)).size).toBe(rows.length);
});

test('every default passes its own check', () => {
  for (const { path, leaf } of optionRows(OPTIONS)) {
    // Written as YAML; the loader reads them, as the test of its defaults shows.
    if (leaf.default === undefined || leaf.kind === 'rights' || leaf.kind === 'texts') continue;
    expect([path, leaf.schema.safeParse(leaf.default).success]).toEqual([path, true]);
  }
});

test('properties have their unit last, once', () => {
  expect(propertyName('chunk_size', OPTIONS.chunk_size)).toBe('chunkSizeBytes');
  expect(propertyName('max_bytes', OPTIONS.cache.fields.max_bytes)).toBe('maxBytes');
  expect(propertyName('push_per_100k_keys', OPTIONS.gitee.fields.timeouts.fields.push_per_100k_keys)).toBe(
    'pushPer100kKeysMs',
  );
});

describe('key patterns', () => {
  const tags = compileKeyPattern('docker/registry/v2/repositories/**/_manifests/tags/*/current/link');
  test.each([
    ['docker/registry/v2/repositories/a/_manifests/tags/latest/current/link', true],
    ['docker/registry/v2/repositories/a/b/c/_manifests/tags/v1/current/link', true],
    ['docker/registry/v2/repositories/a/_manifests/tags/v1/index/sha256/0/link', false],
    ['docker/registry/v2/repositories/a/_manifests/tags/v1/x/current/link', false],
    ['x/docker/registry/v2/repositories/a/_manifests/tags/v1/current/link', false],
    ['docker/registry/v2/repositories/a/_manifests/tags/v1/current/link\n', false],
  ])('%j', (key, matches) => expect(tags.test(key)).toBe(matches));

  test('everything but stars stands for itself', () => {
    expect(compileKeyPattern('a.b+(c)').test('a.b+(c)')).toBe(true);
    expect(compileKeyPattern('a.b').test('axb')).toBe(false);
    expect(compileKeyPattern('**/x').test('x')).toBe(true);
    expect(compileKeyPattern('*').test('a/b')).toBe(false);
    expect(compileKeyPattern('a/**').test('a/😀/c')).toBe(true);
  });
});

test('a name far from all others has no nearest one', () => {
  expect(nearestName('zzzzzz', ['region', 'metrics'])).toBeUndefined();
  expect(nearestName('statedir', ['state_dir', 'metrics'])).toBe('state_dir');
});
