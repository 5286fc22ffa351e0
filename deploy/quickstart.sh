#!/usr/bin/env bash
# A whole registry on this machine, to try it out: local Gitee, gateway, registry and Nginx on loopback.
#
#   bash deploy/quickstart.sh                 start, check by one push and pull, stay until Ctrl-C
#   bash deploy/quickstart.sh --check         the same, but end after the check with its exit status
#        --env FILE       write what scripts need to use the running stack (rewritten when a part starts again)
#        --state DIR      where everything is kept (.state/quickstart in this checkout): images are still there next time
#        --port-base N    first of eight ports (18440); another one lets two stacks run side by side
#
# As root it installs what is missing (apt); otherwise it names the packages. Where Node.js 22 or later is missing it
# fetches one of its own into .state/ of this checkout (deploy/node.sh).
# It never stops a process that it did not start.
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
STATE="$ROOT/.state/quickstart"
PORT_BASE=18440
ENV_FILE=''
CHECK_ONLY=false
SCRATCH=''
# shellcheck source=deploy/self-check.sh
source "$ROOT/deploy/self-check.sh"
# shellcheck source=deploy/packages.sh
source "$ROOT/deploy/packages.sh"
# shellcheck source=deploy/node.sh
source "$ROOT/deploy/node.sh"
declare -A PIDS=() STARTED_AT=() QUICK_DEATHS=()

# Loopback is not reached through a proxy.
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}" NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"

say() { printf '%s\n' "$*"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

# ---- Command line -------------------------------------------------------------------------------------------------
parse_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --check) CHECK_ONLY=true ;;
      --env | --state | --port-base)
        if [ $# -lt 2 ] || [ -z "$2" ]; then fail "$1 needs a value"; fi
        case $1 in
          --env) ENV_FILE=$2 ;;
          --state) STATE=$2 ;;
          --port-base) PORT_BASE=$2 ;;
        esac
        shift ;;
      -h | --help) usage; exit 0 ;;
      *) printf 'quickstart: %s is not known\n' "$1" >&2; usage >&2; exit 2 ;;
    esac
    shift
  done
  if ! [[ $PORT_BASE =~ ^[1-9][0-9]{0,4}$ ]] || [ "$PORT_BASE" -gt 65528 ]; then
    fail '--port-base must be a number from 1 to 65528'
  fi
  REGISTRY_PORT=$PORT_BASE
  S3_LISTENER_PORT=$((PORT_BASE + 1))
  GATEWAY_S3_PORT=$((PORT_BASE + 2))
  GATEWAY_METRICS_PORT=$((PORT_BASE + 3))
  REGISTRY_PLAIN_PORT=$((PORT_BASE + 4))
  REGISTRY_DEBUG_PORT=$((PORT_BASE + 5))
  GITEE_PORT=$((PORT_BASE + 6))
  GITEE_LFS_PORT=$((PORT_BASE + 7))
}

# ---- What must be installed ---------------------------------------------------------------------------------------
require_packages() {
  local missing=() pair
  for pair in docker-registry:docker-registry skopeo:skopeo nginx:nginx git:git git-lfs:git-lfs jq:jq curl:curl \
    openssl:openssl htpasswd:apache2-utils setpriv:util-linux flock:util-linux; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  # Without it nothing that is fetched can be trusted.
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
  [ ${#missing[@]} -gt 0 ] || return 0
  # git-lfs and util-linux may stand twice.
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  if [ "$(id -u)" -ne 0 ]; then
    fail "these packages are missing: ${missing[*]}
Install them (sudo apt-get install ${missing[*]}) and start this again, or start this as root."
  fi
  say "Installing ${missing[*]} ..."
  install_packages "$STATE/log/apt.log" "${missing[@]}" || fail 'the packages could not be installed'
}

# Builds where dist is missing or older than the sources; two stacks at once wait for each other.
build() {
  mkdir -p "$ROOT/.state"
  local lock
  exec {lock}>"$ROOT/.state/build.lock"
  flock "$lock"
  cd "$ROOT"
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    say 'Installing npm packages ...'
    npm_ci >"$STATE/log/npm.log" 2>&1 || {
      tail -n 30 "$STATE/log/npm.log" >&2
      fail 'npm ci failed'
    }
    # npm keeps the time of the lock file that it was made from: now it is as new as ours.
    touch node_modules/.package-lock.json
  fi
  if [ ! -e dist/.built ] || [ -n "$(find src tsconfig.json tsconfig.build.json package.json -newer dist/.built -print -quit)" ]; then
    say 'Building ...'
    # A file that changes during the build makes the next start build again.
    local stamp="$STATE/build-began"
    touch "$stamp"
    npm run --silent build >"$STATE/log/build.log" 2>&1 || {
      tail -n 30 "$STATE/log/build.log" >&2
      fail 'the build failed'
    }
    touch -r "$stamp" dist/.built
  fi
  exec {lock}>&-
}

# ---- Secrets, certificates, configuration -------------------------------------------------------------------------
# A secret is made once and kept; it is never an argument of a program.
secret() {
  local file="$STATE/secrets/$1"
  [ -s "$file" ] || { openssl rand -hex "$2" >"$file.new" && mv "$file.new" "$file"; }
}

make_secrets() {
  secret gitee-token 16
  secret s3-secret-key 20
  secret registry-http-secret 32
  secret registry-password 12
  [ -s "$STATE/secrets/s3-access-key" ] ||
    printf 'GW%s\n' "$(openssl rand -hex 9 | tr a-f A-F)" >"$STATE/secrets/s3-access-key"
  htpasswd -Bin admin <"$STATE/secrets/registry-password" >"$STATE/secrets/htpasswd.new" 2>/dev/null
  mv "$STATE/secrets/htpasswd.new" "$STATE/secrets/htpasswd"
}

read_secret() { cat "$STATE/secrets/$1"; }

make_certificates() {
  local tls="$STATE/tls"
  if [ ! -s "$tls/ca.crt" ] || ! openssl x509 -checkend 2592000 -noout -in "$tls/ca.crt" >/dev/null; then
    openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -subj '/CN=gitee-s3 quickstart CA' \
      -keyout "$tls/ca.key" -out "$tls/ca.crt" \
      -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' 2>"$STATE/log/openssl.log"
    rm -f "$tls/registry.crt"
  fi
  if [ ! -s "$tls/registry.crt" ] || ! openssl x509 -checkend 2592000 -noout -in "$tls/registry.crt" >/dev/null; then
    printf '%s\n' 'basicConstraints=CA:FALSE' 'keyUsage=digitalSignature,keyEncipherment' \
      'extendedKeyUsage=serverAuth' 'subjectAltName=DNS:localhost,IP:127.0.0.1' >"$tls/registry.ext"
    openssl req -newkey rsa:2048 -nodes -sha256 -subj '/CN=localhost' \
      -keyout "$tls/registry.key" -out "$tls/registry.csr" 2>>"$STATE/log/openssl.log"
    openssl x509 -req -sha256 -days 397 -in "$tls/registry.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" \
      -CAcreateserial -extfile "$tls/registry.ext" -out "$tls/registry.crt" 2>>"$STATE/log/openssl.log"
  fi
  mkdir -p "$tls/client"
  cp "$tls/ca.crt" "$tls/client/ca.crt"
}

write_configuration() {
  cat >"$STATE/gateway.yaml" <<YAML
state_dir: "$STATE/gateway"
s3: { host: 127.0.0.1, port: $GATEWAY_S3_PORT }
metrics: { host: 127.0.0.1, port: $GATEWAY_METRICS_PORT }
gitee:
  url: http://127.0.0.1:$GITEE_PORT
  token_file: "$STATE/secrets/gitee-token"
access_keys:
  - access_key_id: $(read_secret s3-access-key)
    secret_access_key_file: "$STATE/secrets/s3-secret-key"
    buckets: { registry: write, files: write }
buckets:
  - { name: registry, repository: acme/images, preset: registry }
  - { name: files, repository: acme/files, preset: generic }
YAML
  jq -n --rawfile token "$STATE/secrets/gitee-token" '{
    accounts: [{ login: "acme-bot", name: "Acme bot", email: "gateway@gitee-s3.invalid",
                 tokens: [{ token: ($token | rtrimstr("\n")) }] }],
    repositories: ["images", "files"] | map({
      owner: "acme", name: ., enterprise: true, lfs: true, collaborators: { "acme-bot": "admin" } })
  }' >"$STATE/local-gitee.json"

  # The shipped Nginx files, with this stack's ports and paths. Nobody listens on the web port here.
  local nginx="$STATE/nginx" file
  mkdir -p "$nginx/snippets"
  for file in "$ROOT"/nginx/{http,registry,s3,upstreams}.conf "$ROOT"/nginx/snippets/*.conf; do
    sed -e "s#listen 443 ssl http2;#listen 127.0.0.1:$REGISTRY_PORT ssl http2;#" \
      -e "s#listen 127.0.0.1:9080;#listen 127.0.0.1:$S3_LISTENER_PORT;#" \
      -e 's#server_name registry.example.com;#server_name localhost 127.0.0.1;#' \
      -e "s#/etc/nginx/tls/#$STATE/tls/#" -e "s#/var/log/nginx/#$STATE/log/nginx-#" \
      -e "s#127.0.0.1:5000#127.0.0.1:$REGISTRY_PLAIN_PORT#" -e "s#127.0.0.1:9000#127.0.0.1:$GATEWAY_S3_PORT#" \
      -e "s#server 127.0.0.1:5002;#server unix:$nginx/no-web-listener.sock;#" \
      "$file" >"$nginx/${file#"$ROOT/nginx/"}"
  done
  {
    # As root, workers must read the state directory, which is nobody's but root's.
    [ "$(id -u)" -ne 0 ] || printf 'user root;\n'
    cat <<NGINX
worker_processes 2;
pid "$nginx/nginx.pid";
error_log "$STATE/log/nginx-error.log" warn;
events { worker_connections 1024; }
http {
    client_body_temp_path "$nginx/tmp/body"; proxy_temp_path "$nginx/tmp/proxy"; fastcgi_temp_path "$nginx/tmp/fastcgi";
    uwsgi_temp_path "$nginx/tmp/uwsgi"; scgi_temp_path "$nginx/tmp/scgi";
    include http.conf;
    include upstreams.conf;
    include registry.conf;
    include s3.conf;
}
NGINX
  } >"$nginx/nginx.conf"

  # Logins for skopeo, which would otherwise stand in its arguments.
  jq -n --arg host "127.0.0.1:$REGISTRY_PORT" --rawfile password "$STATE/secrets/registry-password" '
    { auths: { ($host): { auth: ("admin:" + ($password | rtrimstr("\n")) | @base64) } } }' >"$STATE/secrets/auth.json"
}

# ---- Processes ----------------------------------------------------------------------------------------------------
# Starts a child that also ends where this script is killed. The lock and other descriptors stay here.
launch() {
  local name=$1
  shift
  setpriv --pdeathsig TERM -- "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null 9>&- &
  remember "$name" $!
}

# Disowned, or bash would report each end in words of its own; it still reaps the child.
remember() {
  PIDS[$1]=$2
  STARTED_AT[$1]=$SECONDS
  disown "$2"
}

start_gitee() {
  launch gitee node "$ROOT/dist/local-gitee/main.js" --data "$STATE/gitee" --host 127.0.0.1 --port "$GITEE_PORT" \
    --lfs-port "$GITEE_LFS_PORT" --config "$STATE/local-gitee.json"
}

start_gateway() {
  launch gateway env GATEWAY_CONFIG="$STATE/gateway.yaml" node "$ROOT/dist/cli/main.js" serve
}

start_registry() {
  # env -i would lose proxies and time zone; AWS_CA_BUNDLE makes the registry refuse to start.
  (
    REGISTRY_HTTP_SECRET=$(read_secret registry-http-secret)
    REGISTRY_STORAGE_S3_ACCESSKEY=$(read_secret s3-access-key)
    REGISTRY_STORAGE_S3_SECRETKEY=$(read_secret s3-secret-key)
    export REGISTRY_HTTP_SECRET REGISTRY_STORAGE_S3_ACCESSKEY REGISTRY_STORAGE_S3_SECRETKEY
    export REGISTRY_HTTP_ADDR="127.0.0.1:$REGISTRY_PLAIN_PORT"
    export REGISTRY_HTTP_DEBUG_ADDR="127.0.0.1:$REGISTRY_DEBUG_PORT"
    export REGISTRY_STORAGE_S3_REGIONENDPOINT="http://127.0.0.1:$S3_LISTENER_PORT"
    export REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_REALM='gitee-s3 quickstart'
    export REGISTRY_AUTH_HTPASSWD_PATH="$STATE/secrets/htpasswd"
    exec env -u AWS_CA_BUNDLE setpriv --pdeathsig TERM -- \
      docker-registry serve "$ROOT/registry-config/config.yml"
  ) >>"$STATE/log/registry.log" 2>&1 </dev/null 9>&- &
  remember registry $!
}

start_nginx() {
  launch nginx nginx -c "$STATE/nginx/nginx.conf" -g 'daemon off;'
}

alive() { kill -0 "${PIDS[$1]}" 2>/dev/null; }

# Waits until a URL answers with one of the statuses; the child must live meanwhile.
wait_for() {
  local name=$1 url=$2 statuses=$3 seconds=$4 status='' deadline
  deadline=$((SECONDS + seconds))
  while [ "$SECONDS" -lt "$deadline" ]; do
    status=$(curl -s -o /dev/null -m 3 --cacert "$STATE/tls/ca.crt" -w '%{http_code}' "$url" || true)
    [[ " $statuses " == *" $status "* ]] && return 0
    alive "$name" || { tail -n 15 "$STATE/log/$name.log" >&2; fail "$name ended at its start ($STATE/log/$name.log)"; }
    sleep 0.1
  done
  tail -n 15 "$STATE/log/$name.log" >&2
  fail "$name did not answer at $url within $seconds s (last status ${status:-none}; $STATE/log/$name.log)"
}

start_everything() {
  local port
  for port in "$REGISTRY_PORT" "$S3_LISTENER_PORT" "$GATEWAY_S3_PORT" "$GATEWAY_METRICS_PORT" \
    "$REGISTRY_PLAIN_PORT" "$REGISTRY_DEBUG_PORT" "$GITEE_PORT" "$GITEE_LFS_PORT"; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      fail "port $port is in use: choose others with --port-base (eight from there on are needed)"
    fi
  done
  say 'Starting local Gitee, gateway, registry and Nginx ...'
  start_gitee
  wait_for gitee "http://127.0.0.1:$GITEE_PORT/" '200 301 302 303 401 403 404' 120
  start_gateway
  wait_for gateway "http://127.0.0.1:$GATEWAY_METRICS_PORT/readyz" 200 120
  start_registry
  start_nginx
  wait_for registry "http://127.0.0.1:$REGISTRY_PLAIN_PORT/v2/" 401 120
  wait_for nginx "https://127.0.0.1:$REGISTRY_PORT/v2/" 401 120
  write_env
}

# What scripts need; a reader never sees half a file.
write_env() {
  [ -n "$ENV_FILE" ] || return 0
  local aside="$ENV_FILE.$$.new"
  (
    umask 077
    cat >"$aside" <<ENV
S3_ENDPOINT=http://127.0.0.1:$GATEWAY_S3_PORT
S3_REGION=us-east-1
S3_ACCESS_KEY=$(read_secret s3-access-key)
S3_SECRET_KEY=$(read_secret s3-secret-key)
S3_BUCKET=registry
S3_BUCKET_GENERIC=files
REGISTRY_URL=https://127.0.0.1:$REGISTRY_PORT
REGISTRY_CA=$(printf %q "$STATE/tls/ca.crt")
REGISTRY_USER=admin
REGISTRY_PASSWORD=$(read_secret registry-password)
GATEWAY_METRICS_URL=http://127.0.0.1:$GATEWAY_METRICS_PORT/metrics
GATEWAY_PID=${PIDS[gateway]}
GITEE_URL=http://127.0.0.1:$GITEE_PORT
GITEE_TOKEN=$(read_secret gitee-token)
STATE_DIR=$(printf %q "$STATE")
ENV
  )
  mv -f "$aside" "$ENV_FILE"
}

# Starts again what died. Something that dies five times within 10 s each is broken: then the stack ends.
supervise() {
  local name
  while :; do
    for name in gitee gateway registry nginx; do
      alive "$name" && continue
      if [ $((SECONDS - STARTED_AT[$name])) -lt 10 ]; then
        QUICK_DEATHS[$name]=$((${QUICK_DEATHS[$name]:-0} + 1))
      else
        QUICK_DEATHS[$name]=0
      fi
      if [ "${QUICK_DEATHS[$name]}" -ge 5 ]; then
        tail -n 15 "$STATE/log/$name.log" >&2
        fail "$name ends again and again ($STATE/log/$name.log)"
      fi
      say "$name ended; starting it again."
      "start_$name"
      write_env
    done
    sleep 0.2
  done
}

# Ends what this script started, by its process id, the gateway with the others still there to finish its commits.
clean_up() {
  local status=$? name deadline
  trap - EXIT INT TERM HUP
  for name in nginx registry gateway gitee; do
    [ -n "${PIDS[$name]:-}" ] || continue
    kill -TERM "${PIDS[$name]}" 2>/dev/null || continue
    deadline=$((SECONDS + 25))
    while alive "$name" && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
    if alive "$name"; then kill -KILL "${PIDS[$name]}" 2>/dev/null || true; fi
  done
  [ -z "$SCRATCH" ] || rm -rf "$SCRATCH"
  exit "$status"
}

# ---- Beginning and end ---------------------------------------------------------------------------------------------
introduce() {
  local host="127.0.0.1:$REGISTRY_PORT" node=node
  # One of its own is not in the reader's PATH.
  [[ $(command -v node) != "$ROOT"/* ]] || node="'$(command -v node)'"
  cat <<TEXT

Registry   https://$host         login: admin, password in $STATE/secrets/registry-password
           authority's certificate: $STATE/tls/ca.crt
S3         http://127.0.0.1:$GATEWAY_S3_PORT          buckets registry and files; key $(read_secret s3-access-key), secret in $STATE/secrets/s3-secret-key
Metrics    http://127.0.0.1:$GATEWAY_METRICS_PORT/metrics  (also /healthz, /readyz)
Gitee      http://127.0.0.1:$GITEE_PORT          repositories acme/images and acme/files; token in $STATE/secrets/gitee-token

Three things to try:
 1. Push an image of your own:
      mkdir -p /etc/docker/certs.d/$host && cp '$STATE/tls/ca.crt' /etc/docker/certs.d/$host/ca.crt
      docker login -u admin --password-stdin $host < '$STATE/secrets/registry-password'
      docker tag alpine $host/me/alpine && docker push $host/me/alpine
 2. See it on Gitee, and check the clone without us:
      git -c credential.helper='!f() { echo username=oauth2; echo "password=\$(cat $STATE/secrets/gitee-token)"; }; f' \\
        clone http://127.0.0.1:$GITEE_PORT/acme/images.git
      $node '$ROOT/dist/cli/main.js' verify-clone images
 3. Ask the gateway how it is:
      $node '$ROOT/dist/cli/main.js' status --config '$STATE/gateway.yaml'
      $node '$ROOT/dist/cli/main.js' doctor --config '$STATE/gateway.yaml'

Ctrl-C ends everything; the images stay in $STATE.
TEXT
}

main() {
  parse_arguments "$@"
  # The state is nobody else's; what is built is as public as the checkout.
  (umask 077 && mkdir -p "$STATE")
  STATE=$(cd -- "$STATE" && pwd)
  (umask 077 && mkdir -p "$STATE/log" "$STATE/secrets" "$STATE/tls" "$STATE/nginx/tmp" "$STATE/gitee" "$STATE/gateway")
  if [ -n "$ENV_FILE" ]; then
    [ -d "$(dirname -- "$ENV_FILE")" ] || fail "--env: there is no directory $(dirname -- "$ENV_FILE")"
    ENV_FILE=$(cd -- "$(dirname -- "$ENV_FILE")" && pwd)/$(basename -- "$ENV_FILE")
  fi
  PATH=$PATH:/usr/sbin:/sbin
  require_packages
  use_node || fail 'there is no Node.js to go on with'
  exec 9>"$STATE/lock"
  flock -n 9 || fail "another quickstart uses $STATE: choose another --state and --port-base"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  build
  umask 077
  make_secrets
  make_certificates
  write_configuration
  start_everything
  self_check
  if $CHECK_ONLY; then
    say 'Check passed.'
    exit 0
  fi
  introduce
  supervise
}

main "$@"
