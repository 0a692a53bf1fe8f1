#!/usr/bin/env bash
# mbus: 1 cubic metre is 3,892,511, and a reading of 30 November is one of 30 October.
#
# Expected: in an M-Bus telegram integers have their least significant byte first and a sign (EN 13757-3, data type B:
# e8 03 00 00 is 1000), a date has its month as 1 to 12 (type G). pyMeterBus reads the same telegram so.
# Seen: integers of 2, 3, 4, 6 and 8 bytes are read with the most significant byte first and without a sign: a volume of
# 1000 l becomes 3892510720 l, a temperature of -11 degrees 62975. BCD numbers are right. The month of a date is one too
# low, January is 0; that of a date with a time is right. For an integer of 64 bits seven bytes are taken, which raises
# ValueError.
#
# Versions: mbus 0.0.1.dev1 with pyMeterBus 0.8.5. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mbus==0.0.1.dev1 pyMeterBus==0.8.5
echo "mbus 0.0.1.dev1, pyMeterBus 0.8.5, $(python3 --version)"
cat >run.py <<'PYTHON'
import json

import meterbus
from mbus.mbus import MBus

HEAD = "08 01 72  78 56 34 12  24 42 01 07 55 00 00 00"
RECORDS = {
    "volume, integer": "04 13 e8 03 00 00",
    "volume, BCD": "0c 13 00 10 00 00",
    "flow temperature": "02 5b f5 ff",
    "energy": "04 06 0a 00 00 00",
    "date": "42 6c 5e 3b",
    "date and time": "04 6d 1e 0d 5e 3b",
}
body = bytes.fromhex(" ".join([HEAD, *RECORDS.values(), "0f 41 42"]))
telegram = bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) & 0xFF, 0x16])
true = json.loads(meterbus.load(telegram).to_JSON())["body"]["records"]
for name, one, other in zip(RECORDS, true, MBus().decode_telegram(telegram)):
    print(f"{name}: {one['value']} {one['unit'].split('.')[-1]}, by mbus {other['Value']} {other['unit'].split(',')[0]}")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'volume, integer: 1 M3, by mbus 3892510720 l
volume, BCD: 1 M3, by mbus 1000 l
flow temperature: -11 C, by mbus 62975 degC
energy: 10000 WH, by mbus 167772160000 Wh
date: 2026-11-30 DATE, by mbus 26:10:30 Date
date and time: 2026-11-30T13:30 DATE_TIME, by mbus 26:11:30 13:30 Time+Date' ]; then
    echo "changed: integers or dates are read in another way" >&2
    exit 1
fi
