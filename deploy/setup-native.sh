# shellcheck shell=bash
# The part of setup.sh for hosts without Docker: Debian packages and systemd. Sourced by setup.sh, which says what
# the variables mean.

NATIVE_PACKAGES=(docker-registry nginx git git-lfs apache2-utils openssl ca-certificates)

native_places() {
  ETC="$PREFIX/etc/gitee-s3" SECRETS="$PREFIX/etc/gitee-s3/secrets" TLS_DIR="$PREFIX/etc/nginx/tls"
  ENV_FILE="$ETC/setup.env"
  WEB_URL=http://127.0.0.1:5002
  mkdir -p "$ETC"
  # Nginx's workers and the registry's user read single files of it.
  chmod 755 "$ETC"
  [ -e "$ENV_FILE" ] || : >"$ENV_FILE"
}

native_check() {
  local package missing=()
  [ "$(id -u)" -eq 0 ] || fail '--native installs programs and users: start it with sudo'
  command -v node >/dev/null || fail 'Node.js 20 or later is missing: https://nodejs.org/en/download'
  [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || fail "Node.js 20 or later is needed, this is $(node --version)"
  for package in "${NATIVE_PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Installing ${missing[*]} ..."
  # Debian would start nginx and the registry with configurations that are not ours.
  local policy=/usr/sbin/policy-rc.d made_policy=false status=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=true
  fi
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    >"$ETC/apt.log" 2>&1 || status=$?
  if $made_policy; then rm -f "$policy"; fi
  [ "$status" -eq 0 ] || { tail -n 20 "$ETC/apt.log" >&2; fail 'the packages could not be installed'; }
  rm -f "$ETC/apt.log"
}

native_install() {
  local program="$PREFIX/opt/gitee-s3" unit
  write_native_env
  getent passwd gitee-s3 >/dev/null ||
    useradd --system --home-dir /var/lib/gitee-s3 --no-create-home --shell /usr/sbin/nologin gitee-s3
  # Debian's package has a unit of its own for the registry, with another configuration on the same port.
  if [ -z "$PREFIX" ] && command -v systemctl >/dev/null; then systemctl disable --quiet docker-registry.service || :; fi
  say "building the gateway into $program"
  (cd "$ROOT" && umask 022 && { [ -e node_modules/.package-lock.json ] || npm ci --no-audit --no-fund --loglevel=error; } && npm run --silent build)
  (
    umask 022
    mkdir -p "$program.new"
    cp -R "$ROOT/dist" "$ROOT/package.json" "$ROOT/package-lock.json" "$program.new/"
    cd "$program.new" && npm ci --omit=dev --no-audit --no-fund --loglevel=error
  )
  # The running program goes on from its old directory until it is started again.
  rm -rf "$program.old"
  [ ! -e "$program" ] || mv "$program" "$program.old"
  mv "$program.new" "$program"
  install -d -m 755 "$PREFIX/usr/local/bin" "$PREFIX/etc/systemd/system" "$PREFIX/etc/nginx/conf.d"
  ln -sfn /opt/gitee-s3/dist/cli/main.js "$PREFIX/usr/local/bin/gitee-s3"
  install -d -o gitee-s3 -g gitee-s3 -m 700 "$PREFIX/var/lib/gitee-s3"

  keep_or_make "$ETC/gateway.yaml" && native_gateway_yaml >"$ETC/gateway.yaml"
  keep_or_make "$ETC/registry.yml" && registry_configuration /etc/gitee-s3/secrets/token.crt /etc/gitee-s3/secrets/htpasswd >"$ETC/registry.yml"
  chmod 644 "$ETC/gateway.yaml" "$ETC/registry.yml"
  for unit in "$DEPLOY"/systemd/*; do
    keep_or_make "$PREFIX/etc/systemd/system/$(basename "$unit")" &&
      install -m 644 "$unit" "$PREFIX/etc/systemd/system/"
  done
  native_nginx
  chown gitee-s3 "$SECRETS" "$SECRETS"/*
  # The registry's environment is read by systemd as root.
  chown root "$SECRETS/registry.env"
  # Debian's registry runs as its own user and reads the list and the certificate only.
  chmod 711 "$SECRETS"
  chmod 644 "$SECRETS/htpasswd" "$SECRETS/token.crt"
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
  local file target
  install -d -m 755 "$PREFIX/etc/nginx/snippets" "$PREFIX/var/www/acme"
  for file in "$ROOT"/nginx/*.conf "$ROOT"/nginx/snippets/*.conf; do
    # The public S3 name is a choice of its own: docs/nginx.md.
    case $file in */s3-public.conf) continue ;; esac
    target="$PREFIX/etc/nginx/conf.d/gitee-s3-${file##*/}"
    case $file in */snippets/*) target="$PREFIX/etc/nginx/snippets/${file##*/}" ;; esac
    # http.conf must be read before those that use its maps and log format: conf.d is read by name.
    case $file in */http.conf) target="$PREFIX/etc/nginx/conf.d/gitee-s3-0-http.conf" ;; esac
    if keep_or_make "$target"; then
      sed "s#registry\.example\.com#$HOST_NAME#g; s#listen 443 ssl#listen $HTTPS_PORT ssl#" "$file" >"$target"
      chmod 644 "$target"
    fi
  done
}

native_doctor() {
  say ''
  say 'Asking Gitee ...'
  setpriv --reuid gitee-s3 --regid gitee-s3 --clear-groups -- \
    node "$PREFIX/opt/gitee-s3/dist/cli/main.js" doctor --config "$ETC/gateway.yaml"
}

native_start() {
  if [ ! -d /run/systemd/system ]; then fail 'systemd does not run here: start the programs of deploy/systemd/ by hand'; fi
  systemctl daemon-reload
  systemctl stop docker-registry.service
  systemctl enable --now gitee-s3.target nginx.service
  systemctl reload nginx.service
}
