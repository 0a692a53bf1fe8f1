#!/bin/bash
# Runs on the source: a Podman container to another host with what Podman itself offers.
#   podman_export.sh TARGET CONTAINER IMAGE
# The image goes while the service still runs; the export must stop it.
set -euo pipefail
target=$1 container=$2 image=$3
file=/run/benchmark/$container.tar.zst
say() { printf '%s %s\n' "$(cut -d' ' -f1 /proc/uptime)" "$1"; }

if ! ssh -n "$target" podman image exists "$image"; then
  podman save "$image" | ssh "$target" podman load --quiet
fi
say image
podman container checkpoint --compress zstd --export "$file" "$container"
say checkpoint
ssh -n "$target" mkdir -p "${file%/*}"
scp -q "$file" "$target:$file"
say copied
ssh -n "$target" podman container restore --import "$file"
say started
ssh -n "$target" rm "$file"
rm "$file"
