/**
 * The part of `restore.sh` that reads names: an awk program (mawk, gawk, busybox) that is given `git ls-tree -r -l`
 * twice and prints what the shell then does, one step a line. It is the shell's own copy of `key-escape.ts` and of
 * `classifyPath`: a path that is not exactly the escaped form of a key gets into no plan. Names leave it with all
 * but letters, digits and `._-/` as octal escapes, or, where they are only to be shown, without control characters.
 *
 * Lines: KIND BLOB SIZE KEPT DIGEST NAME SHOWN. LEAVE has its reason in the second field.
 */
export const RESTORE_PLAN_AWK = String.raw`BEGIN {
  for (i = 1; i < 256; i++) ord[sprintf("%c", i)] = i
  for (i = 0; i < 16; i++) hex[substr("0123456789ABCDEF", i + 1, 1)] = i
}

# A name to be looked at: printable ASCII as it is, all else in octal.
function safe(text,   i, c, out) {
  if (text ~ /^[ -~]*$/) return text
  for (i = 1; i <= length(text); i++) {
    c = substr(text, i, 1)
    out = out (c ~ /^[ -~]$/ ? c : sprintf("\\%03o", ord[c]))
  }
  return out
}

# A name for printf %b.
function octal(text,   i, c, out) {
  if (text ~ /^[A-Za-z0-9._\/-]*$/) return text
  for (i = 1; i <= length(text); i++) {
    c = substr(text, i, 1)
    out = out (c ~ /^[A-Za-z0-9._\/-]$/ ? c : sprintf("\\0%03o", ord[c]))
  }
  return out
}

# What key-escape.ts writes as %XX: a code point, and the byte after it.
function special(cp, after) {
  return cp == 37 || cp == 92 || cp < 32 || (cp >= 127 && cp <= 159) || (cp >= 8204 && cp <= 8207) ||
    (cp >= 8234 && cp <= 8238) || (cp >= 8298 && cp <= 8303) || cp == 65279 || (cp == 126 && after >= 48 && after <= 57)
}

# Decodes one component and appends it to "decoded"; 0 where no key is written so.
# "cuts" pieces, which end at cut[1..], were joined to it: they must stand where a writer cuts.
function component(text, first, cuts,   i, j, n, x, w, v, c, cp, lower, reserved, must, used, at, k, token) {
  if (!first) { decoded = decoded "/"; keybytes++ }
  if (text == "%-") { usable = 0; return cuts == 0 }
  if (text == "") return 0
  n = 0
  for (i = 1; i <= length(text); i++) {
    c = substr(text, i, 1)
    if (c != "%") { byte[++n] = ord[c]; escaped[n] = 0; continue }
    v = substr(text, i + 1, 1)
    c = substr(text, i + 2, 1)
    if (!(v in hex) || !(c in hex)) return 0
    byte[++n] = hex[v] * 16 + hex[c]
    escaped[n] = 1
    i += 2
  }
  lower = ""
  for (i = 1; i <= n && i <= 10; i++) lower = lower (byte[i] > 31 && byte[i] < 127 ? tolower(sprintf("%c", byte[i])) : "/")
  reserved = lower ~ /^[.](git|lfsconfig|mailmap)/ || (first && lower ~ /^[.]gateway/)
  if (n == 1 && lower == "." || n == 2 && lower == "..") { reserved = 1; usable = 0 }
  used = at = k = 0
  for (j = 1; j <= n; j += w) {
    v = byte[j]
    if (v < 128) { w = 1; cp = v }
    else if (v >= 194 && v <= 223) { w = 2; cp = v - 192 }
    else if (v >= 224 && v <= 239) { w = 3; cp = v - 224 }
    else if (v >= 240 && v <= 244) { w = 4; cp = v - 240 }
    else return 0
    if (j + w - 1 > n) return 0
    for (x = 1; x < w; x++) {
      if (byte[j + x] < 128 || byte[j + x] > 191) return 0
      cp = cp * 64 + byte[j + x] - 128
    }
    if (w == 3 && cp < 2048 || w == 4 && (cp < 65536 || cp > 1114111) || cp >= 55296 && cp <= 57343) return 0
    must = special(cp, j < n ? byte[j + 1] : 0) || (j == 1 && reserved)
    for (x = 0; x < w; x++) {
      if (escaped[j + x] != must) return 0
      v = byte[j + x]
      if (v == 0) usable = 0
      c = v > 0 ? sprintf("%c", v) : ""
      decoded = decoded (c ~ /^[A-Za-z0-9._-]$/ ? c : sprintf("\\0%03o", v))
    }
    token = must ? 3 : w
    for (x = must ? w : 1; x > 0; x--) {
      if (used + token > 200) {
        if (++k > cuts || cut[k] != at) return 0
        used = 0
      }
      used += token
      at += token
    }
  }
  keybytes += n
  if (n > 255) usable = 0
  return k == cuts
}

# Whether the path is the escaped form of a key. Sets decoded (for printf %b) and usable (as a file's name).
function key(path,   i, n, text, on, more, whole, cuts, first) {
  decoded = ""
  usable = 1
  keybytes = 0
  n = split(path, piece, "/")
  on = cuts = 0
  first = 1
  for (i = 1; i <= n; i++) {
    text = piece[i]
    if (text == "" || length(text) > 211 || (substr(text, 1, 2) == "%+") != on) return 0
    more = length(text) > 2 && substr(text, length(text) - 1) == "%+"
    if (on) text = substr(text, 3)
    if (more) text = substr(text, 1, length(text) - 2)
    whole = on ? whole text : text
    if (more) { cut[++cuts] = length(whole); on = 1; continue }
    if (!component(whole, first, cuts)) return 0
    on = cuts = first = 0
  }
  return !on && keybytes > 0 && keybytes <= 1024
}

# Notes the directories that a name needs.
function parents(name) {
  while (match(name, /\/[^\/]*$/)) {
    name = substr(name, 1, RSTART - 1)
    if (name in directory) return
    directory[name] = 1
  }
}

function leave(reason, shown) { print "LEAVE", reason, 0, 0, "-", "-", shown }

# SHA-256 that the name of a registry's blob gives, or "-".
function digest(name) {
  if (!match(name, /(^|\/)docker\/registry\/v2\/blobs\/sha256\/[0-9a-f][0-9a-f]\/[0-9a-f]+\/data$/)) return "-"
  name = substr(name, 1, length(name) - 5)
  sub(/.*\//, "", name)
  return length(name) == 64 ? name : "-"
}

# Prints the step that makes the object; the fields that END needs are those of FILE.
function step(kind, blob, size) {
  keep = !usable || (decoded in directory)
  print kind, blob, size, keep, digest(decoded), keep ? octal(asfile) : decoded, asfile
}

# Sets form, base (the key's path), asfile (where it is kept) and number (of a chunk).
function classify(   at) {
  at = index(path, "%chunks/")
  if (at > 0) {
    form = 3
    base = substr(path, 1, at - 1)
    number = substr(path, at + 8)
    asfile = base "%object"
    return
  }
  asfile = base = path
  form = 1
  if (base ~ /%object$/) { form = 2; base = substr(base, 1, length(base) - 7) }
}

{
  if (NR == FNR) lines = NR
  tab = index($0, "\t")
  split(substr($0, 1, tab - 1), field, " ")
  path = shown = substr($0, tab + 1)
  quoted = 0
  if (substr(path, 1, 1) == "\"") {
    path = substr(path, 2, length(path) - 2)
    gsub(/\\"/, "\"", path)
    quoted = index(path, "\\") > 0
  }
  regular = field[2] == "blob" && field[1] ~ /^100/
  inner = path ~ /^[.]gateway\// || path == ".gitattributes"
  classify()
}

# First time: which keys there are, in which form, and whether their chunks are whole.
NR == FNR {
  if (path == ".gateway/format.json" && regular) format = field[3]
  if (inner && regular) next
  if (form == 3) {
    good = regular && !quoted && number ~ /^[0-9][0-9][0-9][0-9][0-9][0-9]$/ && number + 0 == count[base] + 0
    if (!good || count[base] > 0 && last[base] != NR - 1) damaged[base] = 1
    count[base]++
    last[base] = NR
    if (count[base] > 1) next
  }
  if (quoted || !regular || !key(base)) next
  if (!(base in best) || form < best[base]) best[base] = form
  parents(usable ? decoded : octal(asfile))
  next
}

FNR == 1 { print format == "" ? "NOFORMAT" : "FORMAT", format }

inner && regular && !quoted { next }

!regular {
  leave(field[1] == "120000" ? "a_link" : "no_ordinary_file", safe(shown))
  next
}

# Files of git and of Gitee itself (templates, .gitignore) are somebody's, and nothing that a bucket lacks.
!quoted && path ~ /^[ -~]+$/ && path !~ /%|\/[.][.]?\// && \
  (path ~ /^[.](gitee|github)\/[^.]/ || path ~ /(^|\/)[.](gitignore|gitattributes|gitkeep|mailmap)$/) { next }

quoted || (form != 3 || !(base in noted)) && !key(base) {
  leave("its_name_is_no_key's", safe(shown))
  if (form == 3) noted[base] = 0
  next
}

form == 3 && (base in noted) {
  if (noted[base] == 1) {
    print "CHUNK", field[3], field[4]
    if (number + 1 == count[base]) { key(base); step("END", "-", 0) }
  }
  next
}

{
  again = base in done
  if (form == 3) noted[base] = 0
  if (form == 3 && (base in damaged)) leave("its_chunks_have_gaps_or_strangers_among_them", base "%chunks")
  else if (again || form > best[base]) leave("the_same_key_stands_here_in_another_form", form == 3 ? base "%chunks" : path)
  else if (form != 3) {
    done[base] = 1
    # An empty object "a/" is what S3 tools write for a directory, and no file.
    if (field[4] + 0 == 0 && path ~ /[^-]\/%-$/ && key(substr(path, 1, length(path) - 3)) && usable)
      print "DIR", "-", 0, 0, "-", decoded, path
    else {
      key(base)
      step("FILE", field[3], field[4])
    }
  } else {
    noted[base] = 1
    done[base] = 1
    print "CHUNKS"
    print "CHUNK", field[3], field[4]
    if (count[base] == 1) step("END", "-", 0)
  }
}

# Nothing at all is in the tree.
END { if (lines == 0) print "NOFORMAT" }
`;
