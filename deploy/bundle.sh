#!/usr/bin/env bash
# Carries the whole stack to a host that reaches no image registry.
#
#   bash deploy/bundle.sh save FILE.tar     on a host with the images: every image of compose.yaml, and this checkout
#   bash deploy/bundle.sh load FILE.tar     on the other one, from inside the unpacked checkout; checks the sums first
#
# On the other host:  tar -xf FILE.tar gitee-s3.tar.gz && tar -xzf gitee-s3.tar.gz && cd gitee-s3
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
fail() { printf 'bundle: %s\n' "$*" >&2; exit 1; }

make_scratch() {
  SCRATCH=$(mktemp -d)
  trap 'rm -rf "$SCRATCH"' EXIT
}

compose() {
  if docker compose version >/dev/null 2>&1; then (cd "$ROOT/deploy" && docker compose "$@"); else (cd "$ROOT/deploy" && docker-compose "$@"); fi
}

# Images of the services that COMPOSE_PROFILES switches on, those always there included. docker-compose 1.29 shows
# all services, each with its profiles; the plugin shows those that are switched on.
images() {
  local profiles=${COMPOSE_PROFILES:-}
  [ -n "$profiles" ] || profiles=$(sed -n 's/^COMPOSE_PROFILES=//p' "$ROOT/deploy/.env" | tail -n 1)
  compose config | awk -v profiles=",$profiles," '
    function finish() { if (image != "" && wanted) print image; image = "" }
    /^[^ ]/ { finish(); services = ($1 == "services:") }
    !services { next }
    /^  [^ ]/ { finish(); wanted = 1; listing = 0 }
    /^    [a-z]/ { listing = ($1 == "profiles:"); if (listing) wanted = 0 }
    /^    image:/ { image = $2 }
    listing && $1 == "-" && index(profiles, "," $2 ",") { wanted = 1 }
    END { finish() }' | tr -d "'\"" | sort -u
}

save() {
  local file list
  file=$(realpath -m -- "$1")
  mapfile -t list < <(images)
  [ ${#list[@]} -gt 0 ] || fail 'the compose file names no image: is deploy/.env filled in?'
  make_scratch
  for image in "${list[@]}"; do
    docker image inspect "$image" >/dev/null 2>&1 || fail "the image $image is not here: docker compose pull, docker compose build gateway"
  done
  docker save "${list[@]}" -o "$SCRATCH/images.tar"
  # What git knows: no secret, no state.
  # Whoever may run this may read a checkout of another user, which git doubts.
  (cd "$ROOT" && git -c safe.directory="$ROOT" archive --format=tar.gz --prefix=gitee-s3/ -o "$SCRATCH/gitee-s3.tar.gz" HEAD)
  (cd "$SCRATCH" && sha256sum images.tar gitee-s3.tar.gz >SHA256SUMS)
  tar -C "$SCRATCH" -cf "$file" SHA256SUMS gitee-s3.tar.gz images.tar
  printf '%s: %s images\n' "$file" "${#list[@]}"
}

load() {
  make_scratch
  tar -C "$SCRATCH" -xf "$1" SHA256SUMS gitee-s3.tar.gz images.tar
  (cd "$SCRATCH" && sha256sum --check --quiet SHA256SUMS) || fail "$1 is damaged: copy it again"
  docker load -i "$SCRATCH/images.tar"
}

case ${1:-}:${2:-} in
  save:?*) save "$2" ;;
  load:?*) load "$2" ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
