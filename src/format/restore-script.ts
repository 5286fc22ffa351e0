/**
 * `.gateway/restore.sh`, committed with every bucket: makes ordinary files of a clone, without us. POSIX sh, no
 * arrays, no `local`, octal printf only, so that dash and busybox run it. Escaped paths hold no control characters,
 * so a list with one path a line is safe; names that nobody's key could have (another program's file) are kept as
 * they are. Nothing is decoded twice: the list of names is complete before the first one changes.
 */
export const RESTORE_SH = scriptOf(String.raw`#!/bin/sh
# Makes ordinary files of this bucket: sh .gateway/restore.sh TARGET_DIR
#
# Run it from a clone, after "git lfs pull". TARGET_DIR must be empty or absent, and outside of the clone.
# Directories "<name>%chunks" become files, "<name>%object" becomes <name>, and %XX becomes the byte it stands for.
# Exit status: 0 all done; 1 nothing usable was made; 3 done, but some names cannot exist in a file system
# (a key "a" beside a key "a/b", "..", empty components): they keep their escaped form and are listed.
set -eu
LC_ALL=C
export LC_ALL

fail() { printf 'restore: %s\n' "$1" >&2; exit 1; }

[ $# -eq 1 ] && [ -n "$1" ] || fail 'usage: sh .gateway/restore.sh TARGET_DIR'
mkdir -p -- "$1" || fail 'cannot make the target directory'
target=$(CDPATH= cd -- "$1" && pwd -P && echo .) || fail 'cannot enter the target directory'
target=@{target%??}
case $0 in
  */*) cd -- "@{0%/*}/.." ;;
  *) cd .. ;;
esac
[ -f .gateway/format.json ] || fail 'run it as .gateway/restore.sh of a clone: .gateway/format.json is missing'
here=$(pwd -P && echo .)
here=@{here%??}
case $target/ in
  "@{here%/}"/*) fail 'the target directory must be outside of the clone' ;;
esac
for entry in "$target"/* "$target"/.[!.]* "$target"/..?*; do
  if [ -e "$entry" ] || [ -L "$entry" ]; then fail "not empty: $target"; fi
done
work=$target/%restore
mkdir -- "$work" || fail 'cannot write to the target directory'
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM

# A small file that reads like a pointer is one that was not fetched if git has the very same bytes. An object
# whose own bytes read like a pointer is a chunk, and git has another pointer in its place.
find . -name .git -prune -o -type f -size -3 \
  -exec grep -l -E '^version (https?://git-media|https://hawser|https://git-lfs)' {} + > "$work/suspects" || :
while IFS= read -r file; do
  if ! git cat-file blob "HEAD:$file" > "$work/blob" 2>/dev/null || cmp -s "$work/blob" "$file"; then
    fail "$file is not fetched yet: run \"git lfs pull\" first"
  fi
done < "$work/suspects"

for entry in * .[!.]* ..?*; do
  # No key stands at %restore: that would be a stranger's file in the place of our own working directory.
  case $entry in .git | .gitattributes | .gateway | %restore) continue ;; esac
  if [ -e "$entry" ] || [ -L "$entry" ]; then cp -RP -- "./$entry" "$target/"; fi
done

cd -- "$target"
find . -depth -name '*%*' ! -path ./%restore > "$work/names"

kept=0
keep() {
  printf 'restore: kept as %s (%s)\n' "$1" "$2" >&2
  kept=1
}

# Sets decoded to the bytes of the escaped name $1; fails where they cannot be a file's name.
decode() {
  rest=$1
  decoded=
  while :; do
    case $rest in
      *%*) ;;
      *) break ;;
    esac
    decoded=$decoded@{rest%%%*}
    rest=@{rest#*%}
    case $rest in
      00* | 2F*) return 1 ;;
      [0-9A-F][0-9A-F]*) ;;
      *) return 1 ;;
    esac
    octal=$(printf '%03o' "0x@{rest%"@{rest#??}"}")
    byte=$(printf '%b.' "\\0$octal")
    decoded=$decoded@{byte%.}
    rest=@{rest#??}
  done
  decoded=$decoded$rest
  case $decoded in
    '' | . | ..) return 1 ;;
  esac
  [ @{#decoded} -le 255 ]
}

# Joins the chunks 000000, 000001, ... of directory $1 to "$work/joined"; fails where one is missing.
join() {
  : > "$work/joined"
  count=0
  while :; do
    chunk=$1/$(printf '%06d' "$count")
    if [ ! -f "$chunk" ] || [ -L "$chunk" ]; then break; fi
    cat -- "$chunk" >> "$work/joined"
    count=$((count + 1))
  done
  found=0
  for chunk in "$1"/* "$1"/.[!.]*; do
    if [ -e "$chunk" ] || [ -L "$chunk" ]; then found=$((found + 1)); fi
  done
  [ "$count" -gt 0 ] && [ "$count" -eq "$found" ]
}

while IFS= read -r path; do
  [ -e "$path" ] || [ -L "$path" ] || continue
  dir=@{path%/*}
  name=@{path##*/}
  case $name in
    *%+)
      # The pieces of a long name have moved up by now; what is left could not.
      rmdir -- "$path" 2>/dev/null || keep "$path" 'holds names that a file system cannot have'
      continue
      ;;
    %-)
      # An empty object "a/" is what S3 tools write for a directory: the directory is there.
      if [ -f "$path" ] && [ ! -s "$path" ]; then rm -- "$path"; else keep "$path" 'empty component'; fi
      continue
      ;;
  esac
  form=plain
  case $name in
    *%chunks) form=chunks name=@{name%\%chunks} ;;
    *%object) name=@{name%\%object} ;;
  esac
  while :; do
    case $name in
      %+*) ;;
      *) break ;;
    esac
    piece=@{dir##*/}
    dir=@{dir%/*}
    name=@{piece%\%+}@{name#\%+}
  done
  if ! decode "$name"; then
    keep "$path" 'no file can have this name'
    continue
  fi
  if [ -e "$dir/$decoded" ] || [ -L "$dir/$decoded" ]; then
    keep "$path" 'a file or directory of this name is there'
    continue
  fi
  if [ "$form" = chunks ]; then
    if ! join "$path"; then fail "$path lacks a chunk: the clone is not complete"; fi
    if mv -- "$work/joined" "$dir/$decoded" 2>/dev/null; then rm -rf -- "$path"; continue; fi
  elif mv -- "$path" "$dir/$decoded" 2>/dev/null; then
    continue
  fi
  keep "$path" 'the file system refuses the name'
done < "$work/names"

if [ "$kept" -ne 0 ]; then exit 3; fi
`);

/** In the text above `@{` stands for the shell's `${`, which a template literal would take for itself. */
function scriptOf(text: string): string {
  return text.replaceAll('@{', '${');
}
