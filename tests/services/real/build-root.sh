#!/bin/sh
# Builds one root file system with services as Debian ships them, for `make services`.
#   build-root.sh OUTPUT.tar
# The mirror is the one that this machine's apt uses, else mmdebstrap's own.
set -eu
output=$1
suite=trixie
here=$(dirname "$0")
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
  awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')
packages=postgresql,mariadb-server,nginx-light,memcached,valkey-server,haproxy,rabbitmq-server
packages=$packages,openjdk-21-jdk-headless,nodejs,etcd-server,mosquitto,prometheus,python3-minimal,procps

mkdir -p "$(dirname "$output")"
mmdebstrap --format=tar --variant=minbase --include="$packages" \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --aptopt='Acquire::Languages "none"' \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --include=golang-go \
  --customize-hook="copy-in $here/programs /srv" \
  --customize-hook='chroot "$1" sh -c "cd /srv/programs && GOCACHE=/tmp/go go build -o /usr/local/bin/store . && rm -rf /tmp/go"' \
  --customize-hook='chroot "$1" apt-get purge --yes --auto-remove golang-go' \
  --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*' \
  "$suite" "$output.part" ${mirror:+"deb $mirror $suite main"}
mv "$output.part" "$output" # whole, or not there
