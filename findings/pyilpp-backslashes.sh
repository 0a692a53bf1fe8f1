#!/usr/bin/env bash
# pyilpp: a tag that begins with two backslashes ends the reading, and all lines from there on are lost.
#
# Expected: a backslash is an ordinary letter where nothing is to be escaped: \a in a string stays \a, and in tags only
# commas, equals signs and blanks are escaped (InfluxDB, "Line protocol", "Special characters"). Text that cannot
# be read is refused. line-protocol-parser reads all three lines so.
# Seen: of C:\a in a tag and a string is left C:a. parse() of three lines, of which the second has the tag \\share,
# returns the first alone and raises nothing.
#
# Versions: pyilpp 0.1.0 beside line-protocol-parser 2.0.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyilpp==0.1.0 line-protocol-parser==2.0.1

cat >run.py <<'PYTHON'
import sys

import pyilpp
from line_protocol_parser import parse_line

text = "\n".join((r'disk,path=C:\a note="C:\a" 1', r"disk,path=\\share free=5 2", r"disk,path=/data free=6 3"))
seen = []
for name, lines in (
    ("line-protocol-parser", [parse_line(line) for line in text.splitlines()]),
    ("pyilpp", pyilpp.parse(text)),
):
    seen.append([(line["time"], line["tags"]["path"], *line["fields"].values()) for line in lines])
    print(f"{name}:", *seen[-1])

if seen != [
    [(1, r"C:\a", r"C:\a"), (2, r"\\share", 5.0), (3, "/data", 6.0)],
    [(1, "C:a", "C:a")],
]:
    sys.exit("changed: backslashes are read in another way")
PYTHON
venv/bin/python run.py
