#!/usr/bin/env bash
# crit info: fails on every image.
#
# Expected: "show info about image": the magic and the number of entries.
# Seen: struct.error at the end of the file, with any image. The loop waits for an empty text where
# Python 3 gives empty bytes. `crit decode` reads the same image.
#
# Versions: CRIU 3.17.1-2+deb12u2 of Debian 12 with protobuf 4.21.12. Seen on 2026-11-28.
# CRIU's later sources read as if mended.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq criu=3.17.1-2+deb12u2
dpkg -x criu_*.deb root
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check protobuf==4.21.12
export PYTHONPATH="$folder/root/usr/lib/python3/dist-packages"

dpkg-deb -f criu_*.deb Package Version
echo '{"magic": "UTSNS", "entries": [{"nodename": "edge-a", "domainname": "(none)"}]}' >utsns.json
echo '{"magic": "PAGEMAP", "entries": [{"pages_id": 1}, {"vaddr": 4096, "nr_pages": 2, "flags": 4}]}' >pagemap.json
for name in utsns pagemap; do
    venv/bin/python root/usr/bin/crit encode -i "$name.json" -o "$name.img"
    venv/bin/python root/usr/bin/crit decode -i "$name.img" >/dev/null
    if venv/bin/python root/usr/bin/crit info "$name.img" >info.txt 2>error.txt; then
        echo "changed: crit info reads $name.img: $(cat info.txt)" >&2
        exit 1
    fi
    echo "crit decode reads $name.img; crit info: $(tail -n 1 error.txt)"
    if ! grep -q "unpack requires a buffer of 4 bytes" error.txt; then
        echo "changed: crit info fails in another way" >&2
        exit 1
    fi
done
