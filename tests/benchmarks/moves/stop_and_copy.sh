#!/bin/bash
# Runs on the source: a container to another host with what Docker itself offers.
#   stop_and_copy.sh TARGET CONTAINER IMAGE WORD...    (the words of docker create, from `create` on)
# The image goes while the service still runs; only the checkpoint must stop it.
set -euo pipefail
target=$1 container=$2 image=$3
shift 3
say() { printf '%s %s\n' "$(cut -d' ' -f1 /proc/uptime)" "$1"; }

if ! ssh -n "$target" docker image inspect "$image" >/dev/null 2>&1; then
  docker save "$image" | ssh "$target" docker load --quiet
fi
say image
# As ssh hands the words to a shell.
there=$(ssh -n "$target" "docker $(printf '%q ' "$@")")
here=$(docker inspect --format '{{.Id}}' "$container")
say created

docker checkpoint create "$container" move
say checkpoint
checkpoints=/var/lib/docker/containers
ssh -n "$target" mkdir -p "$checkpoints/$there/checkpoints"
tar --create --directory "$checkpoints/$here/checkpoints" move |
  ssh "$target" tar --extract --directory "$checkpoints/$there/checkpoints"
say copied
ssh -n "$target" docker start --checkpoint move "$there"
say started
