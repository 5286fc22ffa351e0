# shellcheck shell=bash
# The part of setup.sh for hosts without Docker: Debian packages and systemd. Sourced by setup.sh, which says what
# the variables mean.

NATIVE_PACKAGES=(docker-registry nginx git git-lfs libjemalloc2 apache2-utils openssl ca-certificates)

native_places() {
  [ -z "$PREFIX" ] || PREFIX=$(realpath -m -- "$PREFIX")
  ETC="$PREFIX/etc/gitee-s3" SECRETS="$PREFIX/etc/gitee-s3/secrets" TLS_DIR="$PREFIX/etc/nginx/tls"
  ENV_FILE="$ETC/setup.env"
  # Not /opt/gitee-s3: that is where README puts the checkout.
  PROGRAM_PATH=/usr/local/lib/gitee-s3
  PROGRAM="$PREFIX$PROGRAM_PATH"
  WEB_URL=http://127.0.0.1:5002 WRITTEN="$ETC/.written"
  mkdir -p "$ETC"
  # Nginx's workers and the registry's user read single files of it.
  chmod 755 "$ETC"
  [ -e "$ENV_FILE" ] || : >"$ENV_FILE"
}

native_check() {
  local package missing=()
  [ "$(id -u)" -eq 0 ] || fail '--native installs programs and users: start it with sudo'
  native_place_is_ours
  for package in "${NATIVE_PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    say "Installing ${missing[*]} ..."
    # Debian would start nginx and the registry with configurations that are not ours.
    install_packages "$ETC/apt.log" "${missing[@]}" || fail 'the packages could not be installed'
    rm -f "$ETC/apt.log"
  fi
  use_node || fail 'there is no Node.js to go on with'
}

# What is replaced and removed are directories that carry this file, no others.
NATIVE_MARK=.installed-by-gitee-s3-setup

# The program has a place that no checkout has, and nothing of anybody else is touched there.
native_place_is_ours() {
  local place
  for place in "$PROGRAM" "$PROGRAM.new" "$PROGRAM.old"; do
    case $(realpath -m -- "$ROOT")/ in
      "$(realpath -m -- "$place")"/*) fail "this checkout lies in $place, where the program is to be installed: move it elsewhere" ;;
    esac
    if [ -e "$place" ] || [ -L "$place" ]; then
      [ ! -L "$place" ] && [ -f "$place/$NATIVE_MARK" ] ||
        fail "$place is there and was not made by this script: it is left alone; move it away and start this again"
    fi
  done
  case $(realpath -m -- "$PROGRAM")/ in
    "$(realpath -m -- "$ROOT")"/*) fail "the program would be installed within this checkout, $ROOT: choose another --root" ;;
  esac
}

# @param directory of the program: removed, if this script made it
native_remove() {
  if [ -f "$1/$NATIVE_MARK" ] && [ ! -L "$1" ]; then rm -rf -- "$1"; fi
}

# Program, npm packages and, where the system's Node is none that will do, a Node; put in place whole.
native_program() {
  local node
  say "building the gateway into $PROGRAM"
  (
    cd "$ROOT"
    umask 022
    if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
      npm_ci
      touch node_modules/.package-lock.json
    fi
    npm run --silent build
  )
  (
    umask 022
    native_remove "$PROGRAM.new"
    mkdir -p "$PROGRAM.new"
    : >"$PROGRAM.new/$NATIVE_MARK"
    cp -R "$ROOT/dist" "$ROOT/package.json" "$ROOT/package-lock.json" "$PROGRAM.new/"
    cd "$PROGRAM.new"
    npm_ci --omit=dev
    # What is not the system's own (the checkout's, or one in somebody's home) the gateway's user could not run.
    node=$(command -v node)
    case $node in
      /bin/* | /usr/bin/* | /usr/local/bin/*) ;;
      *) install -D -m 755 "$node" node/bin/node && node="$PROGRAM_PATH/node/bin/node" ;;
    esac
    printf '#!/bin/sh\nexec %s %s/dist/cli/main.js "$@"\n' "$node" "$PROGRAM_PATH" >gitee-s3
    chmod 755 gitee-s3
  )
  # The running program goes on from its old directory until it is started again.
  native_remove "$PROGRAM.old"
  [ ! -e "$PROGRAM" ] || mv -T "$PROGRAM" "$PROGRAM.old"
  mv -T "$PROGRAM.new" "$PROGRAM"
}

native_install() {
  local unit command="$PREFIX/usr/local/bin/gitee-s3"
  write_native_env
  getent passwd gitee-s3 >/dev/null ||
    useradd --system --user-group --home-dir /var/lib/gitee-s3 --no-create-home --shell /usr/sbin/nologin gitee-s3
  # Debian's package has a unit of its own for the registry, with another configuration on the same port.
  if [ -z "$PREFIX" ] && command -v systemctl >/dev/null; then systemctl disable --quiet docker-registry.service || :; fi
  native_program
  install -d -m 755 "$PREFIX/usr/local/bin" "$PREFIX/etc/systemd/system" "$PREFIX/etc/nginx/conf.d"
  # A link is this script's; anything else that has this name is somebody's.
  if [ -e "$command" ] && [ ! -L "$command" ]; then fail "$command is there and was not made by this script: move it away"; fi
  ln -sfn "$PROGRAM_PATH/gitee-s3" "$command"
  install -d -o gitee-s3 -g gitee-s3 -m 700 "$PREFIX/var/lib/gitee-s3"

  derive "$ETC/gateway.yaml" 640 native_gateway_yaml
  derive "$ETC/registry.yml" 644 registry_configuration /etc/gitee-s3/secrets/token.crt /etc/gitee-s3/secrets/htpasswd
  for unit in "$DEPLOY"/systemd/*; do derive "$PREFIX/etc/systemd/system/$(basename "$unit")" 644 cat "$unit"; done
  native_registry_may_read
  native_nginx
  close_native_files
}

# A unit of an earlier version, or one that the operator changed, is kept, and lacks the group.
native_registry_may_read() {
  local unit="$PREFIX/etc/systemd/system/gitee-s3-registry.service"
  grep -q '^SupplementaryGroups=.*gitee-s3' "$unit" "$unit".d/*.conf 2>/dev/null && return 0
  install -d -m 755 "$unit.d"
  derive "$unit.d/secrets.conf" 644 printf '[Service]\nSupplementaryGroups=gitee-s3\n'
}

write_native_env() {
  put_env REGISTRY_HOST "$HOST"
  put_env GITEE_REPOSITORY "$REPOSITORY"
  put_env LOGIN "$LOGIN"
  put_env TLS "$TLS"
  put_env GITEE_URL "$GITEE_URL"
}

native_gateway_yaml() {
  local secrets=/etc/gitee-s3/secrets
  cat <<YAML
# Written once by setup.sh; yours from now on. Every option: docs/configuration.md.
state_dir: /var/lib/gitee-s3
$(! $LOCAL || printf '# The embedded Gitee, started with the gateway: to try out.\nlocal_gitee: { enabled: true }\n')
gitee:
$($LOCAL || printf '  url: %s' "$GITEE_URL")
  token_file: $secrets/gitee-token
access_keys:
  - access_key_id: $S3_ACCESS_KEY
    secret_access_key_file: $secrets/s3-secret-key
    buckets: { registry: write }
buckets:
  - { name: registry, repository: $REPOSITORY, preset: registry }
auth:
  enabled: true
  public_url: https://$HOST
  service: $HOST
  key_file: $secrets/token.key
  certificate_file: $secrets/token.crt
  encryption_key_file: $secrets/encryption-key
$([ -z "$OAUTH_ID" ] || printf '  oauth: { client_id: %s, client_secret_file: %s }' "$OAUTH_ID" "$secrets/oauth-client-secret")
webhook: { secret_file: $secrets/webhook-secret }
notifications: { token_file: $secrets/notifications-token }
YAML
}

# The shipped Nginx files with this host's name. Links of sites-enabled are the operator's.
native_nginx() {
  local file target port=''
  [ "$HTTPS_PORT" = 443 ] || port=:$HTTPS_PORT
  install -d -m 755 "$PREFIX/etc/nginx/snippets" "$PREFIX/var/www/acme"
  for file in "$ROOT"/nginx/*.conf "$ROOT"/nginx/snippets/*.conf; do
    # The public S3 name is a choice of its own: docs/nginx.md.
    case $file in */s3-public.conf) continue ;; esac
    target="$PREFIX/etc/nginx/conf.d/gitee-s3-${file##*/}"
    case $file in */snippets/*) target="$PREFIX/etc/nginx/snippets/${file##*/}" ;; esac
    # http.conf must be read before those that use its maps and log format: conf.d is read by name.
    case $file in */http.conf) target="$PREFIX/etc/nginx/conf.d/gitee-s3-0-http.conf" ;; esac
    derive "$target" 644 sed -e "s#registry\.example\.com#$HOST_NAME#g" -e "s#listen 443 ssl#listen $HTTPS_PORT ssl#" \
      -e "s#https://\$host\$request_uri#https://\$host${port}\$request_uri#" "$file"
  done
}

native_doctor() {
  say ''
  say 'Asking Gitee ...'
  setpriv --reuid gitee-s3 --regid gitee-s3 --clear-groups -- \
    "$(native_node)" "$PROGRAM/dist/cli/main.js" doctor --config "$ETC/gateway.yaml"
}

native_node() {
  if [ -x "$PROGRAM/node/bin/node" ]; then printf '%s\n' "$PROGRAM/node/bin/node"; else command -v node; fi
}

native_start() {
  if [ ! -d /run/systemd/system ]; then fail 'systemd does not run here: start the programs of deploy/systemd/ by hand'; fi
  systemctl daemon-reload
  systemctl stop docker-registry.service
  systemctl enable --now gitee-s3.target nginx.service
  systemctl reload nginx.service
}
