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
  [ -n "$ACCOUNT" ] && [ -r "$PASSWORD_FILE" ] || fail 'say who asks: --user LOGIN --password-file FILE'
  password=$(tr -d '\r\n' <"$PASSWORD_FILE")
  if [ "$LOGIN" = htpasswd ]; then printf 'user = "%s:%s"\n' "$ACCOUNT" "$password"; return; fi
  token=$(printf 'user = "%s:%s"\n' "$ACCOUNT" "$password" |
    curl -sS --fail-with-body "${TRUST[@]}" --config - "https://$HOST/token?service=$HOST&scope=$1") ||
    fail "the login is refused: $token"
  printf 'header = "Authorization: Bearer %s"\n' "$(printf '%s' "$token" | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')"
}

# @param scope, path and query below /v2/; more arguments of curl
ask() {
  local scope=$1 path=$2 login
  shift 2
  login=$(authorization "$scope") || exit 1
  printf '%s\n' "$login" | curl -sS --fail "${TRUST[@]}" --config - "$@" "https://$HOST/v2/$path"
}

# Names in the list of a JSON answer. @param its key
listed() { sed -n "s/.*\"$1\":\[\([^]]*\)\].*/\1/p" | tr ',' '\n' | tr -d '"' | sed '/^$/d'; }

MANIFESTS='Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'

repositories() {
  local last='' page
  while :; do
    page=$(ask 'registry:catalog:*' "_catalog?n=500&last=$last" | listed repositories)
    [ -n "$page" ] || return 0
    printf '%s\n' "$page"
    last=$(printf '%s\n' "$page" | tail -n 1 | sed 's#/#%2F#g')
  done
}
# An image whose last tag was deleted has none, and is 404 or null.
tags() { ask "repository:$1:pull" "$1/tags/list" 2>/dev/null | listed tags | sort || :; }
# @param image, tag
digest() {
  ask "repository:$1:pull" "$1/manifests/$2" -I -H "$MANIFESTS" | tr -d '\r' |
    sed -n 's/^docker-content-digest: //Ip'
}

list() {
  local name tag
  if [ -n "$NAMED" ]; then
    for tag in $(tags "$NAMED"); do printf '%s:%s  %s\n' "$NAMED" "$tag" "$(digest "$NAMED" "$tag")"; done
    return
  fi
  for name in $(repositories); do
    for tag in $(tags "$name"); do printf '%s:%s\n' "$name" "$tag"; done
  done
}

delete() {
  local name=${NAMED%:*} tag=${NAMED##*:} wanted other others=()
  case $NAMED in ?*:?*) ;; *) fail 'which one? delete NAME:TAG' ;; esac
  wanted=$(digest "$name" "$tag") || fail "there is no $NAMED here"
  for other in $(tags "$name"); do
    if [ "$other" != "$tag" ] && [ "$(digest "$name" "$other")" = "$wanted" ]; then others+=("$other"); fi
  done
  if [ ${#others[@]} -gt 0 ] && ! $WITH_TAGS; then
    fail "$NAMED is the same image as ${others[*]}, which would be deleted too: --with-tags, if that is meant"
  fi
  ask "repository:$name:delete,pull" "$name/manifests/$wanted" -X DELETE ||
    fail "it was not deleted: that is for administrators of the repository on Gitee"
  printf 'deleted %s@%s%s\n' "$NAMED" "$wanted" "${others:+, with the tags ${others[*]}}"
}

collect() {
  local flags=() status=0
  ! $DRY_RUN || flags=(--dry-run)
  # A push meanwhile would find a layer there that is gone when its manifest comes.
  compose stop registry
  compose run --rm --no-deps -T registry garbage-collect "${flags[@]}" /etc/docker/registry/config.yml || status=$?
  # It has forgotten what is gone, and may have another address.
  compose up -d registry
  compose exec -T nginx nginx -c /tmp/nginx/nginx.conf -s reload
  [ "$status" -eq 0 ] || fail 'the registry could not collect; it runs again'
}

case $COMMAND in
  list) list ;;
  delete) delete ;;
  collect) collect ;;
  -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
