import { REMOTE_CAUSES } from '../../src/gitee/errors.js';
import { section } from './document.js';

test('every cause at Gitee is explained to an operator, and every explained cause exists', () => {
  const documented = [...section('docs/errors.md', 'causes').matchAll(/^\| `([a-z-]+)` \|/gm)].map(
    (m) => m[1]!,
  );
  expect([...documented].sort()).toEqual([...REMOTE_CAUSES].sort());
});
