#!/usr/bin/env bash
# detaf: of rain and snow the snow is lost, a visibility of 800 m has three digits, and a frost ends in ValueError.
#
# Expected: of several kinds of precipitation one group is made, such as -RASN, and TS may stand alone; a visibility has
# four digits and a height three, so that a cloud base at the ground is 000; a temperature below zero begins with M (WMO
# Manual on Codes, FM 51 TAF, with the groups of FM 15). What encode() writes of a forecast that decode() read is that
# forecast.
# Seen: one kind of precipitation is read of each group, and the rest of the group is dropped without an error: -RASN is
# written as -RA. 0800 is written as 800, OVC000 as OVC. TS without rain is an "unrecognised token", behind which a cloud
# group raises IndexError, and TNM02/0106Z, a minimum of -2 degrees, ValueError.
#
# Version: detaf 0.3.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check detaf==0.3.1
echo "detaf 0.3.1, $(python3 --version)"
cat >run.py <<'PYTHON'
import detaf

HEAD = "TAF EDDM 301100Z 3012/0118 24008KT"
for rest in ("9999 BKN030", "3000 -RASN BKN030", "0800 FG OVC000", "5000 TS BKN030CB", "9999 TX06/3013Z TNM02/0106Z"):
    try:
        text = detaf.encode(detaf.decode(f"{HEAD} {rest}")).removeprefix(HEAD).strip()
    except (IndexError, ValueError) as error:
        text = f"{type(error).__name__}"
    print(f"{rest}: {text}")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "9999 BKN030: 9999 BKN030
3000 -RASN BKN030: 3000 -RA BKN030
0800 FG OVC000: 800 FG OVC
unrecognised token: TS
5000 TS BKN030CB: IndexError
9999 TX06/3013Z TNM02/0106Z: ValueError" ]; then
    echo "changed: forecasts are read or written in another way" >&2
    exit 1
fi
