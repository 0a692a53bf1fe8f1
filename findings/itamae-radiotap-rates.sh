#!/usr/bin/env bash
# itamae: short and long guard intervals change places, and with a second presence word a signal of -52 dBm is -123.
#
# Expected: in the MCS field of radiotap bit 0x04 of the flags is the short guard interval, with which index 7 at 20 MHz
# has 72.2 Mbit/s instead of 65 (IEEE 802.11-2016, 19.5); if bit 31 of it_present is set, another it_present word
# follows, and the fields begin behind the last one (radiotap.org, "Radiotap" and "MCS"). Linux's mac80211 writes
# such words for the signals of the single antennas.
# Seen: the rate of a frame with the short interval is that of the long one, and the other way round. The second word is
# read as fields, so that flags, rate, channel and signal are those of other bytes.
#
# Version: itamae 0.1.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check itamae==0.1.1
echo "itamae 0.1.1, $(python3 --version)"
cat >run.py <<'PYTHON'
import struct

from itamae import radiotap

FLAGS, RATE, CHANNEL, SIGNAL, ANTENNA, MCS, RADIOTAP, MORE = (1 << bit for bit in (1, 2, 3, 5, 11, 19, 29, 31))


def parse(presence, fields):
    words = struct.pack(f"<{len(presence)}I", *presence)
    return radiotap.parse(struct.pack("<BBH", 0, 0, 4 + len(words) + len(fields)) + words + fields)


for name, interval in (("long", 0), ("short", 4)):
    # known: bandwidth, index and guard interval; 20 MHz; index 7
    print(f"{name} guard interval: {parse([MCS], bytes([7, interval, 7])).rate} Mbit/s")
fields = struct.pack("<BBHHb", 0x10, 12, 2437, 0x0480, -52)
present = FLAGS | RATE | CHANNEL | SIGNAL
one_antenna = struct.pack("<bB", -54, 0)
for presence, rest in (([present], b""), ([present | RADIOTAP | MORE, SIGNAL | ANTENNA], one_antenna)):
    frame = parse(presence, fields + rest)
    print(f"{len(presence)} words: {frame.channel} MHz, {frame.rss} dBm, {frame.rate} Mbit/s")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'long guard interval: 72.2 Mbit/s
short guard interval: 65 Mbit/s
1 words: 2437 MHz, -52 dBm, 6.0 Mbit/s
2 words: 0 MHz, -123 dBm, 4.0 Mbit/s' ]; then
    echo "changed: radiotap headers are read in another way" >&2
    exit 1
fi
