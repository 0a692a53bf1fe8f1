#!/usr/bin/env bash
# pyadsb: all aircraft fly to the south-west and descend, and KLM1023 is YC6V_320.
#
# Expected: in an airborne velocity message one bit each says whether the speeds go to the west and to the south and
# whether the aircraft descends; the callsign is eight characters of six bits, where 1 is A (ICAO Doc 9871, registers
# 0,9 and 0,8). pyModeS reads the same messages so.
# Seen: the sign is written as -1**bit, which is -(1**bit) in Python, so that it is -1 for both values of the bit. The
# three messages of its own test have all bits set. The callsign is read from the end of the message, parity included,
# with the last character first, and A is B. Speeds are right.
#
# Versions: pyadsb 0.0.3 with pyModeS 3.6.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyadsb==0.0.3 pyModeS==3.6.1
echo "pyadsb 0.0.3, pyModeS 3.6.1, $(python3 --version)"
cat >run.py <<'PYTHON'
import pyModeS
from adsb import Adsb


def with_parity(frame):
    rest = frame << 24
    for bit in range(111, 23, -1):
        if rest >> bit & 1:
            rest ^= 0x1FFF409 << bit - 24
    return (frame << 24 | rest).to_bytes(14, "big")


def velocity(east, north, climb):
    """An airborne velocity message over ground, in knots and feet a minute."""
    fields = ((19, 51), (1, 48), (east < 0, 42), (abs(east) + 1, 32), (north < 0, 31), (abs(north) + 1, 21))
    fields += ((1, 20), (climb < 0, 19), (abs(climb) // 64 + 1, 10))
    return with_parity(0x8D485020 << 56 | sum(value << place for value, place in fields))


for east, north, climb in ((300, 300, 1280), (300, -300, 1280), (-300, 300, -1280), (-300, -300, -1280)):
    message = velocity(east, north, climb)
    true, seen = pyModeS.decode(message.hex()), Adsb.parse(message).data
    assert true["crc_valid"]
    print(f"track {true['track']}, climb {true['vertical_rate']}: {seen.heading()}, {seen.altitude_rate()}")
message = bytes.fromhex("8D4840D6202CC371C32CE0576098")
print(f"{pyModeS.decode(message.hex())['callsign']}: {Adsb.parse(message).data.callsign}")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'track 45.0, climb 1280: 225.0, -1280
track 135.0, climb 1280: 225.0, -1280
track 315.0, climb -1280: 225.0, -1280
track 225.0, climb -1280: 225.0, -1280
KLM1023: YC6V_320' ]; then
    echo "changed: velocities or callsigns are read in another way" >&2
    exit 1
fi
