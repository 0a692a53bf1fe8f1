#!/usr/bin/env bash
# crit: of two System V shared memory segments it shows one, and it cannot encode what it decoded.
#
# Expected: `crit decode` shows each entry of an image, and `crit encode` makes the same image of that
# again. CRIU writes ipcns-shm-*.img with in_pagemaps set: the contents lie in pagemap and pages files,
# so one entry follows the other without data between them (criu/ipc_ns.c).
# Seen: crit takes `size` bytes after each entry for its contents, whether or not in_pagemaps is set. An
# image of two segments is decoded into one entry whose "extra" holds the second one. `crit encode` of
# that then fails with TypeError: it gives text to base64.decodebytes.
#
# Versions: CRIU 3.17.1-2+deb12u2 of Debian 12 with protobuf 4.21.12. Seen on 2026-11-28.
# CRIU's development sources (lib/pycriu/images/images.py) still read so.
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

venv/bin/python - <<'PYTHON'
import struct

from pycriu.images import ipc_desc_pb2, magic, pb

# The image as CRIU writes it: two segments of 4096 bytes, contents elsewhere.
with open("ipcns-shm-9.img", "wb") as image:
    image.write(struct.pack("<II", magic.by_name["IMG_COMMON"], magic.by_name["IPCNS_SHM"]))
    for key in (1, 2):
        owner = ipc_desc_pb2.ipc_desc_entry(key=key, uid=0, gid=0, cuid=0, cgid=0, mode=0o600, id=key)
        entry = pb.ipc_shm_entry(desc=owner, size=4096, in_pagemaps=True).SerializeToString()
        image.write(struct.pack("<I", len(entry)) + entry)
PYTHON

dpkg-deb -f criu_*.deb Package Version
venv/bin/python root/usr/bin/crit decode -i ipcns-shm-9.img -o decoded.json
keys=$(venv/bin/python -c 'import json; print([e["desc"]["key"] for e in json.load(open("decoded.json"))["entries"]])')
echo "image with the keys 1 and 2; decoded: $keys"
if venv/bin/python root/usr/bin/crit encode -i decoded.json -o again.img 2>error.txt; then
    echo "changed: crit encodes the image again" >&2
    exit 1
fi
tail -n 1 error.txt
if [ "$keys" != "[1]" ] || ! grep -q "expected bytes-like object, not str" error.txt; then
    echo "changed: crit decodes other entries, or fails in another way" >&2
    exit 1
fi
