#!/usr/bin/env bash
# cayennelpp and pycayennelpp: one in fourteen values loses a step on the way, 0.29 becomes 0.28.
#
# Expected: an analog value has a resolution of 0.01 (Cayenne LPP, "Data types"; docstring of add_analog_input()), so
# that all 65,536 values that can be decoded come out as they went in. pycayennelpp refuses what "exceeds the value
# range"; an altitude has two bytes with a sign.
# Seen: values are cut, not rounded, after the multiplication: 0.29 * 100 is 28.999999999999996, which is written as 28.
# pycayennelpp, encoding what it decoded, changes 4,584 of the 65,536 values. A position loses up to 11 m. The range
# check of pycayennelpp knows no sign: the altitude of a balloon, 35,000 m, is accepted and becomes -30,536 m.
#
# Versions: cayennelpp 0.5b3, pycayennelpp 2.4.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cayennelpp==0.5b3 pycayennelpp==2.4.0
echo "cayennelpp 0.5b3, pycayennelpp 2.4.0, $(python3 --version)"
cat >run.py <<'PYTHON'
from cayenneLPP import cayenneLPP
from cayennelpp import LppFrame

print("value, bytes by cayennelpp, by pycayennelpp, read again")
for value in (0.28, 0.29, 1.13, 21.5, -0.57):
    payload = cayenneLPP.CayenneLPP(size=10, sock=None)
    payload.add_analog_input(value, channel=1)
    frame = LppFrame()
    frame.add_analog_input(1, value)
    again = LppFrame().from_bytes(bytes(frame)).data[0].value[0]
    print(value, payload.get_payload().hex(), bytes(frame).hex(), again)

changed = 0
for number in range(65536):
    before = bytes([1, 2]) + number.to_bytes(2, "big")
    value = LppFrame().from_bytes(before).data[0].value[0]
    frame = LppFrame()
    frame.add_analog_input(1, value)
    changed += bytes(frame) != before
print(changed, "of 65536 values change")

frame = LppFrame()
frame.add_altitude(1, 35000)
print("35000 m become", LppFrame().from_bytes(bytes(frame)).data[0].value[0])
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'value, bytes by cayennelpp, by pycayennelpp, read again
0.28 0102001c 0102001c 0.28
0.29 0102001c 0102001c 0.28
1.13 01020070 01020070 1.12
21.5 01020866 01020866 21.5
-0.57 0102ffc8 0102ffc8 -0.56
4584 of 65536 values change
35000 m become -30536.0' ]; then
    echo "changed: values are written in another way" >&2
    exit 1
fi
