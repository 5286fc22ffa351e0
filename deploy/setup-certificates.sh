# shellcheck shell=bash
# Certificates of setup.sh: the registry's pair in TLS_DIR, and the authority of its own behind a self-signed one.
# Sourced by setup.sh.

# A self-signed certificate is made anew so many seconds before its end: 60 days.
RENEW_SECONDS=5184000

make_certificates() {
  local certificate="$TLS_DIR/registry.crt"
  case $TLS in
    own)
      if [ -n "$CERT" ]; then
        check_pair "$CERT" "$KEY"
        if cmp -s "$CERT" "$certificate"; then say "kept   $certificate"; else take_pair "$CERT" "$KEY"; fi
      else
        say "kept   $certificate"
        holds_for "$certificate" "$HOST_NAME" ||
          fail "$certificate does not hold for $HOST_NAME: give one that does, --cert FILE and --key FILE"
      fi ;;
    *)
      # For acme too: Nginx must start before the first certificate can be had.
      if [ ! -s "$certificate" ]; then
        own_authority
        issue_certificate
      elif ! openssl verify -CAfile "$TLS_DIR/ca.crt" -no_check_time "$certificate" >/dev/null 2>&1; then
        say "kept   $certificate (not made by this script)"
        holds_for "$certificate" "$HOST_NAME" || say "Warning: it does not hold for $HOST_NAME"
      elif holds_for "$certificate" "$HOST_NAME" && holds_for_s3 "$certificate" &&
        openssl x509 -noout -checkend "$RENEW_SECONDS" -in "$certificate" >/dev/null; then
        say "kept   $certificate (until $(openssl x509 -noout -enddate -in "$certificate" | cut -d= -f2))"
      else
        # By the same authority, so no client has anything to do.
        [ -s "$SECRETS/ca.key" ] || fail "a new certificate is due, and $SECRETS/ca.key, the authority's key, is not here:
  put it back and start this again. Where it is lost, remove $TLS_DIR/ca.crt and $TLS_DIR/registry.crt: then a new authority
  is made, and every client needs its ca.crt before it can go on."
        issue_certificate
      fi ;;
  esac
}

# @param certificate, name or address
holds_for() {
  local asked=-checkhost
  if [[ $2 =~ ^[0-9.]+$ ]]; then asked=-checkip; fi
  openssl x509 -noout "$asked" "$2" -in "$1" | grep -q 'does match'
}

holds_for_s3() { [ -z "$(known S3_PUBLIC)" ] || holds_for "$1" "s3.$HOST_NAME"; }

# @param certificate and key, PEM: they must belong together and hold for the name.
check_pair() {
  local public
  public=$(openssl x509 -noout -pubkey -in "$1") || fail "$1 is no certificate in PEM"
  [ "$public" = "$(openssl pkey -pubout -in "$2" 2>/dev/null)" ] || fail "$2 is not the key of $1"
  openssl x509 -noout -checkend 86400 -in "$1" >/dev/null || fail "$1 ends within a day or has ended"
  holds_for "$1" "$HOST_NAME" || fail "$1 does not hold for $HOST_NAME"
}

# Into the files that are there: a container has these very files mounted. Nginx takes halves of two pairs for none.
# @param certificate, key
take_pair() {
  say "making $TLS_DIR/registry.crt"
  cat "$2" >"$TLS_DIR/registry.key"
  cat "$1" >"$TLS_DIR/registry.crt"
}

own_authority() {
  if [ -s "$TLS_DIR/ca.crt" ] && [ -s "$SECRETS/ca.key" ]; then return 0; fi
  say "making $TLS_DIR/ca.crt, the authority that clients must trust"
  openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -subj "/CN=$HOST_NAME registry authority" \
    -keyout "$SECRETS/ca.key" -out "$TLS_DIR/ca.crt" \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null
}

issue_certificate() {
  local scratch alternative="DNS:$HOST_NAME,DNS:s3.$HOST_NAME"
  if [[ $HOST_NAME =~ ^[0-9.]+$ ]]; then alternative="IP:$HOST_NAME"; fi
  if [ "$HOST_NAME" = localhost ]; then alternative="$alternative,IP:127.0.0.1"; fi
  scratch=$(mktemp -d "$SECRETS/.new.XXXXXX")
  printf '%s\n' 'basicConstraints=CA:FALSE' 'keyUsage=digitalSignature,keyEncipherment' \
    'extendedKeyUsage=serverAuth' "subjectAltName=$alternative" >"$scratch/ext"
  openssl req -newkey rsa:2048 -nodes -sha256 -subj "/CN=$HOST_NAME" \
    -keyout "$scratch/key" -out "$scratch/csr" 2>/dev/null
  openssl x509 -req -sha256 -days 397 -in "$scratch/csr" -CA "$TLS_DIR/ca.crt" -CAkey "$SECRETS/ca.key" \
    -CAserial "$SECRETS/ca.srl" -CAcreateserial -extfile "$scratch/ext" -out "$scratch/crt" 2>/dev/null ||
    { rm -rf "$scratch"; fail "$SECRETS/ca.key is not the key of $TLS_DIR/ca.crt"; }
  take_pair "$scratch/crt" "$scratch/key"
  rm -rf "$scratch"
}
