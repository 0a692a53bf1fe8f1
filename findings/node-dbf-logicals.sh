#!/usr/bin/env bash
# node-dbf: all logical values are null, and behind a column of 128 characters or more the columns are mixed up.
#
# Expected: a logical value is T, t, Y or y for true, F, f, N or n for false; the length of a field is one byte without
# a sign, up to 254 (dBASE III file structure; dbfread reads it so).
# Seen: the value is compared with the results of includes(), which are true or false and never equal to a letter, so
# that each is null. A length of 200 is read as -56: the name still has its text, but the next column is cut out some 55
# characters in front of the end of the record, where there are blanks, and is NaN or an empty text.
#
# Versions: node-dbf 0.4.0 with dbfread 2.0.7, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit node-dbf@0.4.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dbfread==2.0.7
echo "node-dbf 0.4.0, Node.js $(node --version), dbfread 2.0.7"
cat >run.py <<'PYTHON'
import struct

import dbfread


def write(name, fields, rows):
    size = 1 + sum(length for _, _, length in fields)
    file = struct.pack("<4B I 2H 20x", 3, 126, 11, 30, len(rows), 33 + 32 * len(fields), size)
    for field, kind, length in fields:
        file += struct.pack("<11s c 4x B 15x", field.encode(), kind.encode(), length)
    file += b"\r"
    for values in rows:
        file += b" " + b"".join(value.ljust(field[2]).encode() for value, field in zip(values, fields))
    with open(name, "wb") as output:
        output.write(file + b"\x1a")
    print(f"dbfread: {name}:", [tuple(str(value) for value in row.values()) for row in dbfread.DBF(name)])


rows = [("Town hall", "42", "T"), ("Station", "7", "F")]
for length in (100, 200):
    write(f"{length}.dbf", [("NAME", "C", length), ("COUNT", "N", 6), ("OPEN", "L", 1)], rows)
PYTHON
cat >run.js <<'SCRIPT'
const Parser = require('node-dbf').default;

const read = (name) => new Promise((resolve) => {
    const rows = [];
    const parser = new Parser(name);
    parser.on('record', (row) => rows.push(`${row.NAME}, ${row.COUNT}, ${row.OPEN}`));
    parser.on('end', () => resolve(console.log(`node-dbf: ${name}:`, rows)));
    parser.parse();
});
read('100.dbf').then(() => read('200.dbf'));
SCRIPT
seen=$(venv/bin/python run.py && node run.js)
echo "$seen"
if [ "$seen" != "dbfread: 100.dbf: [('Town hall', '42', 'True'), ('Station', '7', 'False')]
dbfread: 200.dbf: [('Town hall', '42', 'True'), ('Station', '7', 'False')]
node-dbf: 100.dbf: [ 'Town hall, 42, null', 'Station, 7, null' ]
node-dbf: 200.dbf: [ 'Town hall, NaN, null', 'Station, NaN, null' ]" ]; then
    echo "changed: logical values or lengths are read in another way" >&2
    exit 1
fi
