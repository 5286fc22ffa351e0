# shellcheck shell=bash
# The self-check of quickstart.sh, which sources this file: pushes one small image, pulls it back and compares digests;
# on a later run it first pulls the image of the last one. Reads STATE and REGISTRY_PORT, sets SCRATCH (removed by
# quickstart.sh at its end).

sha256_of() { sha256sum "$1" | cut -d' ' -f1; }

# Puts a file into an OCI layout as a blob; prints `digest size`.
add_blob() {
  local digest
  digest=$(sha256_of "$2")
  cp "$2" "$1/blobs/sha256/$digest"
  printf 'sha256:%s %s\n' "$digest" "$(stat -c %s "$2")"
}

# An image of one small layer, made by tar and jq: no Docker is needed.
make_image() {
  local layout=$1 work=$2 diff_id layer config manifest
  mkdir -p "$layout/blobs/sha256" "$work/root"
  printf 'Hello from Gitee, %s %s\n' "$(date -u +%FT%TZ)" "$(openssl rand -hex 8)" >"$work/root/hello.txt"
  tar --sort=name --owner=0 --group=0 --numeric-owner -C "$work/root" -cf "$work/layer.tar" hello.txt
  diff_id=$(sha256_of "$work/layer.tar")
  gzip -n -f -k "$work/layer.tar"
  read -r -a layer < <(add_blob "$layout" "$work/layer.tar.gz")
  jq -cn --arg diff "sha256:$diff_id" '{ architecture: "amd64", os: "linux", config: {},
    rootfs: { type: "layers", diff_ids: [$diff] } }' >"$work/config.json"
  read -r -a config < <(add_blob "$layout" "$work/config.json")
  jq -cn --arg c "${config[0]}" --argjson cs "${config[1]}" --arg l "${layer[0]}" --argjson ls "${layer[1]}" '{
    schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: $c, size: $cs },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $l, size: $ls }] }' >"$work/manifest.json"
  read -r -a manifest < <(add_blob "$layout" "$work/manifest.json")
  printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  jq -cn --arg m "${manifest[0]}" --argjson ms "${manifest[1]}" '{ schemaVersion: 2, manifests: [{
    mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $m, size: $ms,
    annotations: { "org.opencontainers.image.ref.name": "latest" } }] }' >"$layout/index.json"
  printf '%s\n' "${manifest[0]}"
}

# Pulls an image whole and prints the digest of its manifest; skopeo checks the digests of the layers.
pull_digest() {
  rm -rf "$2"
  skopeo --insecure-policy copy -q --src-cert-dir "$STATE/tls/client" --src-authfile "$STATE/secrets/auth.json" \
    "docker://$1" "dir:$2" >>"$STATE/log/check.log" 2>&1 || return 1
  printf 'sha256:%s\n' "$(sha256_of "$2/manifest.json")"
}

self_check() {
  local name="127.0.0.1:$REGISTRY_PORT/quickstart/hello" pushed pulled before
  SCRATCH=$(mktemp -d)
  : >"$STATE/log/check.log"
  if [ -s "$STATE/last-image" ]; then
    before=$(cat "$STATE/last-image")
    pulled=$(pull_digest "$name@$before" "$SCRATCH/before") || check_failed 'the image of the last run cannot be pulled'
    [ "$pulled" = "$before" ] || check_failed "the image of the last run came back as $pulled instead of $before"
    say "Check: the image of the last run is still there ($before)"
  fi
  pushed=$(make_image "$SCRATCH/image" "$SCRATCH/work")
  skopeo --insecure-policy copy -q --dest-cert-dir "$STATE/tls/client" --dest-authfile "$STATE/secrets/auth.json" \
    "oci:$SCRATCH/image:latest" "docker://$name:latest" >>"$STATE/log/check.log" 2>&1 || check_failed 'the push failed'
  pulled=$(pull_digest "$name:latest" "$SCRATCH/pulled") || check_failed 'the pull failed'
  [ "$pulled" = "$pushed" ] || check_failed "pushed $pushed, but pulled $pulled"
  printf '%s\n' "$pushed" >"$STATE/last-image"
  say "Check: pushed one image and pulled it back, same digest ($pushed)"
  rm -rf "$SCRATCH"
  SCRATCH=''
}

check_failed() {
  tail -n 15 "$STATE/log/check.log" >&2
  fail "self-check: $1 (logs in $STATE/log)"
}

