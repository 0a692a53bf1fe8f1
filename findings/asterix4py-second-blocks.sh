#!/usr/bin/env bash
# asterix4py: of two data blocks in one packet the second is read by the category of the first.
#
# Expected: a packet may hold several data blocks, each with a category and a length of its own (EUROCONTROL-SPEC-0149,
# part 1, "Data Block"); radars send service messages (34) and target reports (48) so. asterix-decoder reads them.
# Seen: the category of each block is taken from the first byte of the packet. A system track (62) behind a target
# report (48) becomes a target report, and of the time of its track come a range of 0.2 nautical miles and an azimuth
# of 153.7 degrees. Behind a block of a category without a definition, such as 34, nothing is read at all.
#
# Versions: asterix4py 1.0.6 with asterix-decoder 0.7.11. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check asterix4py==1.0.6 asterix_decoder==0.7.11
echo "asterix4py 1.0.6, asterix_decoder 0.7.11, $(python3 --version)"
cat >run.py <<'PYTHON'
import asterix
from asterix4py import AsterixParser

# category, length, field specification, data source, then the time of day in 1/128 s
REPORT = bytes.fromhex("30 0009 c0 19c9 356d4d")
TRACK = bytes.fromhex("3e 0009 90 19ca 356d4d")
# north marker: data source, message type
MARKER = bytes.fromhex("22 0007 c0 19c9 01")


def names(record):
    return {key.lstrip("I"): value for key, value in record.items() if isinstance(value, dict)}


for name, packet in (("track", TRACK), ("report and track", REPORT + TRACK), ("marker and report", MARKER + REPORT)):
    true = [(one["category"], sorted(names(one))) for one in asterix.parse(packet)]
    seen = [(one["cat"], names(one)) for one in AsterixParser(packet).get_result().values()]
    print(f"{name}: asterix-decoder {true}")
    for category, items in seen:
        print(f"  asterix4py: {category}, {items}")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "track: asterix-decoder [(62, ['010', '070'])]
  asterix4py: 62, {'010': {'SAC': 25, 'SIC': 202}, '070': {'ToT': 27354.6015625}}
report and track: asterix-decoder [(48, ['010', '140']), (62, ['010', '070'])]
  asterix4py: 48, {'010': {'SAC': 25, 'SIC': 201}, '140': {'ToD': 27354.6015625}}
  asterix4py: 48, {'010': {'SAC': 25, 'SIC': 202}, '040': {'RHO': 0.20703125, 'THETA': 153.7042236328125}}
marker and report: asterix-decoder [(34, ['000', '010']), (48, ['010', '140'])]" ]; then
    echo "changed: blocks are read in another way" >&2
    exit 1
fi
