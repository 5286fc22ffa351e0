/**
 * The hooks that every repository runs, as files of the data directory. They ask nobody: what they need
 * stands in the environment that git-http.ts gives to one push.
 *
 * LOCAL_GITEE_FILE_BYTES, LOCAL_GITEE_REPO_MB   limits, empty where there is none
 * LOCAL_GITEE_PROTECTED                         refs that this user may not push to, by blanks
 * LOCAL_GITEE_REFUSE_TEXT                       refuse with this text
 * LOCAL_GITEE_SITE, LOCAL_GITEE_REPO            for the links in the texts
 * LOCAL_GITEE_REPORT                            file that post-receive writes the moved refs to
 * LOCAL_GITEE_WORK_SECONDS                      how long post-receive has work, empty for none
 * LOCAL_GITEE_REVIEW_ID, LOCAL_GITEE_NODE       for proc-receive
 */
import { mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';

/**
 * Texts are Gitee's (help articles 4232, 4235 and logs). Only what came with this push is looked at: the
 * objects in quarantine, so the cost is that of the push and not of the repository.
 */
const PRE_RECEIVE = `#!/bin/sh
set -f
echo "Powered by GITEE.COM [1.1.23]" >&2
echo "Set trace flag $LOCAL_GITEE_TRACE" >&2
if [ -n "$LOCAL_GITEE_REFUSE_TEXT" ]; then
  printf '%s\\n' "$LOCAL_GITEE_REFUSE_TEXT" >&2
  exit 1
fi
while read -r old new ref; do
  for protected in $LOCAL_GITEE_PROTECTED; do
    if [ "$ref" = "$protected" ]; then
      echo "error: Permission denied: \${ref#refs/heads/} is a protected branch, you are not allowed to push to it." >&2
      exit 1
    fi
  done
done
new_objects() {
  cd "$GIT_QUARANTINE_PATH" || exit 1
  find . -type f -path './??/*' | sed 's|^\\./||; s|/||'
  find . -type f -name '*.idx' | while read -r idx; do git show-index <"$idx" | cut -d' ' -f2; done
}
if [ -n "$LOCAL_GITEE_FILE_BYTES" ] && [ -n "$GIT_QUARANTINE_PATH" ]; then
  new_objects | git cat-file --batch-check='%(objecttype) %(objectsize) %(objectname)' |
    awk -v limit="$LOCAL_GITEE_FILE_BYTES" '
      $1 == "blob" && $2 > limit {
        printf "error: File: %s %.2f MB, exceeds %.2f MB.\\n", $3, $2 / 1048576, limit / 1048576
        found = 1
      }
      END { exit found }' >&2 || {
    echo "Please remove the file from history and try again. ($LOCAL_GITEE_SITE/help/articles/4232)" >&2
    exit 1
  }
fi
if [ -n "$LOCAL_GITEE_REPO_MB" ]; then
  du -sk "$LOCAL_GITEE_DIR/objects" | awk -v quota="$LOCAL_GITEE_REPO_MB" '
    $1 / 1024 > quota {
      printf "Repo size: %.3fMB, exceeds quota %gMB\\n", $1 / 1024, quota
      exit 1
    }' >&2 || {
    echo "Push rejected for repository [size exceeds limit]" >&2
    echo "Repository GC: $LOCAL_GITEE_SITE/$LOCAL_GITEE_REPO/settings#git-gc" >&2
    exit 1
  }
fi
exit 0
`;

const POST_RECEIVE = `#!/bin/sh
cat >"$LOCAL_GITEE_REPORT"
if [ -n "$LOCAL_GITEE_WORK_SECONDS" ]; then exec sleep "$LOCAL_GITEE_WORK_SECONDS"; fi
`;

/** Gitee's e-mail privacy. An update hook, since git then says "hook declined" as Gitee does. */
const UPDATE_GE007 = `#!/bin/sh
echo "error: GE007: Your push would publish a private email address." >&2
echo "You can make your email public or disable this protection by visiting: $LOCAL_GITEE_SITE/profile/emails" >&2
exit 1
`;

const PROC_RECEIVE = `#!/bin/sh
exec "$LOCAL_GITEE_NODE" "$0.mjs"
`;

/**
 * Review mode (help article 4239): the client is told "ok", the branch stays, and the commits go to
 * \`auto-<id>-<branch>-<time>\`, from which Gitee opens a pull request.
 * Protocol: githooks(5), proc-receive.
 */
const PROC_RECEIVE_MJS = `import { execFileSync } from 'node:child_process';
import { readSync, writeSync } from 'node:fs';

function readExactly(sizeBytes) {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; ) {
    const read = readSync(0, bytes, at, sizeBytes - at, null);
    if (read === 0) throw new Error('receive-pack ended early');
    at += read;
  }
  return bytes.toString('utf8');
}

function readUntilFlush() {
  const lines = [];
  for (;;) {
    const sizeBytes = parseInt(readExactly(4), 16);
    if (sizeBytes === 0) return lines;
    lines.push(readExactly(sizeBytes - 4).replace(/\\n$/, ''));
  }
}

function write(lines) {
  const packets = lines.map((l) => (Buffer.byteLength(l) + 4).toString(16).padStart(4, '0') + l);
  writeSync(1, packets.join('') + '0000');
}

readUntilFlush();
write(['version=1']);
const answers = [];
for (const command of readUntilFlush()) {
  const [, commit, ref] = command.split(' ');
  const branch = ref.replace('refs/heads/', '');
  const review = 'auto-' + process.env.LOCAL_GITEE_REVIEW_ID + '-' + branch + '-' + Date.now();
  if (!/^0+$/.test(commit)) execFileSync('git', ['update-ref', 'refs/heads/' + review, commit]);
  console.error('Create Pull Request from ' + review + ' to ' + branch);
  answers.push('ok ' + ref);
}
write(answers);
`;

/** Writes the hooks. Returns the directory for every push, and the one for pushes that GE007 refuses. */
export async function writeHooks(dataDir: string): Promise<{ usual: string; ge007: string }> {
  const usual = path.join(dataDir, 'hooks');
  const ge007 = path.join(dataDir, 'hooks-ge007');
  const common: [string, string][] = [
    ['pre-receive', PRE_RECEIVE],
    ['post-receive', POST_RECEIVE],
    ['proc-receive', PROC_RECEIVE],
    ['proc-receive.mjs', PROC_RECEIVE_MJS],
  ];
  await writeAll(usual, common);
  await writeAll(ge007, [...common, ['update', UPDATE_GE007]]);
  return { usual, ge007 };
}

async function writeAll(directory: string, files: [string, string][]): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [name, text] of files) await writeFile(path.join(directory, name), text, { mode: 0o755 });
}
