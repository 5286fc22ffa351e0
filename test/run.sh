#!/usr/bin/env bash
# Installs what the tests need and runs them all: build, lint, unit, integration with the real programs, quickstart.
# The last line is `N passed, M failed`; the exit status is 0 where nothing failed. Under 15 minutes on 2 cores.
#
#   bash test/run.sh          everything but what is long
#   bash test/run.sh --long   also the long runs (LONG_TESTS=1 for the integration tests, and `npm run bench`)
set -uo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
LONG=false
case ${1:-} in
  '') ;;
  --long) LONG=true ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
cd "$ROOT" || exit

RESULTS=$(mktemp -d)
QUICKSTART_STATE=$(mktemp -d)
trap 'rm -rf "$RESULTS" "$QUICKSTART_STATE"' EXIT
PASSED=0
FAILED=0

# Loopback is not reached through a proxy, and a CA bundle for the AWS tools makes Debian's registry refuse to start.
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}" NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"
unset AWS_CA_BUNDLE

heading() { printf '\n==== %s (%s s)\n' "$1" "$SECONDS"; }

# A step that passes or fails as a whole.
step() {
  local name=$1
  shift
  heading "$name"
  if "$@"; then PASSED=$((PASSED + 1)); else
    FAILED=$((FAILED + 1))
    printf -- '---- FAILED: %s\n' "$name"
  fi
}

# A jest project: its tests are counted one by one; a suite that cannot even start counts as one failure.
jest_step() {
  local name=$1 report="$RESULTS/$1.json" status=0 passed failed
  shift
  heading "$name"
  "$@" --json --outputFile="$report" >"$RESULTS/$name.out" 2>"$RESULTS/$name.log" || status=$?
  # Standard output is the report again; the readable account is on standard error.
  cat "$RESULTS/$name.log"
  if ! passed=$(jq -er .numPassedTests "$report" 2>/dev/null); then
    printf -- '---- FAILED: %s ended with status %s before it had a result\n' "$name" "$status"
    FAILED=$((FAILED + 1))
    return
  fi
  failed=$(jq -r '.numFailedTests + .numRuntimeErrorTestSuites' "$report")
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
  PASSED=$((PASSED + passed))
  FAILED=$((FAILED + failed))
}

install_packages() {
  local missing=() package
  for package in docker-registry skopeo nginx git git-lfs awscli s3cmd rclone restic python3-boto3 prometheus jq curl openssl \
    busybox apache2-utils iproute2 util-linux mount procps ca-certificates gcc libc6-dev docker.io docker-compose podman tini systemd \
    chromium pebble certbot prometheus-alertmanager prometheus-nginx-exporter prometheus-node-exporter \
    prometheus-blackbox-exporter; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    printf 'These packages are missing, and only root can install them: %s\n' "${missing[*]}" >&2
    return 1
  fi
  printf 'Installing %s\n' "${missing[*]}"
  # Only the programs are wanted: Debian would also start nginx, the registry and Prometheus.
  local policy=/usr/sbin/policy-rc.d made_policy=false status=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=true
  fi
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}"; } >"$RESULTS/apt.log" 2>&1 || status=$?
  if $made_policy; then rm -f "$policy"; fi
  [ "$status" -eq 0 ] || tail -n 20 "$RESULTS/apt.log"
  return "$status"
}

# Nothing else can say anything without these.
require() {
  local name=$1
  shift
  heading "$name"
  "$@" && { PASSED=$((PASSED + 1)); return; }
  printf -- '---- FAILED: %s; nothing else can run\n' "$name"
  printf '%s passed, %s failed\n' "$PASSED" $((FAILED + 1))
  exit 1
}

# The unit tests once more on the current LTS of Node: what the image of deploy/Dockerfile runs on.
lts_node() {
  local arch
  case $(uname -m) in aarch64) arch=arm64 ;; *) arch=x64 ;; esac
  npm install --silent --no-save --no-audit --no-fund --prefix "$RESULTS/lts" "node-linux-$arch@24" || return 1
  LTS_NODE="$RESULTS/lts/node_modules/node-linux-$arch/bin/node"
  "$LTS_NODE" --version
}

# Side by side: neither half uses more than one core.
lint() {
  local code types=0
  npm run --silent lint:code &
  code=$!
  npm run --silent lint:types || types=$?
  wait "$code" && [ "$types" -eq 0 ]
}

npm_packages() { npm ci --no-audit --no-fund --loglevel=error; }
quickstart() { bash deploy/quickstart.sh --check --state "$QUICKSTART_STATE" --port-base 28440; }

require packages install_packages
require npm-ci npm_packages
require build npm run --silent build
step lint lint
jest_step unit npm run --silent test --
step lts-node lts_node
NODE_OPTIONS='--experimental-vm-modules --disable-warning=ExperimentalWarning' \
  jest_step unit-lts "${LTS_NODE:-false}" node_modules/jest/bin/jest.js --selectProjects unit --maxWorkers=2
if $LONG; then export LONG_TESTS=1; fi
jest_step integration npm run --silent test:integration --
step quickstart quickstart
step quickstart-again quickstart
if $LONG; then step bench npm run --silent bench; fi

heading end
printf '%s passed, %s failed\n' "$PASSED" "$FAILED"
[ "$FAILED" -eq 0 ]
