#!/usr/bin/env bash
# gps-time: every Unix time with milliseconds becomes a GPS time that is half a second late.
#
# Expected: GPS time runs ahead of UTC by a whole number of seconds, 17 in January 2016 (IS-GPS-200, 20.3.3.5.2.4), so
# that 250 ms past a second stay 250 ms past a second. The README converts Date.now(), and toUnixMS() is the inverse.
# Seen: toGPSMS() takes any fraction of a second for its own sign of a leap second (which toUnixMS() marks with 500 ms),
# takes away 500 ms and adds a second. 999 of 1000 times of Date.now() are so; toUnixMS() is right with fractions, so
# that the way there and back is 500 ms off.
#
# Version: gps-time 1.0.8 (npm), Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit gps-time@1.0.8 >/dev/null
echo "gps-time 1.0.8, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { toGPSMS, toUnixMS } = require('gps-time');

const whole = 1454168480000; // the example of the README: 1138203697000
for (const rest of [0, 1, 250, 500, 999]) {
  const gps = toGPSMS(whole + rest);
  const right = 1138203697000 + rest;
  console.log(`${whole + rest}: ${gps}, off by ${gps - right} ms; of ${right} ${toUnixMS(right)}`);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '1454168480000: 1138203697000, off by 0 ms; of 1138203697000 1454168480000
1454168480001: 1138203697501, off by 500 ms; of 1138203697001 1454168480001
1454168480250: 1138203697750, off by 500 ms; of 1138203697250 1454168480250
1454168480500: 1138203698000, off by 500 ms; of 1138203697500 1454168480500
1454168480999: 1138203698499, off by 500 ms; of 1138203697999 1454168480999' ]; then
    echo "changed: fractions of a second are converted in another way" >&2
    exit 1
fi
