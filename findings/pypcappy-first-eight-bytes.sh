#!/usr/bin/env bash
# pypcappy: each packet of a pcapng file lacks its first eight bytes, and ends with bytes that are not part of it.
#
# Expected: in an Enhanced Packet Block the captured length stands 12 bytes behind the length of the block, and the
# packet 20 bytes behind it; padding follows up to a multiple of 4 (pcapng, "Enhanced Packet Block Format").
# python-pcapng, a second reader, gives the 60 and 61 bytes that were written.
# Seen: both are looked for eight bytes later, as if the type and the length of the block were still in front. The
# length is then read out of the addresses of the frame, five bytes of it, so that all up to the end of the block is
# the packet: of 60 bytes 52 are left, and of 61 bytes 53 and three bytes of padding.
#
# Versions: pypcappy 0.0.7 with python-pcapng 2.1.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pypcappy==0.0.7 python-pcapng==2.1.1
echo "pypcappy 0.0.7, python-pcapng 2.1.1, $(python3 --version)"
cat >run.py <<'PYTHON'
import struct

from pcapng import FileScanner
from pypcappy import PcapNgFile


def block(kind, body):
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def show(name, packets):
    for data in packets:
        print(f"{name}: {len(data)} bytes, {data[:3].hex(' ')} ... {data[-3:].hex(' ')}")


with open("two.pcapng", "wb") as file:
    file.write(block(0x0A0D0D0A, struct.pack("<I2Hq", 0x1A2B3C4D, 1, 0, -1)))
    file.write(block(1, struct.pack("<2HI", 1, 0, 0)))
    for size in (60, 61):
        file.write(block(6, struct.pack("<5I", 0, 0, 1000, size, size) + bytes(range(1, size + 1))))
with open("two.pcapng", "rb") as file:
    show("python-pcapng", [one.packet_data for one in FileScanner(file) if hasattr(one, "packet_data")])
with PcapNgFile("two.pcapng") as file:
    show("pypcappy", [packet.data for packet in file.packets])
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'python-pcapng: 60 bytes, 01 02 03 ... 3a 3b 3c
python-pcapng: 61 bytes, 01 02 03 ... 3b 3c 3d
pypcappy: 52 bytes, 09 0a 0b ... 3a 3b 3c
pypcappy: 56 bytes, 09 0a 0b ... 00 00 00' ]; then
    echo "changed: packets are read in another way" >&2
    exit 1
fi
