import type { CommitId, TreePath } from '../../../src/format/ids.js';
import { RESTORE_PATH, RESTORE_SH, type LayoutRules } from '../../../src/format/tree-layout.js';
import type { HeadRemote } from '../../../src/gitee/remote.js';
import { gitBlobId } from '../../../src/index/git-blob-id.js';
import { bucketFileEdits } from '../../../src/journal/bucket-files.js';

const rules: LayoutRules = { preset: 'generic', registryRoot: '', inlineLimitBytes: 1, chunkSizeBytes: 1 };
const head = 'a'.repeat(40) as CommitId;

/** A branch that has these files; nothing else of it is asked, and none is read: that costs processes at each commit. */
function branchWith(files: ReadonlyMap<TreePath, Uint8Array>): HeadRemote {
  const fileId = async (_commit: CommitId, path: TreePath) => {
    const content = files.get(path);
    return content && gitBlobId(content);
  };
  return { fileId } as unknown as HeadRemote;
}

async function contentsOf(files: ReadonlyMap<TreePath, Uint8Array>): Promise<Map<TreePath, Uint8Array>> {
  const written = new Map<TreePath, Uint8Array>();
  for (const edit of await bucketFileEdits(branchWith(files), head, rules, 1)) {
    // What else stands at these paths gives way to them.
    if (edit.kind !== 'put') continue;
    written.set(edit.path, await edit.content());
  }
  return written;
}

test('a bucket with the script of another version gets this one, and then no more', async () => {
  const now = await contentsOf(new Map());
  expect([...now.keys()]).toEqual(['.gitattributes', '.gateway/format.json', '.gateway/restore.sh']);
  expect(await contentsOf(now)).toEqual(new Map());

  const before = new Map(now).set(
    RESTORE_PATH,
    Buffer.from('#!/bin/sh\necho the script of an older gateway\n'),
  );
  expect(await contentsOf(before)).toEqual(new Map([[RESTORE_PATH, Buffer.from(RESTORE_SH)]]));
});
