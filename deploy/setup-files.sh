# shellcheck shell=bash
# How setup.sh writes files: what an operator changed is never overwritten, what follows from the settings is written
# anew when they change, and nobody but those who need it can read a secret. Sourced by setup.sh.

# Something that runs has to be started again.
CHANGED=false

keep_or_make() {
  local file=$1
  shift
  if [ -s "$file" ]; then say "kept   $file"; return 1; fi
  say "making $file"
}

# ---- .env -----------------------------------------------------------------------------------------------------------
# A value that stands there, without quotes around it. @param name
known() { [ ! -e "$ENV_FILE" ] || sed -n "s/^$1=//p" "$ENV_FILE" | tail -n 1 | sed -E "s/^\"(.*)\"$/\1/; s/^'(.*)'$/\1/"; }

# @param name, value: unless a value stands there
put_env() { [ -n "$(known "$1")" ] || set_env "$1" "$2"; }

set_env() {
  local name=$1 value=$2
  if grep -q "^$name=" "$ENV_FILE"; then
    awk -v name="$name" -v value="$value" '$0 ~ "^" name "=" { print name "=" value; next } { print }' "$ENV_FILE" >"$ENV_FILE.new"
    cat "$ENV_FILE.new" >"$ENV_FILE"
    rm -f "$ENV_FILE.new"
  else
    printf '%s=%s\n' "$name" "$value" >>"$ENV_FILE"
  fi
}

# A secret that a flag names must be the one that is here, as with the values of .env.
# @param file that was named, or nothing; file that is here
agrees() {
  [ -n "$1" ] || return 0
  [ -r "$1" ] || fail "$1 cannot be read"
  [ "$(tr -d ' \t\r\n' <"$1")" = "$(tr -d ' \t\r\n' <"$2")" ] ||
    fail "$2 has another secret than $1, and nothing here overwrites it: to change it, cp $1 $2
  and start this again; what runs takes it with: $($NATIVE && printf 'systemctl reload gitee-s3-gateway' || printf 'docker compose kill -s HUP gateway')"
}

# What compose.yaml sets for the gateway wins over gateway.env, also where it is empty.
warn_of_settings_without_effect() {
  local name setting
  for name in $(sed -n 's/^\(GATEWAY_[A-Z0-9_]*\)=.*/\1/p' "$DEPLOY/gateway.env"); do
    setting=$(awk -v name="$name:" '/^  [a-z]/ { service = $1 } service == "gateway:" && $1 == name { sub(/^[^:]*: */, ""); print; exit }' "$DEPLOY/compose.yaml")
    [ -n "$setting" ] || continue
    say "Warning: $name in gateway.env has no effect, since compose.yaml says $name: $setting"
    case $setting in *'${'*) say "         Put the value into .env, under the name that stands there in braces." ;; *) say "         Remove it, or say otherwise in compose.override.yaml." ;; esac
  done
}

# ---- What follows from the settings -----------------------------------------------------------------------------------
# Sums of what this script wrote, a line for each file: what has another sum by now was changed by somebody.
# @param file, its mode; the command that says what is to stand in it
derive() {
  local file=$1 mode=$2 new="$1.new" is was
  shift 2
  "$@" >"$new"
  is=$(cksum <"$new")
  was=$([ ! -e "$WRITTEN" ] || awk -v file="$file" 'substr($0, index($0, "\t") + 1) == file { print substr($0, 1, index($0, "\t") - 1) }' "$WRITTEN")
  if [ ! -s "$file" ]; then
    say "making $file"
  elif cmp -s "$new" "$file"; then
    say "kept   $file"
  elif [ "$(cksum <"$file")" = "$was" ]; then
    say "made anew, as the settings are now: $file"
    CHANGED=true
  else
    chmod 600 "$new"
    say "Warning: $file was changed by hand (or by an earlier version), so it is kept. By the settings of now it would be"
    say "         $new: take over what is missing, or remove $file and start this again."
    return 0
  fi
  # In place: a container has this very file mounted.
  cat "$new" >"$file"
  chmod "$mode" "$file"
  rm -f "$new"
  { [ ! -e "$WRITTEN" ] || awk -v file="$file" 'substr($0, index($0, "\t") + 1) != file' "$WRITTEN"
    printf '%s\t%s\n' "$is" "$file"; } >"$WRITTEN.new"
  mv "$WRITTEN.new" "$WRITTEN"
}

# ---- Who may read what --------------------------------------------------------------------------------------------------
# Docker mounts each secret by itself, as a file of the containers' user; on the way to it stand directories that only
# root may enter, and the group docker, whose members are as good as root. So the uid of the containers is no way in,
# neither for a user of this host who has it nor for a container that sees the host's files.
close_docker_files() {
  local keeper=root directories=700 files=600
  if [ "$(id -u)" -ne 0 ]; then
    # All of it is that user's own.
    chmod 700 "$SECRETS" "$TLS_DIR" "$DEPLOY/acme"
    return
  fi
  if getent group docker >/dev/null; then keeper=docker directories=750 files=640; fi
  chown -R "$CONTAINER_UID:$CONTAINER_UID" "$DEPLOY"/acme/*
  find "$SECRETS" "$TLS_DIR" -mindepth 1 -exec chown "$CONTAINER_UID:$CONTAINER_UID" {} +
  find "$SECRETS" -mindepth 1 -type f ! -name alerts-token -exec chmod 600 {} +
  # No secrets, for those who may enter.
  find "$TLS_DIR" -name '*.crt' -exec chmod 644 {} +
  # Two users read it, and Grafana has one of its own.
  chmod 644 "$SECRETS/alerts-token"
  chown 472:472 "$SECRETS/grafana-password"
  # What only this script needs.
  find "$SECRETS" \( -name 'ca.*' -o -name admin-password -o -name registry-http-secret \) -exec chown root:root {} +
  chown "root:$keeper" "$SECRETS" "$TLS_DIR" "$DEPLOY/acme" "$ENV_FILE" "$DEPLOY/gateway.env"
  chmod "$directories" "$SECRETS" "$TLS_DIR" "$DEPLOY/acme"
  # Docker's client reads these two: gateway.env may hold the secrets of chat robots.
  chmod "$files" "$ENV_FILE" "$DEPLOY/gateway.env"
}

# Without Docker the group gitee-s3 enters: the gateway, which owns the secrets, and the registry, for the two files that
# the group may read.
close_native_files() {
  chown -R gitee-s3:gitee-s3 "$SECRETS"
  find "$SECRETS" -mindepth 1 -type f -exec chmod 600 {} +
  chmod 640 "$SECRETS/htpasswd" "$SECRETS/token.crt"
  # systemd reads the registry's environment, as root; the others are this script's.
  find "$SECRETS" \( -name registry.env -o -name 'ca.*' -o -name admin-password -o -name registry-http-secret \) -exec chown root:root {} +
  chown root:gitee-s3 "$SECRETS" "$ETC/gateway.yaml"
  chmod 750 "$SECRETS"
  chmod 640 "$ETC/gateway.yaml"
}
