#!/usr/bin/env bash
# Prepares a registry on this machine: secrets, keys, certificates, logins, .env; then asks Gitee whether all is
# well (gitee-s3 doctor). Run it again as often as you like: secrets and what you changed are never overwritten; what
# follows from .env is made anew when that changes, and a self-signed certificate before it ends, by the same authority.
#
#   sudo bash deploy/setup.sh                 asks what it must know and .env does not say
#   sudo bash deploy/setup.sh --yes FLAGS     asks nothing, fails where something is missing
#        --host NAME[:PORT]      name by which Docker reaches the registry (registry.example.com)
#        --repository OWNER/NAME repository on Gitee that keeps the images
#        --token-file FILE       file with the personal token (scopes projects and user_info); else asked unseen
#        --login token|htpasswd  token: log in with Gitee accounts; htpasswd: a list of users of your own
#        --tls self-signed|own|acme
#              self-signed: an authority of its own, to be trusted by every client
#              own: --cert FILE --key FILE (PEM, full chain)     acme: Let's Encrypt, --email ADDRESS
#        --oauth-client-id ID --oauth-secret-file FILE    a Gitee application, for the page https://NAME/auth/
#        --gitee-url URL         a Gitee of your own (https://gitee.com)
#        --local                 the embedded local Gitee instead of a real one, to try out
#        --native                Debian packages and systemd instead of Docker; --root DIR installs below DIR
#        --no-doctor             do not ask Gitee (no network yet)
#        --start                 start everything at the end
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
DEPLOY="$ROOT/deploy"
# shellcheck source=deploy/packages.sh
source "$DEPLOY/packages.sh"
# shellcheck source=deploy/node.sh
source "$DEPLOY/node.sh"
# shellcheck source=deploy/setup-files.sh
source "$DEPLOY/setup-files.sh"
# shellcheck source=deploy/setup-certificates.sh
source "$DEPLOY/setup-certificates.sh"
# shellcheck source=deploy/setup-native.sh
source "$DEPLOY/setup-native.sh"

HOST='' REPOSITORY='' TOKEN_FILE='' LOGIN='' TLS='' CERT='' KEY='' EMAIL='' OAUTH_ID='' OAUTH_SECRET_FILE=''
GITEE_URL='' ASK=true NO_TERMINAL='' LOCAL=false NATIVE=false PREFIX='' DOCTOR=true START=false
# The uid of the containers' user, which reads the secrets.
CONTAINER_UID=1000

say() { printf '%s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,22s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

parse_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --host | --repository | --token-file | --login | --tls | --cert | --key | --email | --oauth-client-id | \
        --oauth-secret-file | --gitee-url | --root)
        if [ $# -lt 2 ] || [ -z "$2" ]; then fail "$1 needs a value"; fi
        case $1 in
          --host) HOST=$2 ;;
          --repository) REPOSITORY=$2 ;;
          --token-file) TOKEN_FILE=$2 ;;
          --login) LOGIN=$2 ;;
          --tls) TLS=$2 ;;
          --cert) CERT=$2 ;;
          --key) KEY=$2 ;;
          --email) EMAIL=$2 ;;
          --oauth-client-id) OAUTH_ID=$2 ;;
          --oauth-secret-file) OAUTH_SECRET_FILE=$2 ;;
          --gitee-url) GITEE_URL=${2%/} ;;
          --root) PREFIX=${2%/} ;;
        esac
        shift ;;
      --yes) ASK=false ;;
      --local) LOCAL=true ;;
      --native) NATIVE=true ;;
      --no-doctor) DOCTOR=false ;;
      --start) START=true ;;
      -h | --help) usage; exit 0 ;;
      *) printf 'setup: %s is not known\n' "$1" >&2; usage >&2; exit 2 ;;
    esac
    shift
  done
}

# ---- Values ---------------------------------------------------------------------------------------------------------
# A value that .env has already wins over a question, a flag must agree with it.
settle() {
  local name=$1 variable=$2 default=$3 question=$4 pattern=$5 present answer
  present=$(known "$name")
  answer=${!variable}
  if [ -n "$answer" ] && [ -n "$present" ] && [ "$answer" != "$present" ]; then
    fail "$ENV_FILE has $name=$present already, and nothing here overwrites it: edit the file, or leave the flag out"
  fi
  answer=${answer:-$present}
  if [ -z "$answer" ] && $ASK; then
    until read -r -p "$question${default:+ [$default]}: " answer || fail 'no answer'
      answer=${answer:-$default}
      [[ $answer =~ $pattern ]]; do
      say "  '$answer' is not of that form."
    done
  fi
  answer=${answer:-$default}
  [ -n "$answer" ] || fail "$question: not given$NO_TERMINAL (see --help)"
  [[ $answer =~ $pattern ]] || fail "$question: '$answer' is not of the right form"
  printf -v "$variable" '%s' "$answer"
}

settle_values() {
  if $LOCAL; then
    # Defaults, where neither a flag nor an earlier run said otherwise.
    : "${REPOSITORY:=$(known GITEE_REPOSITORY)}" "${HOST:=$(known REGISTRY_HOST)}" "${TLS:=$(known TLS)}" "${LOGIN:=$(known LOGIN)}"
    : "${REPOSITORY:=acme/images}" "${HOST:=localhost}" "${TLS:=self-signed}" "${LOGIN:=htpasswd}"
    GITEE_URL=http://gitee:9300
    ! $NATIVE || GITEE_URL=http://127.0.0.1:9300
  fi
  settle REGISTRY_HOST HOST '' 'Name of the registry (registry.example.com)' '^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$'
  settle GITEE_REPOSITORY REPOSITORY '' 'Repository on Gitee (owner/name)' '^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$'
  settle LOGIN LOGIN token 'Login by Gitee accounts (token) or a list of your own (htpasswd)' '^(token|htpasswd)$'
  settle TLS TLS self-signed 'Certificate: self-signed, own or acme' '^(self-signed|own|acme)$'
  # Not a question: who has a Gitee of their own knows it.
  ASK=false settle GITEE_URL GITEE_URL https://gitee.com 'Address of Gitee' '^https?://[^/?#@[:space:]]+$'
  if [ "$TLS" = own ]; then
    if [ ! -s "$TLS_DIR/registry.crt" ] && [ -z "$CERT" ] && $ASK; then
      ask_file CERT 'File with the certificate and its chain (PEM)'
      ask_file KEY 'File with its key (PEM)'
    fi
    if [ ! -s "$TLS_DIR/registry.crt" ] || [ -n "$CERT$KEY" ]; then
      if [ ! -r "$CERT" ] || [ ! -r "$KEY" ]; then fail '--tls own needs --cert FILE and --key FILE (PEM)'; fi
    fi
  elif [ -n "$CERT$KEY" ]; then
    fail "--cert and --key are for TLS=own, and this is TLS=$TLS"
  fi
  if [ "$TLS" = acme ]; then
    settle ACME_EMAIL EMAIL '' 'E-mail address for Let'"'"'s Encrypt' '^[^@[:space:]]+@[^@[:space:]]+$'
    [[ $HOST != *:* ]] || fail 'acme needs the plain name of the registry on port 443, without a port'
  fi
  HOST_NAME=${HOST%%:*}
  HTTPS_PORT=443
  case $HOST in *:*) HTTPS_PORT=${HOST##*:} ;; esac
}

# @param variable, question: until a file that can be read is named
ask_file() {
  local answer
  until read -r -p "$2: " answer || fail 'no answer'
    [ -n "$answer" ] && [ -r "$answer" ] && [ -f "$answer" ]; do
    say "  $answer cannot be read."
  done
  printf -v "$1" '%s' "$answer"
}

# ---- What must be there ---------------------------------------------------------------------------------------------
check_machine() {
  local program free
  for program in openssl sed awk; do
    command -v "$program" >/dev/null || fail "the program $program is missing: install it first"
  done
  if $NATIVE; then native_check; else
    compose version >/dev/null 2>&1 || fail 'Docker with its compose plugin (or docker-compose 1.29) is missing:
  Debian, Ubuntu: apt-get install docker.io docker-compose      others: https://docs.docker.com/engine/install/
  Without Docker: --native'
    if [ "$(id -u)" -ne 0 ] && [ "$(id -u)" -ne "$CONTAINER_UID" ]; then
      fail "the secrets must belong to uid $CONTAINER_UID, which the containers run as: start this with sudo"
    fi
  fi
  free=$(df -Pk "$DEPLOY" | awk 'NR == 2 { print int($4 / 1048576) }')
  [ "$free" -ge 30 ] || say "Warning: $free GiB are free on this disk; cache and spool take up to 36 GiB."
}

# ---- Secrets, keys, certificates ------------------------------------------------------------------------------------
random_secret() {
  local file="$SECRETS/$1"
  if keep_or_make "$file"; then openssl rand -hex "$2" >"$file.new" && mv "$file.new" "$file"; fi
}

make_secrets() {
  local token
  if [ ! -s "$SECRETS/gitee-token" ]; then
    if [ -n "$TOKEN_FILE" ]; then
      [ -r "$TOKEN_FILE" ] || fail "--token-file: $TOKEN_FILE cannot be read"
      tr -d ' \t\r\n' <"$TOKEN_FILE" >"$SECRETS/gitee-token.new"
    elif $LOCAL; then
      openssl rand -hex 16 >"$SECRETS/gitee-token.new"
    elif $ASK; then
      token=''
      until [ "${#token}" -ge 8 ]; do
        read -r -s -p 'Personal token of Gitee (scopes projects and user_info; not shown): ' token || fail 'no answer'
        printf '\n'
        token=${token//[[:space:]]/}
        [ "${#token}" -ge 8 ] || say '  That is too short to be one.'
      done
      printf '%s\n' "$token" >"$SECRETS/gitee-token.new"
    else
      fail "the personal token is not given$NO_TERMINAL: --token-file FILE"
    fi
    [ "$(tr -d '\n' <"$SECRETS/gitee-token.new" | wc -c)" -ge 8 ] || fail 'the personal token is too short to be one'
    mv "$SECRETS/gitee-token.new" "$SECRETS/gitee-token"
    say "making $SECRETS/gitee-token"
  else
    agrees "$TOKEN_FILE" "$SECRETS/gitee-token"
    say "kept   $SECRETS/gitee-token"
  fi
  random_secret s3-secret-key 20
  random_secret registry-http-secret 32
  random_secret encryption-key 32
  random_secret notifications-token 24
  random_secret webhook-secret 16
  random_secret grafana-password 12
  random_secret alerts-token 24
  if [ -n "$OAUTH_SECRET_FILE" ] && { [ ! -s "$SECRETS/oauth-client-secret" ] || grep -qx no-application-configured "$SECRETS/oauth-client-secret"; }; then
    tr -d ' \t\r\n' <"$OAUTH_SECRET_FILE" >"$SECRETS/oauth-client-secret"
  fi
  agrees "$OAUTH_SECRET_FILE" "$SECRETS/oauth-client-secret"
  # Something must stand in the file that the gateway is given, also where no application is configured.
  [ -s "$SECRETS/oauth-client-secret" ] || printf 'no-application-configured\n' >"$SECRETS/oauth-client-secret"
  # The registry takes its secrets from its environment only.
  if keep_or_make "$SECRETS/registry.env"; then
    {
      printf 'REGISTRY_HTTP_SECRET=%s\n' "$(cat "$SECRETS/registry-http-secret")"
      printf 'REGISTRY_STORAGE_S3_ACCESSKEY=%s\n' "$S3_ACCESS_KEY"
      printf 'REGISTRY_STORAGE_S3_SECRETKEY=%s\n' "$(cat "$SECRETS/s3-secret-key")"
      # Read as YAML, of which JSON is a part; it takes the place of the list in the registry's file.
      printf 'REGISTRY_NOTIFICATIONS_ENDPOINTS=[{"name":"gateway","url":"%s/notifications","headers":{"Authorization":["Bearer %s"]},"timeout":"2s","threshold":5,"backoff":"5s","ignore":{"mediatypes":["application/octet-stream"]}}]\n' \
        "$WEB_URL" "$(cat "$SECRETS/notifications-token")"
    } >"$SECRETS/registry.env"
  fi
  make_signing_key
  make_logins
}

# The token service signs what the registry believes: ES256, the registry's bundle is this one certificate. The
# registry does not look at its end, other readers may: so it is long.
make_signing_key() {
  keep_or_make "$SECRETS/token.key" || return 0
  openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$SECRETS/token.key.new"
  openssl req -x509 -new -key "$SECRETS/token.key.new" -sha256 -days 3650 -subj '/CN=gitee-s3 registry token' \
    -out "$SECRETS/token.crt"
  mv "$SECRETS/token.key.new" "$SECRETS/token.key"
}

make_logins() {
  local password
  if [ "$LOGIN" != htpasswd ]; then
    [ -e "$SECRETS/htpasswd" ] || : >"$SECRETS/htpasswd"
    return 0
  fi
  keep_or_make "$SECRETS/htpasswd" || return 0
  random_secret admin-password 12
  password="$SECRETS/admin-password"
  if command -v htpasswd >/dev/null; then
    htpasswd -niB admin <"$password" >"$SECRETS/htpasswd.new"
  elif ! $NATIVE; then
    docker run --rm -i --network none "${IMAGE_PREFIX:-$(known IMAGE_PREFIX)}httpd:2.4" htpasswd -niB admin <"$password" >"$SECRETS/htpasswd.new"
  else
    fail 'the program htpasswd is missing: apt-get install apache2-utils'
  fi
  # The registry reads bcrypt only.
  grep -q '^admin:\$2y\$' "$SECRETS/htpasswd.new" || fail 'htpasswd made no bcrypt hash'
  sed '/^$/d' "$SECRETS/htpasswd.new" >"$SECRETS/htpasswd"
  rm -f "$SECRETS/htpasswd.new"
}

write_local_gitee() {
  local file="$SECRETS/local-gitee.json" owner=${REPOSITORY%/*} name=${REPOSITORY#*/}
  if [ -s "$file" ]; then return 0; fi
  cat >"$file" <<JSON
{
  "accounts": [{ "login": "gateway-bot", "name": "Gateway", "email": "gateway@gitee-s3.invalid",
                 "tokens": [{ "token": "$(cat "$SECRETS/gitee-token")" }] }],
  "repositories": [{ "owner": "$owner", "name": "$name", "enterprise": true, "lfs": true,
                     "collaborators": { "gateway-bot": "admin" } }]
}
JSON
}

# The variant of the registry's configuration for this kind of login, with the name of this host.
# @param path of the token certificate, path of the list of users, both as the registry sees them
registry_configuration() {
  sed -e "s#registry\\.example\\.com#$HOST#g" -e "s#/etc/docker/registry/token\\.crt#$1#" \
    -e "s#/etc/docker/registry/htpasswd#$2#" "$ROOT/registry-config/config.$LOGIN.yml"
}

# ---- .env -----------------------------------------------------------------------------------------------------------
# Only what is missing is added.
write_env() {
  local listening
  if [ ! -e "$ENV_FILE" ]; then
    cp "$DEPLOY/.env.example" "$ENV_FILE"
    sed -i -E "s#^(REGISTRY_HOST|GITEE_REPOSITORY|LOGIN|TLS)=.*#\1=#" "$ENV_FILE"
  fi
  put_env REGISTRY_HOST "$HOST"
  put_env GITEE_REPOSITORY "$REPOSITORY"
  put_env LOGIN "$LOGIN"
  put_env TLS "$TLS"
  [ "$GITEE_URL" = https://gitee.com ] || put_env GITEE_URL "$GITEE_URL"
  [ "$HTTPS_PORT" = 443 ] || put_env HTTPS_PORT "$HTTPS_PORT"
  listening=$(known HTTPS_PORT)
  [ "${listening:-443}" = "$HTTPS_PORT" ] ||
    say "Warning: clients go to port $HTTPS_PORT (REGISTRY_HOST), this host listens on $listening (HTTPS_PORT): right only behind a proxy."
  [ -z "$EMAIL" ] || put_env ACME_EMAIL "$EMAIL"
  if [ -n "$OAUTH_ID" ]; then
    put_env GITEE_OAUTH_CLIENT_ID "$OAUTH_ID"
    [ "$(known GITEE_OAUTH_CLIENT_ID)" = "$OAUTH_ID" ] ||
      fail "$ENV_FILE has GITEE_OAUTH_CLIENT_ID=$(known GITEE_OAUTH_CLIENT_ID) already, and nothing here overwrites it: edit the file, or leave the flag out"
  fi
  ! $LOCAL || add_profile local
  [ "$TLS" != acme ] || add_profile acme
  say "wrote  $ENV_FILE"
  derive "$DEPLOY/registry.yml" 644 registry_configuration /run/secrets/token_certificate /run/secrets/htpasswd
  if keep_or_make "$DEPLOY/gateway.env"; then
    cat >"$DEPLOY/gateway.env" <<'ENV'
# Further options of the gateway, one a line: docs/configuration.md has their names. What compose.yaml sets for the
# gateway itself wins over this file: change that in .env (LFS_QUOTA, GITEE_BRANCH and others, see .env.example).
#GATEWAY_LOG_LEVEL=debug
# A room that is told of pushes, deletions and alerts (json, dingtalk, feishu, wecom): docs/monitoring.md.
#GATEWAY_NOTIFICATIONS_TARGETS_0_NAME=room
#GATEWAY_NOTIFICATIONS_TARGETS_0_FORMAT=dingtalk
#GATEWAY_NOTIFICATIONS_TARGETS_0_URL=https://oapi.dingtalk.com/robot/send?access_token=...
#GATEWAY_NOTIFICATIONS_TARGETS_0_SECRET=SEC...
#GATEWAY_NOTIFICATIONS_TARGETS_0_EVENTS=[push, delete, alert]
ENV
  fi
  warn_of_settings_without_effect
  # docker-compose 1.29 misses the file of a service that is not even switched on.
  [ -e "$SECRETS/local-gitee.json" ] || : >"$SECRETS/local-gitee.json"
  # Nginx mounts both, whether certbot runs or not.
  mkdir -p "$DEPLOY/acme/config" "$DEPLOY/acme/webroot"
}

# @param profile of compose.yaml that must be switched on, beside those that are
add_profile() {
  local profiles
  profiles=$(known COMPOSE_PROFILES)
  case ,$profiles, in *,"$1",*) ;; *) set_env COMPOSE_PROFILES "${profiles:+$profiles,}$1" ;; esac
}

# ---- Docker ---------------------------------------------------------------------------------------------------------
# The plugin where it is there, else docker-compose 1.29.
compose() {
  if docker compose version >/dev/null 2>&1; then (cd "$DEPLOY" && docker compose "$@"); else (cd "$DEPLOY" && docker-compose "$@"); fi
}

docker_doctor() {
  say ''
  # A host that loaded a bundle has the image and nothing to build one from.
  if ! docker image inspect "$(known GATEWAY_IMAGE | grep . || printf gitee-s3-gateway):$(known GATEWAY_VERSION | grep . || printf latest)" >/dev/null 2>&1; then
    say 'Building the gateway ...'
    compose build gateway
  fi
  say 'Asking Gitee ...'
  if $LOCAL; then
    compose up -d gitee
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      if compose exec -T gitee node -e "fetch('http://127.0.0.1:9300/').then(() => process.exit(0), () => process.exit(1))" </dev/null; then break; fi
      sleep 1
    done
  fi
  compose run --rm --no-deps -T gateway doctor
}

next_steps() {
  local start='docker compose up -d' again trust=''
  if ! docker compose version >/dev/null 2>&1; then start='docker-compose up -d'; fi
  again="$start --force-recreate"
  if $NATIVE; then
    start='systemctl daemon-reload && systemctl enable --now gitee-s3.target nginx && systemctl restart nginx'
    again='systemctl daemon-reload && systemctl restart gitee-s3-gateway gitee-s3-registry && systemctl reload nginx'
  fi
  if [ "$TLS" = self-signed ]; then
    trust="
 - on every client, once: the authority's certificate, $TLS_DIR/ca.crt, as
     /etc/docker/certs.d/$HOST/ca.crt"
  fi
  say "
Next:"
  if $CHANGED && ! $START; then
    say " - settings have changed; for what runs already: $($NATIVE || printf 'cd %s && ' "$DEPLOY")$again"
  elif ! $START; then
    say " - start it: $($NATIVE || printf 'cd %s && ' "$DEPLOY")$start"
  fi
  say " - keep a copy of $SECRETS in a safe place; without it nobody can log in after a lost disk, the images are on Gitee$trust"
  if [ "$LOGIN" = htpasswd ]; then
    say " - docker login -u admin $HOST      password in $SECRETS/admin-password"
  else
    say " - docker login -u <Gitee login> $HOST      password: a personal token (scopes projects and user_info)"
    [ -z "$OAUTH_ID" ] || say "   or a password from https://$HOST/auth/"
  fi
}

main() {
  parse_arguments "$@"
  umask 077
  if $ASK && [ ! -t 0 ]; then
    ASK=false
    NO_TERMINAL=', and there is no terminal to ask at'
  fi
  if $NATIVE; then native_places; else
    ENV_FILE="$DEPLOY/.env" SECRETS="$DEPLOY/secrets" TLS_DIR="$DEPLOY/tls" WEB_URL=http://gateway:5002
    WRITTEN="$DEPLOY/.written"
  fi
  # The public half of the registry's S3 key; its secret half is random.
  S3_ACCESS_KEY=$(known S3_ACCESS_KEY)
  S3_ACCESS_KEY=${S3_ACCESS_KEY:-GWREGISTRY}
  check_machine
  settle_values
  mkdir -p "$SECRETS" "$TLS_DIR"
  make_secrets
  make_certificates
  ! $LOCAL || write_local_gitee
  if $NATIVE; then native_install; else
    write_env
    close_docker_files
  fi
  if $DOCTOR; then
    if $NATIVE; then native_doctor; else docker_doctor; fi ||
      fail "the doctor found something: put it right and start this again (another token goes into $SECRETS/gitee-token)"
  fi
  if $START; then
    if $NATIVE; then native_start; elif $CHANGED; then compose up -d --force-recreate; else compose up -d; fi
  fi
  next_steps
}

main "$@"
