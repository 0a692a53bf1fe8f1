#!/bin/sh
# Builds the root file system of a container that carries an edge host in a virtual
# machine: QEMU, the guest's kernel, and the guest's disk.
#   vm-image.sh SUITE INIT EXTRA_PACKAGES OUTPUT
# The guest's root is that of the other edge hosts, see host-image.sh.
set -eu
suite=$1 init=$2 extra=$3 output=$4

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d -p "$(dirname "$output")")
trap 'rm -rf "$work" "$output.$$.part"' EXIT
chmod 0755 "$work"

# The kernel has NVMe built in and boots from it without an initrd. With pytest, unit
# tests can run on it.
packages=linux-image-cloud-amd64,kmod,python3-pytest
INITRD=No "$here/host-image.sh" "$suite" "$init" "$packages${extra:+,$extra}" "$work/guest.tar"

# Runs with the carrier's root as $1.
cat >"$work/hook" <<'HOOK'
#!/bin/sh
set -eu
root=$1 guest=$1/guest/root work=$2 here=$3
install -m 0755 "$here/edge-vm-carrier" "$root/usr/local/sbin/"
mkdir -p "$guest"
tar --directory "$guest" --extract --numeric-owner --exclude='./dev/*' --file "$work/guest.tar"
install -m 0755 "$here/edge-vm-init" "$guest/usr/local/sbin/"
install -m 0644 "$here/edge_zip_cache.py" "$guest/usr/lib/python3/dist-packages/"
echo 'import edge_zip_cache' >"$guest/usr/lib/python3/dist-packages/edge_zip_cache.pth"
install -d -m 0700 "$guest/var/cache/edge-zip-cache"
mv "$guest"/boot/vmlinuz-* "$root/guest/vmlinuz"
rm -rf "$guest"/boot/*
mke2fs -q -t ext4 -E root_owner=0:0 -d "$guest" "$root/guest/disk.ext4" 12G
chroot "$root" qemu-img convert -O qcow2 /guest/disk.ext4 /guest/disk.qcow2
rm -r "$guest" "$root/guest/disk.ext4"
HOOK
chmod +x "$work/hook"

mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
  awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')
# QEMU before 10 crashes when it emulates a current kernel; Debian 13 has 10.
PATH=$PATH:/usr/sbin:/sbin mmdebstrap --quiet --variant=apt --format=tar \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --aptopt='Acquire::Languages "none"' \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --include=qemu-system-x86,qemu-utils,iproute2,openssh-client \
  --customize-hook="$work/hook \"\$1\" '$work' '$here'" \
  trixie "$output.$$.part" ${mirror:+"deb $mirror trixie main"}
mv "$output.$$.part" "$output"
