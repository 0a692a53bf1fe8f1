#!/bin/sh
# Builds the layers for hosts with an arm64 processor, on a machine of another kind.
#   build-arm64-layers.sh OUTPUT_DIRECTORY
# Their programs are configured by emulating them (qemu-user, by binfmt_misc).
set -eu
sed 's/^mmdebstrap /mmdebstrap --architectures=arm64 /' "$(dirname "$0")/build-layers.sh" | sh -s "$1"
