#!/usr/bin/env bash
# iec60870-parser: of two measured values the second has the address 13107200, and each second frame is corrupted.
#
# Expected: an information object is its address and its elements, whose length follows from the type: a measured value
# of type 13 is a float and a quality byte (IEC 60870-5-101, 7.2.1 and 7.3.1.13). N(S) counts the frames of the sender;
# N(R) tells what the sender has got from the other side, and stays the same while that side is silent (IEC 60870-5-104,
# 5.1).
# Seen: lengths are known for the types 1 and 30 only. For all others the next address is read right behind the first
# one, out of its value, without an error; with a sequence of objects nothing is wrong but the missing values.
# T104Session, the state of a connection, compares N(R) with a number that it raises with each frame, so that the second
# frame of a station that sends twice is CORRUPTED, "receive sequence mismatch".
#
# Version: iec60870-parser 0.1.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check iec60870-parser==0.1.1
echo "iec60870-parser 0.1.1, $(python3 --version)"
cat >run.py <<'PYTHON'
import struct

from iec60870 import T104Session, parse_frame


def frame(sent, received, kind, *objects):
    asdu = bytes([kind, len(objects), 3, 0, 1, 0]) + b"".join(objects)
    numbers = (sent << 1).to_bytes(2, "little") + (received << 1).to_bytes(2, "little")
    return bytes([0x68, 4 + len(asdu)]) + numbers + asdu


def address(number):
    return number.to_bytes(3, "little")


def addresses(data):
    return [one["ioa"] for one in parse_frame(data, protocol="t104").fields["asdu"]["information_objects"]]


points = [address(number) + b"\1" for number in (1, 2)]
print("single points 1 and 2:", addresses(frame(0, 0, 1, *points)))
measured = [address(number) + struct.pack("<fB", value, 0) for number, value in ((1, 100.0), (2, -40.0))]
print("measured values 1 and 2:", addresses(frame(0, 0, 13, *measured)))

session = T104Session()
for sent in range(2):
    result = session.parse(frame(sent, 0, 1, points[0]))
    print(f"N(S) {sent}, N(R) 0: {result.status.value} {result.error or ''}".strip())
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'single points 1 and 2: [1, 2]
measured values 1 and 2: [1, 13107200]
N(S) 0, N(R) 0: VALID
N(S) 1, N(R) 0: CORRUPTED receive sequence mismatch' ]; then
    echo "changed: objects or sequence numbers are read in another way" >&2
    exit 1
fi
