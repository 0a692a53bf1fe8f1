#!/usr/bin/env bash
# posixtz: the time zones that it writes itself for Sydney, India and Nepal are read as an hour, half an hour and 10:45
# off.
#
# Expected: a POSIX TZ string is "std offset dst offset, rule", where an offset is hh[:mm[:ss]], a name may be quoted as
# <+0545>, and the time saved may begin late in the year and end early in the next one (POSIX.1-2024, 8.3, TZ; the
# system's own date reads all three).
# Seen: formatPosixTZ() writes such strings. getOffsetForLocalDateWithPosixTZ() and formatLocalDateWithOffset() leave
# out the minutes of an offset, take digits of a quoted name for the offset, and never see the summer time of the south,
# whose start in a year is behind its end.
#
# Versions: posixtz 1.0.0, moment 2.30.1, moment-timezone 0.5.48, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit posixtz@1.0.0 moment@2.30.1 moment-timezone@0.5.48 >/dev/null
echo "posixtz 1.0.0, moment-timezone 0.5.48, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { execFileSync } = require('node:child_process');
const { formatLocalDateWithOffset, formatPosixTZ } = require('posixtz');

const cases = [
  ['Europe/Berlin', '2026-07-15T12:00:00'],
  ['Australia/Sydney', '2026-07-15T12:00:00'],
  ['Australia/Sydney', '2026-01-15T12:00:00'],
  ['Asia/Kolkata', '2026-01-15T12:00:00'],
  ['America/St_Johns', '2026-01-15T12:00:00'],
  ['Asia/Kathmandu', '2026-01-15T12:00:00'],
  ['Africa/Casablanca', '2026-01-15T12:00:00'],
];
for (const [name, local] of cases) {
  const zone = formatPosixTZ(name, 2026);
  const environment = { ...process.env, TZ: zone };
  const right = execFileSync('date', ['-d', local, '+%:z'], { encoding: 'utf8', env: environment }).trim();
  console.log(`${zone}: ${formatLocalDateWithOffset(local, zone)}, by date ${right}`);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'CET-1CEST,M3.5.0,M10.5.0/3: 2026-07-15T12:00:00+02:00, by date +02:00
AEST-10AEDT,M10.1.0,M4.1.0/3: 2026-07-15T12:00:00+10:00, by date +10:00
AEST-10AEDT,M10.1.0,M4.1.0/3: 2026-01-15T12:00:00+10:00, by date +11:00
IST-5:30: 2026-01-15T12:00:00+05:00, by date +05:30
NST3:30NDT,M3.2.0,M11.1.0: 2026-01-15T12:00:00-03:00, by date -03:30
<+0545>-5:45: 2026-01-15T12:00:00-05:00, by date +05:45
<+01>-1: 2026-01-15T12:00:00-01:00, by date +01:00' ]; then
    echo "changed: POSIX time zones are read in another way" >&2
    exit 1
fi
