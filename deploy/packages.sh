# shellcheck shell=bash
# Installs Debian packages, for the scripts that source this file. On a new machine unattended upgrades hold apt's locks
# for some minutes: that is waited for, and a mirror that drops the line is asked again.
#
#   APT_WAIT_SECONDS   how long another apt is waited for (1200)

# @param log file; packages. Only root can; the log's end goes to standard error where apt fails.
install_packages() {
  local log=$1 status=0
  shift
  (
    # Only the programs are wanted: Debian would also start nginx on 80 and the registry on 5000.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      # Taken away again however this ends.
      trap 'rm -f "$policy"' EXIT
      trap 'exit 130' INT TERM HUP
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod 755 "$policy"
    fi
    apt_when_free "$log" update -qq &&
      apt_when_free "$log" install -y -qq --no-install-recommends "$@"
  ) || status=$?
  [ "$status" -eq 0 ] || tail -n 20 "$log" >&2
  return "$status"
}

# Apt waits for dpkg's lock by itself where it is told to, and never for the one of its lists: both are told by its words.
# @param log file; arguments of apt-get
apt_when_free() {
  local log=$1 deadline=$((SECONDS + ${APT_WAIT_SECONDS:-1200})) said=false
  shift
  until LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 "$@" >"$log" 2>&1; do
    grep -qE '^E: (Could not get lock|Unable to acquire the dpkg frontend lock|Unable to lock)' "$log" || return 1
    [ "$SECONDS" -lt "$deadline" ] || return 1
    $said || printf 'Another program installs packages; waiting for it to end ...\n'
    said=true
    sleep "${APT_PAUSE_SECONDS:-5}"
  done
}
