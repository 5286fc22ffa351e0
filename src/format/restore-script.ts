/**
 * `.gateway/restore.sh`, committed with every bucket: makes ordinary files of a clone, without us. POSIX sh and awk,
 * no arrays, no `local`, so that dash, bash and busybox run it.
 *
 * A tree is made by anybody who may push, and the script is run by root. So it never looks at what is checked out:
 * it reads the commit that HEAD names and the LFS objects by their hashes, and so meets no link, no device and no
 * name that a file system would understand otherwise. It writes only what it has worked out itself, into a directory
 * that it made itself. Nothing is decided by a name before that name was found to be exactly the escaped form of a
 * key (`restore-plan.ts`).
 */
import { RESTORE_PLAN_AWK } from './restore-plan.js';

export const RESTORE_SH = scriptOf(String.raw`#!/bin/sh
# Makes ordinary files of this bucket: sh .gateway/restore.sh TARGET_DIR [BUCKET_DIR]
#
# This file came with the repository: whoever may push may have changed it. Where that matters, take restore.sh from
# a release of the gateway and say where the bucket lies: sh restore.sh TARGET_DIR BUCKET_DIR
#
# Run it after "git lfs pull". TARGET_DIR must be empty or absent, and outside of the clone. BUCKET_DIR is the
# directory of the clone that has .gateway/ (if left out: the one that this script lies in).
# What the commit HEAD names is restored, whatever is checked out: directories "<name>%chunks" become files,
# "<name>%object" becomes <name>, and %XX becomes the byte it stands for. Sizes and hashes of all chunks are checked.
# Exit status: 0 all done; 1 nothing was made; 3 done, but some names cannot exist in a file system (a key "a" beside
# a key "a/b", "..", empty components): they keep their escaped form and are listed; 4 done, but something was left
# out and is listed: links, what is no object, damaged objects, chunks that are missing or have other bytes.
set -eu
LC_ALL=C
export LC_ALL
unset CDPATH GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE
GIT_NO_REPLACE_OBJECTS=1 GIT_NO_LAZY_FETCH=1 GIT_TERMINAL_PROMPT=0
export GIT_NO_REPLACE_OBJECTS GIT_NO_LAZY_FETCH GIT_TERMINAL_PROMPT

fail() { printf 'restore: %s\n' "$1" >&2; exit 1; }

[ $# -ge 1 ] && [ $# -le 2 ] && [ -n "$1" ] || fail 'usage: sh restore.sh TARGET_DIR [BUCKET_DIR]'
if command -v sha256sum >/dev/null 2>&1; then sha256() { sha256sum; }
elif command -v shasum >/dev/null 2>&1; then sha256() { shasum -a 256; }
else fail 'sha256sum is missing'
fi
mkdir -p -- "$1" || fail 'cannot make the target directory'
target=$(cd -- "$1" && pwd -P && echo .) || fail 'cannot enter the target directory'
target=@{target%??}
if [ $# -eq 2 ]; then cd -- "$2" || fail 'cannot enter the bucket directory'
else
  case $0 in
    */*) cd -- "@{0%/*}/.." ;;
    *) cd .. ;;
  esac
fi
common=$(git rev-parse --git-common-dir && echo .) || fail 'this is no git clone'
common=$(cd -- "@{common%??}" && pwd -P && echo .) || fail 'this is no git clone'
common=@{common%??}
top=$(git rev-parse --show-toplevel 2>/dev/null && echo .) || top="$common
."
top=$(cd -- "@{top%??}" && pwd -P && echo .) || fail 'this is no git clone'
case $target/ in
  "@{top%??}"/* | "$common"/*) fail 'the target directory must be outside of the clone' ;;
esac
for entry in "$target"/* "$target"/.[!.]* "$target"/..?*; do
  if [ -e "$entry" ] || [ -L "$entry" ]; then fail 'the target directory is not empty'; fi
done
storage=$(git config --get lfs.storage && echo .) || storage="lfs
."
storage=@{storage%??}
case $storage in
  /*) ;;
  *) storage=$common/$storage ;;
esac
work=$(mktemp -d "$target/.restore.XXXXXX" && echo .) || fail 'cannot write to the target directory'
work=@{work%??}
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -- "$work/out"

# Names with control characters, quotation marks or backslashes are quoted by git, so one line is one name.
git -c core.quotePath=false ls-tree -r -l HEAD > "$work/tree" || fail 'git cannot read the commit HEAD'

# One line per step: what to make of which blob, under which name (octal escapes for printf %b).
cat > "$work/plan.awk" << 'END_OF_AWK'
${RESTORE_PLAN_AWK}END_OF_AWK
awk -f "$work/plan.awk" "$work/tree" "$work/tree" > "$work/plan" || fail 'awk failed'

# A small blob is a pointer where git-lfs would decode it (docs/spec.md of git-lfs): prints oid and size.
pointer() {
  grep -q -e git-lfs -e hawser -e git-media "$1" || return 0
  tr '\000' '\001' < "$1" | awk '
    { sub(/\r$/, ""); if (n == 0) sub(/^[ \t\r\v\f]+/, "") }
    $0 == "" { next }
    /^[ \t\r\v\f]+$/ { blank = 1; next }
    { key = $0; sub(/ .*/, "", key); value = substr($0, length(key) + 2) }
    blank || n == 3 { bad = 1; exit }
    key == "version" && n == 0 { version = value; n++; next }
    key == "oid" && n == 1 { oid = value; n++; next }
    key == "size" && n == 2 { size = value; sub(/[ \t\r\v\f]+$/, "", size); n++; next }
    key ~ /^ext-[0-9]-[A-Za-z0-9_]/ { extended = 1; next }
    { bad = 1; exit }
    END {
      if (size ~ /^-0+$/) size = 0
      sub(/^[+]/, "", size)
      if (bad || n != 3 || length(oid) != 71 || oid !~ /^sha256:[0-9a-f]+$/ || size !~ /^[0-9]+$/) exit
      sub(/^0+/, "", size)
      if (version == "https://git-lfs.github.com/spec/v1" || version == "http://git-media.io/v/2" ||
          version == "https://hawser.github.com/spec/v1")
        print substr(oid, 8), (extended || length(size) > 15) ? "none" : (size == "" ? 0 : size)
    }'
}

kept=0
left=0
fetched=0
missing=0
# What was left out, and why. Names that are shown hold no control characters: the plan sees to it.
leave() { printf 'restore: left out: %s (%s)\n' "$2" "$1" >&2; left=1; }

# Appends the chunk of oid $1 and size $2 to "$work/joined"; sets problem where it is not there as it must be.
chunk() {
  problem='its pointer names no chunk'
  [ "$2" != none ] || return 0
  problem=
  rest=@{1#??}
  file=$storage/objects/@{1%"$rest"}/@{rest%"@{rest#??}"}/$1
  if [ -L "$file" ] || [ ! -f "$file" ]; then
    missing=$((missing + 1))
    problem="its chunk $1 is not fetched: run git lfs pull"
    return 0
  fi
  fetched=1
  bytes=$(wc -c < "$file")
  sum=$(sha256 < "$file")
  if [ $((bytes)) -ne "$2" ]; then problem="its chunk $1 has another size"
  elif [ "@{sum%% *}" != "$1" ]; then problem="its chunk $1 has other bytes"
  else cat -- "$file" >> "$work/joined" || fail 'cannot write to the target directory'
  fi
}

# Puts "$work/joined" at the name $2 (octal escapes), which must be new; $1: kept; $3: SHA-256 or "-"; $4: as shown.
place() {
  if [ "$3" != - ]; then
    sum=$(sha256 < "$work/joined")
    if [ "@{sum%% *}" != "$3" ]; then leave 'its bytes are not those of its digest' "$4"; return; fi
  fi
  name=$(printf '%b.' "$2")
  name=$work/out/@{name%.}
  if ! mkdir -p -- "@{name%/*}" 2>/dev/null || [ -e "$name" ] || [ -L "$name" ]; then
    leave 'something else has its name' "$4"
  elif ! mv -- "$work/joined" "$name" 2>/dev/null; then
    leave 'the file system refuses the name' "$4"
  elif [ "$1" = 1 ]; then
    printf 'restore: kept as ./%s (no file can have its name)\n' "$4" >&2
    kept=1
  fi
}

while IFS=' ' read -r kind blob size keep digest name shown <&3; do
  case $kind in
    FORMAT)
      git cat-file blob "$blob" | tr -d ' \t\r\n' > "$work/format"
      if ! grep -q '"version":1[,}]' "$work/format" || ! grep -q '"features":\[\]' "$work/format"; then
        fail 'this bucket has a format that this script does not know: .gateway/format.json'
      fi
      ;;
    NOFORMAT) fail 'this is no bucket: .gateway/format.json is missing' ;;
    LEAVE)
      # "_" stands for a blank in the reason.
      reason=
      while :; do
        case $blob in
          *_*) reason=$reason@{blob%%_*}' ' blob=@{blob#*_} ;;
          *) break ;;
        esac
      done
      leave "$reason$blob" "$shown"
      ;;
    DIR)
      name=$(printf '%b.' "$name")
      mkdir -p -- "$work/out/@{name%.}" 2>/dev/null || leave 'something else has its name' "$shown"
      ;;
    FILE)
      git cat-file blob "$blob" > "$work/joined" || fail "git cannot read the blob $blob"
      found=
      if [ "$size" -gt 0 ] && [ "$size" -le 1024 ]; then found=$(pointer "$work/joined"); fi
      if [ -n "$found" ]; then
        : > "$work/joined"
        chunk $found
        if [ -n "$problem" ]; then leave "$problem" "$shown"; continue; fi
      fi
      place "$keep" "$name" "$digest" "$shown"
      ;;
    CHUNKS) problem= ; : > "$work/joined" ;;
    CHUNK)
      [ -z "$problem" ] || continue
      found=
      if [ "$size" -le 1024 ]; then
        git cat-file blob "$blob" > "$work/blob" || fail "git cannot read the blob $blob"
        found=$(pointer "$work/blob")
      fi
      if [ -n "$found" ]; then chunk $found; else problem='a file among its chunks is no pointer'; fi
      ;;
    END)
      if [ -n "$problem" ]; then leave "$problem" "$shown"; else place "$keep" "$name" "$digest" "$shown"; fi
      ;;
  esac
done 3< "$work/plan"

if [ "$missing" -ne 0 ] && [ "$fetched" -eq 0 ]; then fail 'no chunk is fetched yet: run "git lfs pull" first'; fi
for entry in "$work/out"/* "$work/out"/.[!.]* "$work/out"/..?*; do
  if [ -e "$entry" ]; then mv -- "$entry" "$target/" || fail 'cannot write to the target directory'; fi
done
if [ "$left" -ne 0 ]; then exit 4; fi
if [ "$kept" -ne 0 ]; then exit 3; fi
`);

/** In the text above `@{` stands for the shell's `${`, which a template literal would take for itself. */
function scriptOf(text: string): string {
  return text.replaceAll('@{', '${');
}
