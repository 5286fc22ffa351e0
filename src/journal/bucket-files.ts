/** The files of a bucket that belong to no object: attributes, format and the script that restores it. */
import type { CommitId, TreePath } from '../format/ids.js';
import {
  ATTRIBUTES_PATH,
  FORMAT_PATH,
  GATEWAY_DIR,
  gitattributes,
  RESTORE_PATH,
  RESTORE_SH,
  type LayoutRules,
} from '../format/tree-layout.js';
import { encodeFormat, SELF_VOLUME } from '../format/version.js';
import type { HeadRemote, PathEdit } from '../gitee/remote.js';
import { gitBlobId } from '../index/git-blob-id.js';

/** Edits that make them what they must be; none where they are. */
export async function bucketFileEdits(
  remote: HeadRemote,
  head: CommitId | null,
  rules: LayoutRules,
  repositoryId: number,
): Promise<PathEdit[]> {
  const format = encodeFormat({ version: 1, repositoryId, features: [], volumes: [SELF_VOLUME] });
  const wanted: readonly (readonly [TreePath, Uint8Array])[] = [
    [ATTRIBUTES_PATH, Buffer.from(gitattributes(rules))],
    [FORMAT_PATH, format],
    [RESTORE_PATH, Buffer.from(RESTORE_SH)],
  ];
  const edits: PathEdit[] = [];
  for (const [path, content] of wanted) {
    const present = head === null ? undefined : await remote.fileId(head, path);
    if (present === gitBlobId(content)) continue;
    // Nothing else may stand at these paths; what did would keep every commit off the branch.
    if (path.startsWith(`${GATEWAY_DIR}/`)) edits.push({ kind: 'remove-file', path: GATEWAY_DIR });
    edits.push({ kind: 'remove-tree', path }, { kind: 'put', path, content: async () => content });
  }
  return edits;
}
