#!/usr/bin/env bash
# date-duration and date-fns-duration: a day and one and a half hours is a day, or a day and an hour.
#
# Expected: the last number of an ISO 8601 duration can have a decimal fraction (ISO 8601-1, 5.5.2.3), which both
# READMEs take as their format; what cannot be done is refused, as date-duration refuses PT1.5H. A duration of a day and
# one of an hour have a sum (README of date-duration, "duration.add(Duration)").
# Seen: of P1DT1.5H date-duration leaves out all behind the T, and its text is P1D. date-fns-duration adds one hour for
# 1.5 hours and nothing for half a second, and makes an invalid date of the comma in PT0,5H. P1D and PT1H cannot be
# added by date-duration: "Cannot convert undefined or null to object".
#
# Versions: date-duration 2.0.0, date-fns-duration 1.0.4, date-fns 2.0.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit date-duration@2.0.0 date-fns-duration@1.0.4 date-fns@2.0.1 >/dev/null
echo "date-duration 2.0.0, date-fns-duration 1.0.4, date-fns 2.0.1, Node.js $(node --version)"
cat >run.mjs <<'SCRIPT'
import duration from 'date-duration';
import addDuration from 'date-fns-duration';

const attempt = (action) => {
    try {
        return action();
    } catch (error) {
        return error.message;
    }
};
const midnight = new Date('2026-11-30T00:00:00Z');
for (const text of ['P1DT1H', 'P1DT1.5H', 'PT1.5H', 'PT0.5S', 'PT0,5H']) {
    const first = attempt(() => duration(text).addTo(midnight).toISOString());
    const second = attempt(() => addDuration(midnight, text).toISOString());
    console.log(`${text}: ${first}; ${second}`);
}
console.log('P1DT1.5H as text:', duration('P1DT1.5H').toString());
console.log('P1D and PT1H:', attempt(() => duration('P1D').add(duration('PT1H')).toString()));
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != 'P1DT1H: 2026-12-01T01:00:00.000Z; 2026-12-01T01:00:00.000Z
P1DT1.5H: 2026-12-01T00:00:00.000Z; 2026-12-01T01:00:00.000Z
PT1.5H: Invalid duration: invalid ISO format (PT1.5H); 2026-11-30T01:00:00.000Z
PT0.5S: Invalid duration: invalid ISO format (PT0.5S); 2026-11-30T00:00:00.000Z
PT0,5H: Invalid duration: invalid ISO format (PT0,5H); Invalid time value
P1DT1.5H as text: P1D
P1D and PT1H: Cannot convert undefined or null to object' ]; then
    echo "changed: fractions are added" >&2
    exit 1
fi
