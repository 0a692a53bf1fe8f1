#!/usr/bin/env bash
# crontzconvert: 9:00 and 9:30 in UTC become 14:00 and 14:30 in Kolkata, and Monday 20:00 is Monday 5:00 in Tokyo.
#
# Expected: convert() "transforms the cron expression for that timezone" (README), so that both expressions, each in its
# own zone, name the same moments (crontab(5): the command runs when all fields match). Some need two expressions, which
# could be refused.
# Seen: what is carried over from minutes to hours and from hours to days is that of the first minute and the first hour
# of a list, and is applied to all: 9:30 in UTC is 15:00 in Kolkata, but 14:00 is written; 20:00 of Monday in UTC is
# Tuesday in Tokyo, but Monday is written, which is 24 hours early. With one minute and one hour it is right.
#
# Versions: crontzconvert 1.1.1 with cron-parser 4.9.0, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit crontzconvert@1.1.1 cron-parser@4.9.0 >/dev/null
echo "crontzconvert 1.1.1, cron-parser 4.9.0, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { convert } = require('crontzconvert');
const { parseExpression } = require('cron-parser');

// the moments from Sunday, 29 November, to Saturday, 5 December 2026, in UTC
function moments(expression, tz) {
  const currentDate = new Date('2026-11-28T23:59:59Z');
  const all = parseExpression(expression, { currentDate, tz });
  const found = [];
  for (let next = all.next(); next.getTime() < Date.parse('2026-12-06T00:00:00Z'); next = all.next()) {
    found.push(next.toISOString().slice(5, 16).replace('T', ' '));
  }
  return found;
}

const cases = [
  ['0 20 * * 1', 'Asia/Tokyo'],
  ['0 8,20 * * 1', 'Asia/Tokyo'],
  ['0,30 9 * * 2', 'Asia/Kolkata'],
  ['*/15 9 * * 2', 'Asia/Kolkata'],
];
for (const [expression, zone] of cases) {
  const other = convert(expression, 'UTC', zone);
  console.log(`${expression}: ${other} in ${zone}`);
  console.log(`  ${moments(expression, 'UTC').join(', ')} become ${moments(other, zone).join(', ')}`);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '0 20 * * 1: 0 0 5 * * 2 in Asia/Tokyo
  11-30 20:00 become 11-30 20:00
0 8,20 * * 1: 0 0 5,17 * * 1 in Asia/Tokyo
  11-30 08:00, 11-30 20:00 become 11-29 20:00, 11-30 08:00
0,30 9 * * 2: 0 0,30 14 * * 2 in Asia/Kolkata
  12-01 09:00, 12-01 09:30 become 12-01 08:30, 12-01 09:00
*/15 9 * * 2: 0 */15 14 * * 2 in Asia/Kolkata
  12-01 09:00, 12-01 09:15, 12-01 09:30, 12-01 09:45 become 12-01 08:30, 12-01 08:45, 12-01 09:00, 12-01 09:15' ]; then
    echo "changed: cron expressions are converted in another way" >&2
    exit 1
fi
