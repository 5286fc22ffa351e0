#!/usr/bin/env bash
# Puts a new certificate into service: checks the pair, swaps it in whole, asks `nginx -t`, reloads. Nothing running is
# cut: Nginx's old workers finish what they serve. Where anything is wrong the old pair stays, and the status is not 0.
#
#   certbot renew --deploy-hook '/opt/gitee-s3/deploy/renew-hook.sh'    certbot says where the new pair lies
#   deploy/renew-hook.sh DIRECTORY                                     with fullchain.pem and privkey.pem, your own
#
#   TLS_DIR   directory of registry.crt and registry.key (/etc/nginx/tls)
#   NGINX     how Nginx is called (nginx). In compose no hook is needed: nginx-start.sh takes a new pair by itself
#   KEEP      how many pairs stay under TLS_DIR/pairs, the one in use among them (3)
#
# registry.crt and registry.key become links to live/, and live a link to the pair: one rename changes both, so that
# not even a power cut leaves the key of one certificate beside another.
set -euo pipefail
umask 077

TLS_DIR=${TLS_DIR:-/etc/nginx/tls}
KEEP=${KEEP:-3}
read -r -a NGINX_COMMAND <<<"${NGINX:-nginx}"

say() { printf 'renew-hook: %s\n' "$*"; }
fail() { printf 'renew-hook: %s\n' "$*" >&2; exit 1; }

SOURCE=${1:-${RENEWED_LINEAGE:-}}
case $SOURCE in
  '' | -*) sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
[[ $KEEP =~ ^[1-9][0-9]*$ ]] || fail "KEEP must be a number from 1 on, not $KEEP"
[ -d "$TLS_DIR" ] || fail "there is no directory $TLS_DIR"

# @param certificate, key (PEM): exits unless they belong together and the certificate holds today and for a day.
check_pair() {
  local of_certificate of_key
  of_certificate=$(openssl x509 -noout -pubkey -in "$1" 2>/dev/null) || fail "$1 is no certificate in PEM"
  of_key=$(openssl pkey -pubout -in "$2" 2>/dev/null </dev/null) || fail "$2 is no private key in PEM without a password"
  [ "$of_certificate" = "$of_key" ] || fail "$2 is not the key of $1"
  openssl x509 -noout -checkend 86400 -in "$1" >/dev/null || fail "$1 has expired, or does so within a day"
}

# Two hooks at once would remove each other's pair.
exec 9>"$TLS_DIR/.renew-hook.lock"
flock -w 60 9 || fail 'another renew-hook is at work'

check_pair "$SOURCE/fullchain.pem" "$SOURCE/privkey.pem"
mkdir -p "$TLS_DIR/pairs"

# A pair is written aside, synced and named whole.
# @param certificate, key; prints the name of the new directory under pairs/.
store_pair() {
  local name aside
  aside=$(mktemp -d "$TLS_DIR/pairs/.new.XXXXXX")
  cat "$1" >"$aside/registry.crt"
  cat "$2" >"$aside/registry.key"
  chmod 644 "$aside/registry.crt"
  # Who could read the key before can read the new one.
  if [ -e "$TLS_DIR/registry.key" ]; then
    chmod --reference="$(readlink -f "$TLS_DIR/registry.key")" "$aside/registry.key"
    chown --reference="$(readlink -f "$TLS_DIR/registry.key")" "$aside/registry.key" 2>/dev/null || true
  fi
  chmod 755 "$aside"
  sync "$aside/registry.crt" "$aside/registry.key" "$aside"
  name=$(date -u +%Y%m%dT%H%M%S.%N)
  mv -T "$aside" "$TLS_DIR/pairs/$name"
  sync "$TLS_DIR/pairs"
  printf '%s\n' "$name"
}

# @param target, name: the link is there at any moment, old or new.
point() {
  ln -sfn "$1" "$TLS_DIR/.$2.new"
  mv -T "$TLS_DIR/.$2.new" "$TLS_DIR/$2"
  sync "$TLS_DIR"
}

chmod 755 "$TLS_DIR/pairs"
OLD=''
if [ -L "$TLS_DIR/live" ]; then OLD=$(basename -- "$(readlink "$TLS_DIR/live")"); fi
# The first time, plain files become links to a copy of themselves: each step leaves a pair that fits.
if [ ! -L "$TLS_DIR/registry.crt" ] || [ ! -L "$TLS_DIR/registry.key" ] || [ -z "$OLD" ]; then
  if [ -e "$TLS_DIR/registry.crt" ] && [ -e "$TLS_DIR/registry.key" ]; then
    OLD=$(store_pair "$TLS_DIR/registry.crt" "$TLS_DIR/registry.key")
    point "pairs/$OLD" live
  fi
fi

NEW=$(store_pair "$SOURCE/fullchain.pem" "$SOURCE/privkey.pem")
if [ -z "$OLD" ]; then point "pairs/$NEW" live; fi
[ -L "$TLS_DIR/registry.key" ] || point live/registry.key registry.key
[ -L "$TLS_DIR/registry.crt" ] || point live/registry.crt registry.crt
point "pairs/$NEW" live

back() {
  if [ -n "$OLD" ]; then point "pairs/$OLD" live; fi
  fail "$1; the old certificate stays"
}
"${NGINX_COMMAND[@]}" -t 9>&- || back 'nginx -t refuses the configuration with the new pair'
"${NGINX_COMMAND[@]}" -s reload 9>&- || back 'nginx could not be told to reload'

# Names are times, so they sort by age.
find "$TLS_DIR/pairs" -mindepth 1 -maxdepth 1 -type d -name '.new.*' -mmin +60 -exec rm -rf {} +
mapfile -t PAIRS < <(find "$TLS_DIR/pairs" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*' -printf '%f\n' | sort -r)
for pair in "${PAIRS[@]:$KEEP}"; do
  [ "$pair" = "$NEW" ] || rm -rf -- "$TLS_DIR/pairs/${pair:?}"
done
say "in service: $(openssl x509 -noout -subject -enddate -in "$TLS_DIR/registry.crt" | tr '\n' ' ')"
