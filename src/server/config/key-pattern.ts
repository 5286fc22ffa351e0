/**
 * Patterns of object keys, as in barrier_patterns: `*` stands for any characters but `/`, `**` for any at all;
 * `a/**` + `/b` also matches `a/b`. Everything else stands for itself, and the whole key must match.
 */
export function compileKeyPattern(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|[.+?^${}()|[\]\\]/g, (token) => {
    if (token === '**/') return '(?:.*/)?';
    if (token === '**') return '.*';
    return token === '*' ? '[^/]*' : `\\${token}`;
  });
  return new RegExp(`^${source}$`, 'su');
}
