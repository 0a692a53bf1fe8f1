#!/usr/bin/env bash
# influxdb-lite: a text that ends with a backslash makes the line unreadable, and the time 0 is left out.
#
# Expected: in a string field a double quote and a backslash are escaped with a backslash (InfluxDB, "Line protocol",
# "Special characters"), so that C:\data\ is written "C:\\data\\". A timestamp of 0 is one, 1970-01-01; a point without
# one gets the time of the server.
# Seen: the text is written "C:\data\", whose end is escaped, so that the string goes on with the next field:
# line-protocol-parser refuses the line. A backslash before a quote in the text does the same. A backslash elsewhere is
# read as it was. The timestamp 0 is left out, so that such a point is of today.
#
# Versions: influxdb-lite 1.1.0, read with line-protocol-parser 2.0.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit influxdb-lite@1.1.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check line-protocol-parser==2.0.1
echo "influxdb-lite 1.1.0, Node.js $(node --version)"
cat >read.py <<'PYTHON'
import sys

from line_protocol_parser import parse_line

for line in sys.stdin.read().splitlines():
    try:
        point = parse_line(line)
        print(line, "->", point["fields"], point["time"])
    except Exception as error:
        print(line, "->", type(error).__name__)
PYTHON
cat >run.js <<'SCRIPT'
const fs = require('fs');
const http = require('http');
const influx = require('influxdb-lite');

const server = http.createServer((request, response) => {
    request.on('data', (chunk) => fs.appendFileSync('lines', chunk));
    request.on('end', () => {
        response.writeHead(204);
        response.end();
    });
});
server.listen(0, '127.0.0.1', async () => {
    const url = `http://127.0.0.1:${server.address().port}`;
    await influx.write({ url, db: 'edge' }, [
        { measurement: 'disk', fields: { path: 'C:\\data', used: 5 }, timestamp: 1 },
        { measurement: 'disk', fields: { path: 'C:\\data\\', used: 5 }, timestamp: 1 },
        { measurement: 'disk', fields: { used: 5 }, timestamp: 0 },
    ]);
    server.close();
});
SCRIPT
seen=$(node run.js && venv/bin/python read.py <lines)
echo "$seen"
if [ "$seen" != "disk path=\"C:\\data\",used=5 1 -> {'used': 5.0, 'path': 'C:\\\\data'} 1
disk path=\"C:\\data\\\",used=5 1 -> LineFormatError
disk used=5 -> {'used': 5.0} None" ]; then
    echo "changed: texts or times are written in another way" >&2
    exit 1
fi
