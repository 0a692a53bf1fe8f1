#!/bin/bash
# Runs on the source: pre-copy as one would script it with Docker and rsync.
#   checkpoint_rsync.sh TARGET CONTAINER IMAGE WORD...    (the words of docker create, from `create` on)
# Two checkpoints that leave the service running, then the last one; rsync sends what differs.
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
checkpoints=/var/lib/docker/containers
ssh -n "$target" mkdir -p "$checkpoints/$there/checkpoints/move"
say created

# Blocks of a page: memory changes by pages.
copy() {
  rsync --archive --inplace --no-whole-file --block-size=4096 --delete \
    "$checkpoints/$here/checkpoints/$1/" "$target:$checkpoints/$there/checkpoints/move/"
  say "copied $1"
}
for round in first second; do
  docker checkpoint create --leave-running "$container" "$round"
  copy "$round"
  docker checkpoint rm "$container" "$round"
done
docker checkpoint create "$container" last
say checkpoint
copy last
ssh -n "$target" docker start --checkpoint move "$there"
say started
