#!/bin/sh
# Builds the root file system of a container that carries an edge host in a virtual
# machine: QEMU, the guest's kernel, and the guest's disk.
#   vm-image.sh SUITE INIT EXTRA_PACKAGES OUTPUT
# The guest's root is that of the other edge hosts, see host-image.sh.
set -eu
suite=$1 init=$2 extra=$3 output=$4

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d -p "$(dirname "$output")")
trap 'rm -rf "$work"' EXIT

# The kernel has NVMe built in and boots from it without an initrd. With pytest, unit
# tests can run on it.
packages=linux-image-cloud-amd64,kmod,python3-pytest
INITRD=No "$here/host-image.sh" "$suite" "$init" "$packages${extra:+,$extra}" "$work/guest.tar"
mkdir "$work/root" "$work/guest"
tar --directory "$work/root" --extract --numeric-owner --file "$work/guest.tar"
rm "$work/guest.tar"
install -m 0755 "$here/edge-vm-init" "$work/root/usr/local/sbin/"
python=$work/root/usr/lib/python3/dist-packages
install -m 0644 "$here/edge_zip_cache.py" "$python/"
echo 'import edge_zip_cache' >"$python/edge_zip_cache.pth"
install -d -m 0700 "$work/root/var/cache/edge-zip-cache"
cp "$work"/root/boot/vmlinuz-* "$work/guest/vmlinuz"
rm -rf "$work"/root/boot/*
mke2fs -q -t ext4 -L edge-host -E root_owner=0:0 -d "$work/root" "$work/guest/disk.ext4" 12G
rm -rf "$work/root"

mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
  awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')
part=$output.$$.part
# QEMU before 10 crashes in software emulation of a current kernel; Debian 13 has 10.
mmdebstrap --quiet --variant=apt --format=tar \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --aptopt='Acquire::Languages "none"' \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --include=qemu-system-x86,qemu-utils,iproute2,openssh-client \
  --customize-hook="install -m 0755 '$here/edge-vm-carrier' \"\$1/usr/local/sbin/\"" \
  --customize-hook="mkdir \"\$1/guest\" && cp '$work/guest/vmlinuz' \"\$1/guest/\"" \
  --customize-hook="cp '$work/guest/disk.ext4' \"\$1/guest/\" && chroot \"\$1\" qemu-img convert -O qcow2 /guest/disk.ext4 /guest/disk.qcow2 && rm \"\$1/guest/disk.ext4\"" \
  trixie "$part" ${mirror:+"deb $mirror trixie main"}
mv "$part" "$output"
