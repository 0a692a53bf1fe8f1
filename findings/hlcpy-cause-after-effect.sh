#!/usr/bin/env bash
# hlcpy: sent as bytes, an event comes before the one that caused it.
#
# Expected: a hybrid logical clock gives a later time to what happened later, so that a < b stays true wherever the two
# are compared (Kulkarni and others, "Logical Physical Clocks", 2014). from_bytes() says that bytes keep milliseconds
# only, which allows both times to become equal, and that the 5 bits before the time are empty.
# Seen: a clock counts nanoseconds and sets its logical part to 0 with every new nanosecond. In bytes the nanoseconds
# are rounded up to milliseconds and the logical part is kept as it is, so that of two events in one millisecond the
# one with the greater logical part is later, which here is the cause. One nanosecond after a whole second is the next
# millisecond, which is in the future. The 5 empty bits are ones.
#
# Versions: hlcpy 0.0.2 with iso8601 2.1.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check hlcpy==0.0.2 iso8601==2.1.0
echo "hlcpy 0.0.2, iso8601 2.1.0, $(python3 --version)"
cat >run.py <<'PYTHON'
from hlcpy import HLC

cause = HLC(nanos=1_000_100_000, logical=5)
effect = HLC(nanos=1_000_200_000, logical=0)
print("as objects: cause < effect is", cause < effect)
for way, back in [
    ("text", lambda clock: HLC.from_str(str(clock))),
    ("bytes", lambda clock: HLC.from_bytes(clock.to_bytes())),
]:
    print(f"through {way}: cause < effect is {back(cause) < back(effect)}, {back(cause)} and {back(effect)}")
print("1.000000001 s through bytes:", HLC.from_bytes(HLC(nanos=1_000_000_001).to_bytes()))
print("the first five bits:", format(int.from_bytes(HLC().to_bytes(), "little") >> 59, "05b"))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'as objects: cause < effect is True
through text: cause < effect is True, 1970-01-01T00:00:01.000100000Z_5 and 1970-01-01T00:00:01.000200000Z_0
through bytes: cause < effect is False, 1970-01-01T00:00:01.001000000Z_5 and 1970-01-01T00:00:01.001000000Z_0
1.000000001 s through bytes: 1970-01-01T00:00:01.001000000Z_0
the first five bits: 11111' ]; then
    echo "changed: clocks are written in another way" >&2
    exit 1
fi
