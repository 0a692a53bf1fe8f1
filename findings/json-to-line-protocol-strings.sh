#!/usr/bin/env bash
# json-to-line-protocol: the text "15" becomes a number, the text "true" a truth value, and other texts are no lines.
#
# Expected: the README says that it does any escaping of strings that the protocol asks for. There strings of fields
# are in double quotes, and what is not quoted is a number or a truth value (InfluxDB, "Line protocol", "Quotes").
# Seen: fields are written without quotes, so that "15" is read as 15.0 and "true" as True, and what is written for
# "in use" is refused. The first object of the README, which has a tag with a number, fails with "input.replace is
# not a function".
#
# Versions: json-to-line-protocol 0.2.0, read with line-protocol-parser 2.0.1, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit json-to-line-protocol@0.2.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check line-protocol-parser==2.0.1
cat >run.js <<'SCRIPT'
const { convert } = require('json-to-line-protocol');

for (const state of ['15', 'true', 'in use']) {
    console.log(convert({ measurement: 'edge', tags: { name: 'a' }, fields: { state }, ts: 1 }));
}
try {
    convert({ measurement: 'edge', tags: { a: '1', b: 2 }, fields: { c: '2', d: 3 }, ts: 1 });
} catch (error) {
    console.error('a tag with a number:', error.message);
}
SCRIPT
cat >run.py <<'PYTHON'
import sys

from line_protocol_parser import LineFormatError, parse_line

for line in sys.stdin.read().splitlines():
    try:
        print(line, "is read as", repr(parse_line(line)["fields"]["state"]))
    except LineFormatError:
        print(line, "is refused")
PYTHON
seen=$(node run.js 2>errors.txt | venv/bin/python run.py && cat errors.txt)
echo "$seen"
if [ "$seen" != "edge,name=a state=15 1 is read as 15.0
edge,name=a state=true 1 is read as True
edge,name=a state=in use 1 is refused
a tag with a number: input.replace is not a function" ]; then
    echo "changed: texts are written in another way" >&2
    exit 1
fi
