#!/usr/bin/env bash
# extended-nmea: half a second written .50 is 50 ms, and .5 is an error.
#
# Expected: the fraction of a second in hhmmss.ss is a decimal fraction of any length (NMEA 0183, field type hhmmss.ss),
# so that .5, .50 and .500 are 500 ms.
# Seen: .50 is 50 ms and .05 is 5 ms, so that the fixes of a receiver with ten a second, which writes two digits, lie
# within 90 ms and all differences of time are a tenth, but for the last of a second. .5 raises an error when the time
# is read, though the sentence is valid. .500 is right.
#
# Version: extended-nmea 2.1.3, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit extended-nmea@2.1.3 >/dev/null
echo "extended-nmea 2.1.3, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { Decoder } = require('extended-nmea');

for (const time of ['123519', '123519.5', '123519.50', '123519.05', '123519.500']) {
    const body = `GPRMC,${time},A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W`;
    const sum = [...body].reduce((result, letter) => result ^ letter.charCodeAt(0), 0).toString(16).toUpperCase();
    const sentence = Decoder.decode(`$${body}*${sum.padStart(2, '0')}\r\n`);
    let milliseconds;
    try {
        milliseconds = sentence.time.milliseconds;
    } catch (error) {
        milliseconds = error.message;
    }
    console.log(time, sentence.valid, milliseconds);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != "123519 true 0
123519.5 true Expected data formatted as 'hhmmss.sss' or 'hhmmss', but found 8 characters
123519.50 true 50
123519.05 true 5
123519.500 true 500" ]; then
    echo "changed: fractions are read in another way" >&2
    exit 1
fi
