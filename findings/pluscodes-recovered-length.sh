#!/usr/bin/env bash
# pluscodes: a shortened code is recovered with ten digits, whatever it had, and longitudes of 181 give no code.
#
# Expected: Transformer.lenghten() gives the code back that shorten() shortened (its docstring: "the nearest matching
# full code"; the Open Location Code specification, "Recover a shortened code"). encode() normalises the longitude
# (its docstring, "Will be normalised to the range -180 to 180").
# Seen: of a code of 11, 12 or 15 digits ten are left: 3 m become 14 m. A code of 8 digits gets two digits more, GG, so
# that an area of 275 m becomes one of 14 m. openlocationcode recovers all of them. The longitude 181 is encoded as
# 6WG32222+22, which is no valid full code by pluscodes' own validator and decodes to a longitude of 181.
#
# Versions: pluscodes 2022.1.3 beside openlocationcode 1.0.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pluscodes==2022.1.3 openlocationcode==1.0.1

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import pluscodes
from openlocationcode import openlocationcode

print("pluscodes", version("pluscodes"), "openlocationcode", version("openlocationcode"))
transformer = pluscodes.Transformer()
near = (47.37, 8.53)
seen = {}
for length in (8, 10, 11, 12, 15):
    code = pluscodes.encode(47.36559, 8.524997, length)
    short = transformer.shorten(code, near)
    seen[code] = transformer.lenghten(short, near)
    other = openlocationcode.recoverNearest(short, *near)
    print(f"{code}, shortened {short}: recovered {seen[code]}, by openlocationcode {other}")
    assert openlocationcode.shorten(code, *near) == short and other == code

far = pluscodes.encode(0, 181)
valid = pluscodes.Validator().is_full(far)
decoded = pluscodes.decode(far).sw.lon
other = openlocationcode.encode(0, 181)
print(f"longitude 181: {far}, valid: {valid}, longitude {decoded}; by openlocationcode {other}")

if seen != {
    "8FVC9G8F+": "8FVC9G8F+GG",
    "8FVC9G8F+6X": "8FVC9G8F+6X",
    "8FVC9G8F+6XQ": "8FVC9G8F+6X",
    "8FVC9G8F+6XQQ": "8FVC9G8F+6X",
    "8FVC9G8F+6XQQ435": "8FVC9G8F+6X",
}:
    sys.exit("changed: codes are recovered in another way")
if (far, valid, decoded) != ("6WG32222+22", False, 181.0):
    sys.exit("changed: longitudes beyond 180 are encoded in another way")
PYTHON
venv/bin/python run.py
