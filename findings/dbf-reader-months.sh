#!/usr/bin/env bash
# dbf-reader: all dates are a month late, and a deleted record in front can make all others disappear.
#
# Expected: a date is YYYYMMDD, with January as 01; a record that begins with * is deleted and is passed over by its
# length; a field may have up to 254 characters; a number of blanks is no number (dBASE III file structure; dbfread
# reads it so). Shapefiles keep their attributes in this format.
# Seen: 30 November is 30 December, and 31 January is 3 March. Lengths are read with a sign, so that 200 is -56; the sign
# is mended with the first record that is not deleted. A deleted record in front of it is passed over with the length
# -56, so that the next records are looked for at other places: of a table whose first row is deleted no row is left,
# without an error. A number of blanks is 0, and so it is in dbfstream.
#
# Versions: dbf-reader 1.0.3, dbfstream 1.0.26 with dbfread 2.0.7, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit dbf-reader@1.0.3 dbfstream@1.0.26 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dbfread==2.0.7
echo "dbf-reader 1.0.3, dbfstream 1.0.26, Node.js $(node --version), dbfread 2.0.7"
cat >run.py <<'PYTHON'
import struct

import dbfread


def write(name, fields, rows):
    size = 1 + sum(length for _, _, length in fields)
    file = struct.pack("<4B I 2H 20x", 3, 126, 11, 30, len(rows), 33 + 32 * len(fields), size)
    for field, kind, length in fields:
        file += struct.pack("<11s c 4x B 15x", field.encode(), kind.encode(), length)
    file += b"\r"
    for mark, *values in rows:
        file += mark + b"".join(value.ljust(field[2]).encode() for value, field in zip(values, fields))
    with open(name, "wb") as output:
        output.write(file + b"\x1a")
    print(f"dbfread: {name}:", [tuple(str(value) for value in row.values()) for row in dbfread.DBF(name)])


dates = [(b" ", "20261130", "42"), (b" ", "20270131", "")]
write("dates.dbf", [("OPENED", "D", 8), ("COUNT", "N", 6)], dates)
for name, rows in (("kept.dbf", (b" ", b" ", b" ")), ("deleted.dbf", (b"*", b" ", b" "))):
    write(name, [("NAME", "C", 200), ("REF", "C", 4)], [(mark, f"stop {i}", str(i)) for i, mark in enumerate(rows)])
PYTHON
cat >run.js <<'SCRIPT'
const { readFileSync } = require('fs');
const { DbfReader } = require('dbf-reader/dbf-reader');

const text = (value) => (value instanceof Date ? value.toDateString() : String(value));
for (const name of ['dates.dbf', 'kept.dbf', 'deleted.dbf']) {
    const { rows } = DbfReader.read(readFileSync(name));
    console.log(`dbf-reader: ${name}:`, JSON.stringify(rows.map((row) => Object.values(row).map(text))));
}
const counts = [];
require('dbfstream')('dates.dbf')
    .on('data', (row) => counts.push(row.COUNT))
    .on('end', () => console.log('dbfstream: counts:', JSON.stringify(counts)));
SCRIPT
seen=$(venv/bin/python run.py && node run.js)
echo "$seen"
if [ "$seen" != "dbfread: dates.dbf: [('2026-11-30', '42'), ('2027-01-31', 'None')]
dbfread: kept.dbf: [('stop 0', '0'), ('stop 1', '1'), ('stop 2', '2')]
dbfread: deleted.dbf: [('stop 1', '1'), ('stop 2', '2')]
dbf-reader: dates.dbf: [[\"Wed Dec 30 2026\",\"42\"],[\"Wed Mar 03 2027\",\"0\"]]
dbf-reader: kept.dbf: [[\"stop 0\",\"0\"],[\"stop 1\",\"1\"],[\"stop 2\",\"2\"]]
dbf-reader: deleted.dbf: []
dbfstream: counts: [42,0]" ]; then
    echo "changed: dates, deleted records or blanks are read in another way" >&2
    exit 1
fi
