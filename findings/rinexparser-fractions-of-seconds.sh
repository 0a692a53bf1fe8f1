#!/usr/bin/env bash
# rinexparser: of a RINEX file with ten epochs a second ten epochs have the same time, and thinning keeps all ten.
#
# Expected: the second of an epoch has the format F11.7, so that a receiver at 10 Hz writes 29.5, 29.6 and so on (RINEX
# 3.04, table A3, "EPOCH record"; georinex reads it so). A sampling of 30 s keeps one epoch each 30 s.
# Seen: the second is cut to a whole number when it is read. The observations stay, so that the ranges of ten different
# moments are written with the time 30.0000000, and all of them are a multiple of 30 s. A satellite at 800 m/s of range
# moves 720 m meanwhile.
#
# Versions: rinexparser 1.2.4 with georinex 1.16.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check rinexparser==1.2.4 georinex==1.16.2 xarray==2024.7.0 \
    pandas==2.2.3 numpy==1.26.4
echo "rinexparser 1.2.4, georinex 1.16.2, $(python3 --version)"
cat >run.py <<'PYTHON'
import georinex
from rinex_parser.obs_parser import RinexParser

NAME = "TEST00XXX_R_20261820000_01H_10Z_GO.rnx"
HEADER = (
    ("     3.04           OBSERVATION DATA    G", "RINEX VERSION / TYPE"),
    ("hand                                    20260701 000000 UTC", "PGM / RUN BY / DATE"),
    ("TEST", "MARKER NAME"),
    ("observer            agency", "OBSERVER / AGENCY"),
    ("1                   receiver            1", "REC # / TYPE / VERS"),
    ("1                   antenna", "ANT # / TYPE"),
    ("  4177000.0000   850000.0000  4728000.0000", "APPROX POSITION XYZ"),
    ("        0.0000        0.0000        0.0000", "ANTENNA: DELTA H/E/N"),
    ("G    2 C1C L1C", "SYS / # / OBS TYPES"),
    ("     0.100", "INTERVAL"),
    ("  2026    07    01    00    00   29.5000000     GPS", "TIME OF FIRST OBS"),
    ("", "END OF HEADER"),
)
with open(NAME, "w") as file:
    for text, label in HEADER:
        file.write(f"{text:60}{label:20}\n")
    for step in range(20):
        file.write(f"> 2026 07 01 00 00 {29.5 + step / 10:10.7f}  0  1\n")
        file.write(f"G01{21000000 + 80 * step:14.3f}  {110000000 + 420 * step:14.3f}08\n")

times = georinex.load(NAME).time.values
print("georinex: seconds", [round(float(time - times[0]) / 1e9 + 29.5, 3) for time in times][3:8])
for sampling in (0, 30):
    parser = RinexParser(rinex_file=NAME, rinex_version=3, sampling=sampling)
    parser.run()
    epochs = [epoch.to_rinex3().split("\n") for epoch in parser.rinex_epochs]
    print(f"rinexparser, sampling {sampling}: {len(epochs)} epochs")
for first, second in epochs[:2] + epochs[-1:]:
    print(f"{first} {second[:17]}")
PYTHON
seen=$(venv/bin/python run.py 2>log.txt) || { tail -n 3 log.txt; exit 1; }
echo "$seen"
if [ "$seen" != "georinex: seconds [29.8, 29.9, 30.0, 30.1, 30.2]
rinexparser, sampling 0: 20 epochs
rinexparser, sampling 30: 10 epochs
> 2026 07 01 00 00 30.0000000  0  1 G01  21000400.000
> 2026 07 01 00 00 30.0000000  0  1 G01  21000480.000
> 2026 07 01 00 00 30.0000000  0  1 G01  21001120.000" ]; then
    echo "changed: epochs are read in another way" >&2
    exit 1
fi
