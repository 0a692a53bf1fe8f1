#!/usr/bin/env bash
# nmea-simple: fractions of a second in RMC count only if they have two digits.
#
# Expected: the time of NMEA 0183 is hhmmss with a fraction of any length. The same library reads .2, .20 and
# .200 in the time of GGA as 200 ms.
# Seen: in RMC .2 and .200 are both 0 ms, and only .20 is 200 ms. Receivers that report ten times a second
# with one digit give ten positions at one time, so that every speed between them is infinite.
#
# Version: nmea-simple 3.3.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit nmea-simple@3.3.0 >/dev/null
cat >run.js <<'SCRIPT'
const { parseNmeaSentence } = require('nmea-simple');
function read(body) {
    let sum = 0;
    for (const letter of body) {
        sum ^= letter.charCodeAt(0);
    }
    return parseNmeaSentence(`$${body}*${sum.toString(16).toUpperCase().padStart(2, '0')}`);
}
const place = '4807.038,N,01131.000,E';
for (const time of ['101010.2', '101010.20', '101010.200']) {
    const rmc = read(`GPRMC,${time},A,${place},022.4,084.4,311216,003.1,W`).datetime;
    const gga = read(`GPGGA,${time},${place},1,08,0.9,545.4,M,46.9,M,,`).time;
    console.log(time, 'RMC', rmc.getUTCMilliseconds(), 'GGA', gga.getUTCMilliseconds());
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != "101010.2 RMC 0 GGA 200
101010.20 RMC 200 GGA 200
101010.200 RMC 0 GGA 200" ]; then
    echo "changed: fractions of a second are read in another way" >&2
    exit 1
fi
