#!/bin/sh
# Starts the registry in its container, as `registry serve FILE`; or another of its commands: it takes its secrets from its
# environment only, and gets them here, not as the container's environment, where all who may ask Docker could read them.
set -eu
while IFS= read -r line; do
  [ -z "$line" ] || export "${line?}"
done </run/secrets/registry_env
exec registry "$@"
