#!/bin/sh
# Builds what the demo images are made of where no registry can be reached: a
# small Debian root (base.tar) and one layer each for Python and Redis.
#   build-layers.sh OUTPUT_DIRECTORY
# The mirror is the one that this machine's apt uses, else mmdebstrap's own.
set -eu
output=$1
suite=trixie
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
  awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')

# Runs with the new root as $1. The packages of a layer are unpacked over nothing,
# without their install scripts: a layer then holds these packages' files alone.
cat >"$work/hook" <<'HOOK'
#!/bin/sh
set -eu
root=$1 work=$2
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
pack() {
  tar --directory "$1" --sort=name --numeric-owner --one-file-system --create --file "$2" \
    --exclude=./proc --exclude=./sys --exclude=./dev --exclude='./tmp/*' --exclude='./run/*' \
    --exclude='./var/lib/apt/lists/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/dpkg/*-old' .
}
layer() {
  name=$1
  shift
  mkdir -p "$work/$name/debs/partial" "$work/$name/root"
  apt-get --yes --quiet --download-only -o Dir::Cache::Archives="$work/$name/debs" install "$@"
  for deb in "$work/$name/debs"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar --directory "$work/$name/root" --extract \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/lintian' --exclude='./usr/share/zoneinfo'
  done
  pack "$work/$name/root" "$work/$name.tar"
}
pack "$root" "$work/base.tar"
layer python python3
layer redis redis-server
HOOK
chmod +x "$work/hook"

mmdebstrap --quiet --variant=essential --format=null \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --aptopt='Acquire::Languages "none"' \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="$work/hook \"\$1\" '$work'" \
  "$suite" - ${mirror:+"deb $mirror $suite main"}
mkdir -p "$output"
mv "$work/python.tar" "$work/redis.tar" "$output"
mv "$work/base.tar" "$output" # the last one: where it is, the others are
