#!/usr/bin/env bash
# nmbu-rinex: with 13 kinds of observations the next line of the header is lost, and of ten epochs a second nine.
#
# Expected: a line of SYS / # / OBS TYPES has room for 13 types; a line more follows with the 14th. The second of an
# epoch has seven decimals (RINEX 3.04, table A2 and A3). georinex reads both files.
# Seen: the number of further lines is 13 // 13, which is one: the line of the next system is read as the rest of the
# first one. Galileo has then no types, and its first satellite raises KeyError. Epochs are kept by their whole second,
# so that of a receiver at 10 Hz the last epoch of each second is left, without an error.
#
# Versions: nmbu-rinex 1.0.1 with georinex 1.16.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nmbu-rinex==1.0.1 georinex==1.16.2 xarray==2024.7.0 \
    pandas==2.2.3 numpy==1.26.4
echo "nmbu-rinex 1.0.1, georinex 1.16.2, $(python3 --version)"
cat >run.py <<'PYTHON'
import georinex
from nmbu.rinex import reader

TYPES = "C1C L1C D1C S1C C1W S1W C2W L2W D2W S2W C2L L2L D2L".split()


def write(name, systems, seconds):
    with open(name, "w") as file:
        for text, label in (
            ("     3.04           OBSERVATION DATA    M", "RINEX VERSION / TYPE"),
            ("TEST", "MARKER NAME"),
            ("  4177000.0000   850000.0000  4728000.0000", "APPROX POSITION XYZ"),
            *((f"{system}  {len(kinds):3} {' '.join(kinds)}", "SYS / # / OBS TYPES") for system, kinds in systems),
            ("     0.100", "INTERVAL"),
            ("  2026    07    01    00    00    0.0000000     GPS", "TIME OF FIRST OBS"),
            ("", "END OF HEADER"),
        ):
            file.write(f"{text:60}{label:20}\n")
        for second in seconds:
            file.write(f"> 2026 07 01 00 00 {second:10.7f}  0  {len(systems)}\n")
            for system, kinds in systems:
                file.write(f"{system}01" + "".join(f"{20000000 + second:14.3f}  " for _ in kinds) + "\n")


def show(name):
    print(f"{name}: georinex {dict(georinex.load(name).sizes)}")
    try:
        read = reader.read_rinex_file(name)
        types = {system: len(kinds) for system, kinds in read.header.obs_types.items()}
        print(f"  nmbu-rinex {types}, epochs of G01: {len(read.data.satellites['G01'])}")
    except KeyError as error:
        print(f"  nmbu-rinex KeyError {error}")


for count in (12, 13):
    write(f"{count}-types.rnx", [("G", TYPES[:count]), ("E", TYPES[:2])], [0])
    show(f"{count}-types.rnx")
write("10-hertz.rnx", [("G", TYPES[:2])], [step / 10 for step in range(20)])
show("10-hertz.rnx")
PYTHON
seen=$(venv/bin/python run.py 2>log.txt) || { tail -n 3 log.txt; exit 1; }
echo "$seen"
if [ "$seen" != "12-types.rnx: georinex {'time': 1, 'sv': 2}
  nmbu-rinex {'G': 12, 'E': 2}, epochs of G01: 1
13-types.rnx: georinex {'time': 1, 'sv': 2}
  nmbu-rinex KeyError 'E'
10-hertz.rnx: georinex {'time': 20, 'sv': 1}
  nmbu-rinex {'G': 2}, epochs of G01: 2" ]; then
    echo "changed: headers or epochs are read in another way" >&2
    exit 1
fi
