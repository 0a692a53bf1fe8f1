#!/bin/sh
# Builds the root file system of an edge host as a tar file.
#   host-image.sh SUITE INIT EXTRA_PACKAGES OUTPUT
# SUITE is trixie, forky, or experimental: forky with what that has of runc and CRIU.
# The mirror is the one that this machine's apt uses, else mmdebstrap's own.
set -eu
suite=$1 init=$2 extra=$3 output=$4

mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
  awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')
packages=docker.io,docker-cli,containerd,python3,python3-docker,python3-numpy
packages=$packages,zstd,openssh-server,openssh-client,iproute2,iptables,rsync,procps
packages=$packages,ca-certificates,curl,mount${extra:+,$extra}

# CRIU before 4.2 cannot dump a process that holds a TCP socket on Linux 6.16 and
# later; Debian 13 has 4.1, so it comes from the next release and nothing else does.
base=$suite add_next='' runtime=runc,criu
case $suite in
  trixie)
    add_next='s/^(deb .*) trixie (.*)/&\n\1 forky \2/'
    runtime=runc,criu/forky
    ;;
  experimental)
    base=forky
    add_next='s/^(deb .*) forky (.*)/&\n\1 experimental \2/'
    runtime=runc/experimental,criu/experimental,libcompel1/experimental
    ;;
esac

part=$output.$$.part
trap 'rm -f "$part"' EXIT
# Past their date, the Release files of a frozen mirror are still signed.
mmdebstrap --quiet --variant=apt --format=tar \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --aptopt='Acquire::Languages "none"' \
  --aptopt='APT::Install-Recommends "false"' \
  --aptopt="APT::Default-Release \"$base\"" \
  --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --setup-hook="sed -E -i '$add_next' \"\$1/etc/apt/sources.list\"" \
  --include="$packages,$runtime" \
  --customize-hook="install -m 0755 '$init' \"\$1/usr/local/sbin/edge-host-init\"" \
  --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/apt/apt.conf.d/99mmdebstrap' \
  "$base" "$part" ${mirror:+"deb $mirror $base main"}
mv "$part" "$output"
