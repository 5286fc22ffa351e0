#!/usr/bin/env bash
# Lists, deletes and collects the images of the registry that compose.yaml runs here.
#
#   bash images.sh list             every NAME:TAG
#   bash images.sh list NAME        the tags of one image, each with the digest of its manifest
#   bash images.sh delete NAME:TAG  the manifest that this tag names; refused where other tags name it too
#        --with-tags                then those too
#   bash images.sh collect          removes layers that no manifest names any more; nobody can push or pull meanwhile
#        --dry-run                  only says what it would remove
#        --user LOGIN --password-file FILE   who asks. LOGIN=token: an administrator of the repository on Gitee with a
#                                   personal token; LOGIN=htpasswd: admin, if nobody is named
#
# Space at Gitee is not given back by it: docs/images.md.
set -euo pipefail

DEPLOY=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
ENV_FILE="$DEPLOY/.env"
fail() { printf 'images: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
# shellcheck source=deploy/setup-files.sh
source "$DEPLOY/setup-files.sh"

COMMAND=${1:-} NAMED='' ACCOUNT='' PASSWORD_FILE='' WITH_TAGS=false DRY_RUN=false
[ $# -eq 0 ] || shift
while [ $# -gt 0 ]; do
  case $1 in
    --user | --password-file)
      if [ $# -lt 2 ] || [ -z "$2" ]; then fail "$1 needs a value"; fi
      case $1 in --user) ACCOUNT=$2 ;; *) PASSWORD_FILE=$2 ;; esac
      shift ;;
    --with-tags) WITH_TAGS=true ;;
    --dry-run) DRY_RUN=true ;;
    -*) usage >&2; exit 2 ;;
    *) NAMED=$1 ;;
  esac
  shift
done

HOST=$(known REGISTRY_HOST)
LOGIN=$(known LOGIN)
[ -n "$HOST" ] || fail "$ENV_FILE does not say REGISTRY_HOST"
if [ "$LOGIN" = htpasswd ]; then ACCOUNT=${ACCOUNT:-admin} PASSWORD_FILE=${PASSWORD_FILE:-$DEPLOY/secrets/admin-password}; fi
TRUST=()
if [ "$(known TLS)" = self-signed ]; then TRUST=(--cacert "$DEPLOY/tls/ca.crt"); fi

compose() {
  if docker compose version >/dev/null 2>&1; then (cd "$DEPLOY" && docker compose "$@"); else (cd "$DEPLOY" && docker-compose "$@"); fi
}

# A line for curl's --config: no password is an argument. @param scope
authorization() {
  local password token
  if [ -z "$ACCOUNT" ] || [ -z "$PASSWORD_FILE" ]; then fail 'say who asks: --user LOGIN --password-file FILE'; fi
  [ -r "$PASSWORD_FILE" ] || fail "$PASSWORD_FILE cannot be read: start this as root, or name another --password-file"
  password=$(tr -d '\r\n' <"$PASSWORD_FILE")
  if [ "$LOGIN" = htpasswd ]; then printf 'user = "%s:%s"\n' "$ACCOUNT" "$password"; return; fi
  token=$(printf 'user = "%s:%s"\n' "$ACCOUNT" "$password" |
    curl -sS --fail-with-body "${TRUST[@]}" --config - "https://$HOST/token?service=$HOST&scope=$1") ||
    fail "no login: $token"
  printf 'header = "Authorization: Bearer %s"\n' "$(printf '%s' "$token" | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')"
}

# Status of `ask` where there is no such thing. Any other failure has been told, and must not be taken for an empty list.
NONE=4

# @param scope, path and query below /v2/; more arguments of curl
ask() {
  local scope=$1 path=$2 login answer status
  shift 2
  login=$(authorization "$scope") || exit 1
  answer=$(printf '%s\n' "$login" | curl -sS "${TRUST[@]}" --config - -w '\n%{http_code}' "$@" "https://$HOST/v2/$path") ||
    fail "$HOST gives no answer"
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  case $status in
    2??) printf '%s\n' "$answer" ;;
    404) return "$NONE" ;;
    401 | 403) fail "$ACCOUNT may not do that, it is for administrators of the repository on Gitee: $status $answer" ;;
    *) fail "the registry answers $status $answer" ;;
  esac
}

# Names in the list of a JSON answer. @param its key
listed() { sed -n "s/.*\"$1\":\[\([^]]*\)\].*/\1/p" | tr ',' '\n' | tr -d '"' | sed '/^$/d'; }

MANIFESTS='Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'

repositories() {
  local last='' page
  while :; do
    page=$(ask 'registry:catalog:*' "_catalog?n=500&last=$last" | listed repositories) || return
    [ -n "$page" ] || return 0
    printf '%s\n' "$page"
    last=$(printf '%s\n' "$page" | tail -n 1 | sed 's#/#%2F#g')
  done
}
# An image whose last tag was deleted has none, and is 404 or null.
tags() { ask "repository:$1:pull" "$1/tags/list" | listed tags | sort; }
# @param image, tag
digest() {
  ask "repository:$1:pull" "$1/manifests/$2" -I -H "$MANIFESTS" | tr -d '\r' |
    sed -n 's/^docker-content-digest: //Ip'
}

list() {
  local name names tag found sum
  if [ -n "$NAMED" ]; then
    found=$(tags "$NAMED") || missing "$NAMED"
    [ -n "$found" ] || missing "$NAMED" "$NONE"
    for tag in $found; do
      sum=$(digest "$NAMED" "$tag") || { gone && continue; }
      printf '%s:%s  %s\n' "$NAMED" "$tag" "$sum"
    done
    return
  fi
  names=$(repositories) || missing 'list of images'
  for name in $names; do
    found=$(tags "$name") || gone
    for tag in $found; do printf '%s:%s\n' "$name" "$tag"; done
  done
}

# After a failure: what was asked for is not there, or it was told why it can't be said. @param name, status ($?)
missing() {
  local status=${2:-$?}
  [ "$status" -ne "$NONE" ] || fail "there is no $1 here"
  exit 1
}
# After a failure: what is gone since the list was made is no failure.
gone() {
  local status=$?
  [ "$status" -eq "$NONE" ] || exit 1
}

delete() {
  local name=${NAMED%:*} tag=${NAMED##*:} wanted found other sum others=()
  case $NAMED in ?*:?*) ;; *) fail 'which one? delete NAME:TAG' ;; esac
  wanted=$(digest "$name" "$tag") || missing "$NAMED"
  found=$(tags "$name") || gone
  for other in $found; do
    [ "$other" != "$tag" ] || continue
    sum=$(digest "$name" "$other") || gone
    if [ "$sum" = "$wanted" ]; then others+=("$other"); fi
  done
  if [ ${#others[@]} -gt 0 ] && ! $WITH_TAGS; then
    fail "$NAMED is the same image as ${others[*]}, which would be deleted too: --with-tags, if that is meant"
  fi
  ask "repository:$name:delete,pull" "$name/manifests/$wanted" -X DELETE >/dev/null || missing "$NAMED"
  printf 'deleted %s@%s%s\n' "$NAMED" "$wanted" "${others:+, with the tags ${others[*]}}"
}

collect() {
  local flags=() status=0 said
  ! $DRY_RUN || flags=(--dry-run)
  said=$(mktemp)
  # shellcheck disable=SC2064
  trap "rm -f '$said'" EXIT
  # A push meanwhile would find a layer there that is gone when its manifest comes.
  compose stop registry
  compose run --rm --no-deps -T registry garbage-collect "${flags[@]}" /etc/docker/registry/config.yml 2>&1 | tee "$said" || status=$?
  # It has forgotten what is gone, and may have another address.
  compose up -d registry
  compose exec -T nginx nginx -c /tmp/nginx/nginx.conf -s reload
  # Before the first push there is nothing to look through, which the registry takes for a failure.
  if grep -q 'Path not found: /docker/registry/v2/repositories' "$said"; then printf 'nothing was pushed yet\n'; return; fi
  [ "$status" -eq 0 ] || fail 'the registry could not collect; it runs again'
}

case $COMMAND in
  list) list ;;
  delete) delete ;;
  collect) collect ;;
  -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
