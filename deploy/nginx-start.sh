#!/bin/sh
# Starts Nginx in its container: any user, read-only root, ports over 1024, logs to standard output. It renders the
# files of nginx/ for this host (REGISTRY_HOST) and reloads when the certificate, or the address of a container, changes.
#
#   CONFIG (/etc/nginx/gitee)  nginx/ of the checkout     TLS_DIR (/etc/nginx/tls)  registry.crt, registry.key
#   S3_PUBLIC  not empty: S3 under the name s3.REGISTRY_HOST too (nginx/s3-public.conf)
#   ACME_DIR (/etc/letsencrypt)  certbot's directory: a certificate in live/registry wins over TLS_DIR
set -eu
umask 077
CONFIG=${CONFIG:-/etc/nginx/gitee}
TLS_DIR=${TLS_DIR:-/etc/nginx/tls}
ACME_DIR=${ACME_DIR:-/etc/letsencrypt}
UPSTREAMS=/etc/nginx/upstreams.conf
WATCH_SECONDS=${WATCH_SECONDS:-60}
# For no longer than this do requests go to an address that is another container's by now.
ADDRESS_SECONDS=5
RUN=${RUN:-/tmp/nginx}
NAME=${REGISTRY_HOST:?REGISTRY_HOST is not set}
# Port of the registry's name, where it is not 443: for the redirect from port 80.
PORT=''
case $NAME in *:*) PORT=:${NAME##*:} ;; esac
NAME=${NAME%%:*}

mkdir -p "$RUN/conf.d" "$RUN/snippets" "$RUN/tls" "$RUN/temp"

# @param file, destination
render() {
  sed -e "s#listen 443 ssl#listen ${HTTPS_LISTEN:-8443} ssl#" -e "s#listen 80;#listen ${HTTP_LISTEN:-8080};#" \
    -e 's#listen 127\.0\.0\.1:#listen #' -e "s#registry\.example\.com#$NAME#g" \
    -e "s#https://\$host\$request_uri#https://\$host$PORT\$request_uri#" \
    -e "s#include snippets/#include $RUN/snippets/#" -e "s#/etc/nginx/tls/#$RUN/tls/live/#" \
    -e 's#\(access_log\) */var/log/nginx/[^ ]*#\1 /dev/stdout#' -e 's#\(error_log\) */var/log/nginx/[^ ]*#\1 /dev/stderr#' \
    "$1" >"$2"
}
for file in "$CONFIG"/*.conf; do
  case $file in
    */upstreams.conf) ;; # the one beside compose.yaml
    */s3-public.conf) [ -z "${S3_PUBLIC:-}" ] || render "$file" "$RUN/conf.d/s3-public.conf" ;;
    *) render "$file" "$RUN/conf.d/${file##*/}" ;;
  esac
done
for file in "$CONFIG"/snippets/*.conf; do render "$file" "$RUN/snippets/${file##*/}"; done

cat >"$RUN/nginx.conf" <<NGINX
worker_processes auto;
pid $RUN/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 4096; }
http {
    client_body_temp_path $RUN/temp/body; proxy_temp_path $RUN/temp/proxy; fastcgi_temp_path $RUN/temp/fastcgi;
    uwsgi_temp_path $RUN/temp/uwsgi; scgi_temp_path $RUN/temp/scgi;
    default_type application/octet-stream;
    # Containers come and go with new addresses.
    include $UPSTREAMS;
    include $RUN/conf.d/*.conf;
}
NGINX

# A certificate of certbot wins over the one of TLS_DIR.
certificate_source() {
  if [ -s "$ACME_DIR/live/registry/fullchain.pem" ]; then
    CRT="$ACME_DIR/live/registry/fullchain.pem" KEY="$ACME_DIR/live/registry/privkey.pem"
  else
    CRT="$TLS_DIR/registry.crt" KEY="$TLS_DIR/registry.key"
  fi
}
certificate_sum() { certificate_source && cat "$CRT" "$KEY" | cksum | tr ' ' -; }

# Certificate and key change by one rename of a link, so no worker ever reads halves of two pairs.
# @param name of the pair
install_pair() {
  certificate_source
  mkdir -p "$RUN/tls/$1"
  cat "$CRT" >"$RUN/tls/$1/registry.crt"
  cat "$KEY" >"$RUN/tls/$1/registry.key"
}
serve_pair() {
  ln -sfn "$1" "$RUN/tls/live.new"
  mv -T "$RUN/tls/live.new" "$RUN/tls/live"
}

take_certificate() {
  now=$(certificate_sum 2>/dev/null) || return 0
  [ "$now" != "$served" ] || return 0
  install_pair "$now" || return 0
  serve_pair "$now"
  # Half of a new pair may be there already: then the old one stays, and the next round tries again.
  if nginx -t -q -c "$RUN/nginx.conf" 2>"$RUN/test.log"; then
    # Old workers finish what they serve.
    nginx -s reload -c "$RUN/nginx.conf"
    rm -rf "${RUN:?}/tls/$served"
    served=$now
    echo 'nginx-start: the certificate changed, reloaded' >&2
  else
    serve_pair "$served"
    rm -rf "${RUN:?}/tls/$now"
    echo 'nginx-start: the new certificate is refused, the old one stays:' >&2
    cat "$RUN/test.log" >&2
  fi
}

# What the names of upstreams.conf mean now. Nginx asks at its start and reload only; a container that was made anew, or
# two that were started in another order, have other addresses. Fails while one of them is down.
addresses() {
  for upstream in $(sed -n 's/^ *server \([a-z0-9-]*\):.*/\1/p' "$UPSTREAMS" | sort -u); do
    getent hosts "$upstream" || return 1
  done
}

take_addresses() {
  now=$(addresses 2>/dev/null) || return 0
  now=$(printf '%s\n' "$now" | sort)
  [ "$now" != "$known" ] || return 0
  nginx -t -q -c "$RUN/nginx.conf" 2>/dev/null || return 0
  nginx -s reload -c "$RUN/nginx.conf"
  echo 'nginx-start: addresses of containers changed, reloaded' >&2
  known=$now
}

# @param the pair that is served
watch() {
  served=$1
  known=$(addresses 2>/dev/null | sort)
  step=$ADDRESS_SECONDS
  [ "$step" -lt "$WATCH_SECONDS" ] || step=$WATCH_SECONDS
  waited=0
  while sleep "$step"; do
    take_addresses || :
    waited=$((waited + step))
    [ "$waited" -ge "$WATCH_SECONDS" ] || continue
    waited=0
    take_certificate || :
  done
}

SERVED=$(certificate_sum)
install_pair "$SERVED"
serve_pair "$SERVED"
watch "$SERVED" &
exec nginx -c "$RUN/nginx.conf" -g 'daemon off;'
