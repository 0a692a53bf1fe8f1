#!/bin/sh
# Builds what vm-image.sh builds, for a guest with the processor of a Raspberry Pi 5.
#   arm64-image.sh SUITE INIT EXTRA_PACKAGES OUTPUT
# It takes minutes: the guest's packages are configured by their own programs, which
# qemu-user emulates (binfmt_misc).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scripts=$(mktemp -d)
trap 'rm -rf "$scripts"' EXIT
cp "$here"/* "$scripts"

# change FILE OLD NEW
change() {
  grep -qF -e "$2" "$scripts/$1" || {
    echo "$0 finds no '$2' to replace in $1" >&2
    exit 1
  }
  sed -i "s|$(printf '%s' "$2" | sed 's/[.|]/\\&/g')|$3|" "$scripts/$1"
}
change host-image.sh 'mmdebstrap --quiet' 'mmdebstrap --quiet --architectures=arm64'
change vm-image.sh linux-image-cloud-amd64 linux-image-cloud-arm64
change vm-image.sh qemu-system-x86 qemu-system-arm
change edge-vm-carrier "grep -qwE 'vmx|svm' /proc/cpuinfo" false
change edge-vm-carrier '-cpu max,la57=off,avx=off' '-cpu cortex-a76'
change edge-vm-carrier qemu-system-x86_64 qemu-system-aarch64
change edge-vm-carrier '-machine q35' '-machine virt'
change edge-vm-carrier console=ttyS0 console=ttyAMA0
"$scripts/vm-image.sh" "$@"
