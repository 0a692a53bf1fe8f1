#!/usr/bin/env bash
# influx-line: blanks and commas of a text get backslashes that are part of it, and names none.
#
# Expected: in a string field only double quotes and backslashes are escaped; a blank or a comma of a measurement name
# is, and an equals sign there or a double quote in a tag is not (InfluxDB, "Line protocol", "Special characters"). The
# docstring says "building of valid Influx line protocol".
# Seen: the text "in use, now" is read as in\ use\, now with its backslashes, by line-protocol-parser as by the rules,
# and a tag 5" as 5\". The name given to InfluxLine() is not escaped at all: "disk use" makes an unreadable line, while
# set_measure() escapes it.
#
# Versions: influx-line 1.0.0, line-protocol-parser 2.0.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check influx-line==1.0.0 line-protocol-parser==2.0.1
echo "influx-line 1.0.0, line-protocol-parser 2.0.1, $(python3 --version)"
cat >run.py <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
from influx_line import InfluxLine
from line_protocol_parser import parse_line


def show(line):
    try:
        point = parse_line(str(line))
        print(line, "->", *point["tags"].values(), *point["fields"].values())
    except Exception as error:
        print(line, "->", type(error).__name__)


line = InfluxLine("disk")
line.add_tag("size", '5"')
line.add_field("state", "in use, now")
show(line)
line = InfluxLine("disk use")
line.add_field("used", 5)
show(line)
line.set_measure("disk use")
show(line)
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'disk,size=5\" state="in\ use\,\ now" -> 5\" in\ use\,\ now
disk use used=5 -> LineFormatError
disk\ use used=5 -> 5.0' ]; then
    echo "changed: texts are written in another way" >&2
    exit 1
fi
