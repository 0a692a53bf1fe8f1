#!/usr/bin/env bash
# pomeranian-durations: half a second from PostgreSQL is five seconds, and half an hour is not added to a date.
#
# Expected: fromPostgres() and fromPostgresVerbose() read what toPostgres() and toPostgresVerbose() wrote, intervals
# with a fraction of a second too (PostgreSQL, 8.5.5 "Interval Output"). addToDate() adds the duration; the package
# accepts and writes PT1.5H, as ISO 8601 has it.
# Seen: "@ 0.5 secs" is read as PT5S and 6.789 secs as PT9S: the digits behind the last point count as seconds.
# "00:00:00.5" becomes P, which is no duration. "@ 30 mins ago" becomes P. P1W is written as "1 undefined". addToDate()
# takes whole numbers only: PT1.5H adds one hour, PT0.5S nothing. normalizeTime() makes -1 h 59 min 53 s of 0.1
# microseconds.
#
# Version: pomeranian-durations 1.11.4, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit pomeranian-durations@1.11.4 >/dev/null
echo "pomeranian-durations 1.11.4, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const durations = require('pomeranian-durations');

for (const duration of ['PT0.5S', 'PT6.789S', 'PT6S']) {
    const text = durations.toPostgres(duration);
    const verbose = durations.toPostgresVerbose(duration);
    const again = [durations.fromPostgres(text), durations.fromPostgresVerbose(verbose)];
    console.log(`${duration}: ${text} is read as ${again[0]}, ${verbose} as ${again[1]}`);
}
console.log('@ 30 mins ago:', durations.fromPostgresVerbose('@ 30 mins ago'));
console.log('P1W:', durations.toPostgres('P1W'));
const midnight = new Date('2026-11-30T00:00:00Z');
for (const duration of ['PT1H30M', 'PT1.5H', 'PT0.5S']) {
    console.log(`${duration} after midnight:`, durations.addToDate(duration, midnight).toISOString());
}
console.log('PT0.0000001S:', durations.normalizeTime('PT0.0000001S'));
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'PT0.5S: 00:00:00.5 is read as P, @ 0.5 seconds as PT5S
PT6.789S: 00:00:06.789 is read as PT6S, @ 6.789 seconds as PT9S
PT6S: 00:00:06 is read as PT6S, @ 6 seconds as PT6S
@ 30 mins ago: P
P1W: 1 undefined
PT1H30M after midnight: 2026-11-30T01:30:00.000Z
PT1.5H after midnight: 2026-11-30T01:00:00.000Z
PT0.5S after midnight: 2026-11-30T00:00:00.000Z
PT0.0000001S: PT-1H59M53S' ]; then
    echo "changed: durations are converted in another way" >&2
    exit 1
fi
