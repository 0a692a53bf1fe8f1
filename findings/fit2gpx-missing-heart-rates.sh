#!/usr/bin/env bash
# fit2gpx: a fix without a heart rate has the heart rate "nan", and one without a cadence the cadence "nan".
#
# Expected: the elements hr and cad of the extension are optional, and their values whole numbers from 0 to 255 (Garmin,
# TrackPointExtensionv1.xsd). A recorder without a strap has no heart rates. What is missing is left out, as the
# elevation is.
# Seen: <hr>nan</hr> and <cad>nan</cad> are written for each fix without a value, and 120 becomes 120.0 as soon as one
# is missing: neither is valid. With a heart rate and a cadence at each fix the numbers are whole.
#
# Versions: fit2gpx 1.0.0, pandas 1.5.3, numpy 1.26.4, fit-tool 0.9.16, lxml 5.4.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    fit2gpx==1.0.0 pandas==1.5.3 numpy==1.26.4 fit-tool==0.9.16 lxml==5.4.0
echo "fit2gpx 1.0.0, pandas 1.5.3, numpy 1.26.4, fit-tool 0.9.16, lxml 5.4.0, $(python3 --version)"
cat >run.py <<'PYTHON'
import re

from fit2gpx import Converter
from fit_tool.fit_file_builder import FitFileBuilder
from fit_tool.profile.messages.file_id_message import FileIdMessage
from fit_tool.profile.messages.record_message import RecordMessage
from fit_tool.profile.profile_type import FileType


def convert(name, rates):
    builder = FitFileBuilder(auto_define=True)
    head = FileIdMessage()
    head.type = FileType.ACTIVITY
    head.time_created = 1796000000000
    builder.add(head)
    for number, rate in enumerate(rates):
        record = RecordMessage()
        record.timestamp = 1796000000000 + 1000 * number
        record.position_lat = 48.1 + number / 1000
        record.position_long = 11.5
        record.altitude = 520.0
        if rate is not None:
            record.heart_rate = rate
            record.cadence = 80
        builder.add(record)
    builder.build().to_file("ride.fit")
    Converter().fit_to_gpx("ride.fit", "ride.gpx")
    with open("ride.gpx") as file:
        text = file.read()
    print(name, *(f"{tag} {value.strip()}" for tag, value in re.findall(r"<[^/>]*:(hr|cad)>([^<]*)<", text)))


convert("each fix:", [120, 121])
convert("the first fix:", [120, None])
convert("no fix:", [None, None])
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'each fix: hr 120 cad 80 hr 121 cad 80
the first fix: hr 120.0 cad 80.0 hr nan cad nan
no fix: hr nan cad nan hr nan cad nan' ]; then
    echo "changed: missing values are written in another way" >&2
    exit 1
fi
