#!/usr/bin/env bash
# Installs what the tests need and runs them all: build, lint, unit, integration with the real programs, quickstart. Where
# the system's Node is older than 22 it fetches one of its own (deploy/node.sh); the unit tests run on 22 and on 24.
# The last line is `N passed, M failed`; the exit status is 0 where nothing failed. Under 15 minutes on 2 cores.
#
#   bash test/run.sh           everything but what is long
#   bash test/run.sh --long    also the long runs (LONG_TESTS=1 for the integration tests, 500 rounds of random faults,
#                              `npm run bench`, the core cells of its lines, and `npm run soak`: two hours and more)
#   bash test/run.sh --load 2  beside two busy loops per core: it passes on a machine that has other work, too
#
# TEST_TIME_SCALE=3 multiplies every time limit of test/support/time-limits.ts, for a machine that is slower still.
set -uo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
LONG=false
LOAD=0
while [ $# -gt 0 ]; do
  case $1 in
    --long) LONG=true ;;
    --load) LOAD=${2:-}; shift ;;
    *) LOAD=help ;;
  esac
  case $LOAD in
    *[!0-9]* | '') sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
  shift
done
cd "$ROOT" || exit
# shellcheck source=deploy/packages.sh
source deploy/packages.sh
# shellcheck source=deploy/node.sh
source deploy/node.sh

# Whatever a test leaves behind is in it. The name is short: sockets stand in it, whose whole path has 107 bytes.
export TMPDIR
TMPDIR=$(mktemp -d -t g-XXXXXX)
RESULTS=$TMPDIR/results
QUICKSTART_STATE=$TMPDIR/quickstart
mkdir "$RESULTS" "$QUICKSTART_STATE"
MEMORY=''
PASSED=0
FAILED=0
JOBS=()
LOOPS=()

end() {
  [ ${#LOOPS[@]} -eq 0 ] || kill "${LOOPS[@]}" 2>/dev/null
  # Chromium and dockerd write for a moment after they were ended.
  rm -rf "$TMPDIR" ${MEMORY:+"$MEMORY"} 2>/dev/null || { sleep 2; rm -rf "$TMPDIR" ${MEMORY:+"$MEMORY"}; }
}
trap end EXIT

# What an interruption says must not go where the output of a step goes.
exec 3>&1

# Ends what runs, with all that it started; what a test started ends with its parent besides.
interrupted() {
  local job
  trap '' INT TERM HUP
  for job in "${JOBS[@]}"; do kill -TERM -- "-$job" 2>/dev/null; done
  [ ${#JOBS[@]} -eq 0 ] || wait "${JOBS[@]}"
  printf '\n---- FAILED: interrupted\n%s passed, %s failed\n' "$PASSED" $((FAILED + 1)) >&3
  exit 130
}
trap interrupted INT TERM HUP

# Starts a program in a process group of its own, in the background: a signal to this script is heard meanwhile.
begin() {
  set -m
  "$@" </dev/null 3>&- &
  JOBS+=($!)
  set +m
}

# Waits for what was started so; with its status.
finish() {
  local status=0 job others=()
  wait "$1" || status=$?
  for job in "${JOBS[@]}"; do [ "$job" = "$1" ] || others+=("$job"); done
  JOBS=("${others[@]}")
  return "$status"
}

in_group() {
  begin "$@"
  finish "$!"
}

# For what computes beside tests that mostly wait: it has the time that they leave.
low() {
  renice -n 5 -p "$BASHPID" >/dev/null
  "$@"
}

# Loopback is not reached through a proxy, and a CA bundle for the AWS tools makes Debian's registry refuse to start.
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}" NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"
unset AWS_CA_BUNDLE
# Said by each of a hundred suites; which Node the tests run on is no news to whoever runs them.
export AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true
# Gateways and commands are started a thousand times: what Node has compiled of them it need not compile again.
export NODE_COMPILE_CACHE=$TMPDIR/compiled

heading() { printf '\n==== %s (%s s)\n' "$1" "$SECONDS"; }

# A step that passes or fails as a whole.
step() {
  local name=$1
  shift
  heading "$name"
  in_group "$@"
  step_result "$name" $?
}

step_result() {
  if [ "$2" -eq 0 ]; then PASSED=$((PASSED + 1)); else
    FAILED=$((FAILED + 1))
    printf -- '---- FAILED: %s\n' "$1"
    printf '%s\n' "$1" >>"$RESULTS/failures"
  fi
}

# A jest project: its tests are counted one by one; a suite that cannot even start counts as one failure.
jest_step() {
  jest_begin "$@"
  jest_finish "$1" "$!"
}

# `env` may stand before the program. Both projects and both releases of Node share what was compiled of the sources.
jest_begin() {
  local name=$1
  shift
  begin "$@" --cacheDirectory="$RESULTS/jest" --json --outputFile="$RESULTS/$name.json" >"$RESULTS/$name.out" 2>"$RESULTS/$name.log"
}

jest_finish() {
  local name=$1 report="$RESULTS/$1.json" status=0 passed failed
  heading "$name"
  finish "$2" || status=$?
  # Standard output is the report again; the readable account is on standard error.
  cat "$RESULTS/$name.log"
  if ! passed=$(jq -er .numPassedTests "$report" 2>/dev/null); then
    printf -- '---- FAILED: %s ended with status %s before it had a result\n' "$name" "$status"
    printf '%s ended with status %s before it had a result\n' "$name" "$status" >>"$RESULTS/failures"
    FAILED=$((FAILED + 1))
    return
  fi
  failed=$(jq -r '.numFailedTests + .numRuntimeErrorTestSuites' "$report")
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
  PASSED=$((PASSED + passed))
  FAILED=$((FAILED + failed))
  [ "$failed" -eq 0 ] || jest_failures "$name" "$report" >>"$RESULTS/failures"
}

# Each test that failed in a report of jest, by file and name, with the beginning of what it said. They are said again
# at the end: of a long log, often only the end is kept.
jest_failures() {
  jq -r --arg project "$1" --arg root "$ROOT/" '
    def beginning: gsub("\u001b\\[[0-9;]*m"; "") | split("\n") | .[:12] | map("    " + .[:300]) | join("\n");
    .testResults[] | (.name | ltrimstr($root)) as $file
    | (.assertionResults[] | select(.status == "failed")
        | "\($project) \($file): \(.fullName)\n\(.failureMessages | join("\n") | beginning)"),
      (select(.status == "failed" and ([.assertionResults[] | select(.status == "failed")] | length) == 0)
        | "\($project) \($file) could not run\n\(.message | beginning)")' "$2"
}

needed_packages() {
  local missing=() package more=()
  ! $LONG || more=(mmdebstrap debian-archive-keyring)
  for package in docker-registry skopeo nginx git git-lfs awscli s3cmd rclone restic python3-boto3 prometheus jq curl openssl \
    busybox dash apache2-utils iproute2 util-linux mount procps ca-certificates libjemalloc2 gcc libc6-dev docker.io docker-compose podman buildah tini systemd \
    chromium pebble certbot prometheus-alertmanager prometheus-nginx-exporter prometheus-node-exporter \
    prometheus-blackbox-exporter "${more[@]}"; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    printf 'These packages are missing, and only root can install them: %s\n' "${missing[*]}" >&2
    return 1
  fi
  printf 'Installing %s\n' "${missing[*]}"
  install_packages "$RESULTS/apt.log" "${missing[@]}"
}

# Nothing else can say anything without these.
require() {
  local name=$1
  shift
  heading "$name"
  in_group "$@" && { PASSED=$((PASSED + 1)); return; }
  printf -- '---- FAILED: %s; nothing else can run\n' "$name"
  printf '%s passed, %s failed\n' "$PASSED" $((FAILED + 1))
  exit 1
}

# N loops per core that do nothing, beside all that follows; they end with this script.
begin_load() {
  local i
  for ((i = 0; i < LOAD * $(nproc); i += 1)); do
    setpriv --pdeathsig KILL bash -c 'while :; do :; done' 3>&- &
    LOOPS+=($!)
  done
  printf 'Busy loops beside it: %s\n' "${#LOOPS[*]}"
}

# A directory in memory for what the unit tests write: thousands of small stores, each of which waits for its disk many
# times, and the programs beside them for the same disk. Nothing if there is no room, or if no program may run there;
# the long ones stay on the disk, so that each test has met one.
memory() {
  local free_kib directory
  [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] || return 0
  free_kib=$(df -k --output=avail /dev/shm | tail -n 1)
  [ "$free_kib" -ge $((2 * 1024 * 1024)) ] || return 0
  [ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -ge $((6 * 1024 * 1024)) ] || return 0
  directory=$(mktemp -d -p /dev/shm g-XXXXXX 2>/dev/null) || return 0
  printf '#!/bin/sh\n' >"$directory/program"
  chmod +x "$directory/program"
  if "$directory/program" 2>/dev/null; then
    rm "$directory/program"
    printf '%s' "$directory"
  else rm -r "$directory"; fi
}

# The first of eight ports that nobody listens on, above those that the tests take.
free_ports() {
  local first
  for ((first = 28440 + RANDOM % 100 * 8; ; first = 28440 + RANDOM % 500 * 8)); do
    [ -n "$(ss -Hltn "sport >= $first and sport < $((first + 8))")" ] || { printf '%s' "$first"; return; }
  done
}

# Of the two releases of Node that are tested, the one that the other tests do not run on.
other_node() {
  case $(node --version) in v22.*) own_node 24 ;; *) own_node 22 ;; esac
}
node_is_there() { use_node && node --version; }

# Neither half uses more than one core, and Node comes over the network meanwhile.
lint() {
  local code node files=0
  other_node &
  node=$!
  npm run --silent lint:code &
  code=$!
  npm run --silent lint:files || files=$?
  # What came of it is a step of its own.
  wait "$node"
  wait "$code" && [ "$files" -eq 0 ]
}

npm_packages() { npm_ci; }
quickstart() { bash deploy/quickstart.sh --check --state "$QUICKSTART_STATE" --port-base "$QUICKSTART_PORTS"; }

require packages needed_packages
require node node_is_there
# In this shell, for all that follows.
use_node
require npm-ci npm_packages
require build npm run --silent build
[ "$LOAD" -eq 0 ] || begin_load
MEMORY=$(memory)
UNIT_ENV=(env TMPDIR="${MEMORY:-$TMPDIR}")
begin low lint >"$RESULTS/lint.log" 2>&1
LINT=$!
jest_step unit "${UNIT_ENV[@]}" npm run --silent test --
heading lint
finish "$LINT"
LINTED=$?
cat "$RESULTS/lint.log"
step_result lint "$LINTED"
OTHER_NODE="$(other_node)/bin/node"
step other-node "$OTHER_NODE" --version
# What random input shows is of the program, and the first run had its rounds; here a quarter show what is of Node.
jest_begin unit-other-node low "${UNIT_ENV[@]}" ROUNDS_SHARE=0.25 "$OTHER_NODE" --experimental-vm-modules --disable-warning=ExperimentalWarning \
  --min-semi-space-size=64 --max-semi-space-size=64 --single-threaded-gc \
  node_modules/jest/bin/jest.js --selectProjects unit --maxWorkers=2
UNIT_OTHER_NODE=$!
if $LONG; then export LONG_TESTS=1; fi
jest_step integration npm run --silent test:integration --
QUICKSTART_PORTS=$(free_ports)
step quickstart quickstart
step quickstart-again quickstart
jest_finish unit-other-node "$UNIT_OTHER_NODE"
if $LONG; then
  jest_step unit-long npm run --silent test --
  # No rows of the matrix: those ran above.
  FAULT_NAMES='' FAULT_ROUNDS=500 jest_step random-faults npm run --silent test:integration -- --testPathPatterns faults/matrix
  step clients npm run --silent clients -- stops --results "$RESULTS/clients" --size 5 --size 1.5GB \
    --event gateway-term --event gateway-kill --event registry-kill --event nginx-kill --event nginx-reload
  step s3-clients npm run --silent clients -- s3 --results "$RESULTS/s3-clients"
  step bench npm run --silent bench
  step lines npm run --silent bench -- lines
  step soak npm run --silent soak
fi

heading end
if [ -s "$RESULTS/failures" ]; then
  printf 'What failed:\n'
  cat "$RESULTS/failures"
fi
printf '%s passed, %s failed\n' "$PASSED" "$FAILED"
[ "$FAILED" -eq 0 ]
