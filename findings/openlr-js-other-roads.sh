#!/usr/bin/env bash
# openlr-js: roads of the form "other" become "undefined", a point along a line without an offset is not encoded.
#
# Expected: what BinaryDecoder read, BinaryEncoder writes again. The form of way 7 is OTHER, and the byte of the
# positive offset of a point along a line is optional, as its flag in the last point says (OpenLR White Paper 1.5 rev.
# 2, Form of way; Binary format, Point along line). openlr for Python writes both again as they were.
# Seen: the form 7 is decoded as undefined, since the list of forms ends with 6, though the enumeration has OTHER, and
# encoded as 0. A point along a line without an offset is decoded with the offset 0, and encoding it raises "Positive
# offset cannot be null".
#
# Version: openlr-js 3.2.0, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit openlr-js@3.2.0 >/dev/null
echo "openlr-js 3.2.0, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { BinaryDecoder, BinaryEncoder, Buffer, LocationReference } = require('openlr-js');

const references = {
    'line, form 3': '0b220cad23d3b31b0d1a001e00281b13',
    'line, form 7': '0b220cad23d3b31f0d1a001e00281f13',
    'point with an offset': '2b220cad23d3b31b0d1a001e00281b5340',
    'point without one': '2b220cad23d3b31b0d1a001e00281b13',
};
for (const [name, text] of Object.entries(references)) {
    const raw = new BinaryDecoder().decodeData(LocationReference.fromIdAndBuffer(name, Buffer.from(text, 'hex')));
    let again;
    try {
        again = new BinaryEncoder().encodeDataFromRLR(raw).getLocationReferenceData().toString('hex');
    } catch (error) {
        again = error.message;
    }
    console.log(name, text, again, again === text);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'line, form 3 0b220cad23d3b31b0d1a001e00281b13 0b220cad23d3b31b0d1a001e00281b13 true
line, form 7 0b220cad23d3b31f0d1a001e00281f13 0b220cad23d3b3180d1a001e00281813 false
point with an offset 2b220cad23d3b31b0d1a001e00281b5340 2b220cad23d3b31b0d1a001e00281b5340 true
point without one 2b220cad23d3b31b0d1a001e00281b13 Positive offset cannot be null false' ]; then
    echo "changed: references are encoded in another way" >&2
    exit 1
fi
