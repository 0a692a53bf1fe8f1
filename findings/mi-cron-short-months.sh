#!/usr/bin/env bash
# @cheap-glitch/mi-cron: the 31st of April is 1 May, and 29 February is 1 March in three of four years.
#
# Expected: nextDate() gives the next date that matches the expression (README), so that 0 0 31 * * is the last day of
# those months that have 31 days (crontab(5), day of month). Of a day of the month and a day of the week either may
# match, if both are given (crontab(5), "Note").
# Seen: where the month is too short the days go over into the next one: from 15 November the next 31st is 1 December,
# and in 2027 29 February is 1 March. For 0 0 13 * fri both must match: Fridays that are the 13th only.
#
# Version: @cheap-glitch/mi-cron 1.0.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @cheap-glitch/mi-cron@1.0.1 >/dev/null
echo "@cheap-glitch/mi-cron 1.0.1, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
process.env.TZ = 'UTC';
const { parseCron } = require('@cheap-glitch/mi-cron');

for (const [expression, from] of [
    ['0 0 28 * *', '2027-02-01'],
    ['0 0 31 * *', '2026-11-15'],
    ['0 0 30 * *', '2027-02-01'],
    ['0 0 31 4 *', '2027-02-01'],
    ['0 0 29 2 *', '2027-02-01'],
    ['0 0 13 * fri', '2027-02-01'],
]) {
    let date = new Date(`${from}T00:00:00Z`);
    const seen = [];
    for (let count = 0; count < 3; count += 1) {
        date = parseCron.nextDate(expression, date);
        seen.push(date.toISOString().slice(0, 10));
    }
    console.log(`${expression} from ${from}: ${seen.join(', ')}`);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '0 0 28 * * from 2027-02-01: 2027-02-28, 2027-03-28, 2027-04-28
0 0 31 * * from 2026-11-15: 2026-12-01, 2026-12-31, 2027-01-31
0 0 30 * * from 2027-02-01: 2027-03-02, 2027-03-30, 2027-04-30
0 0 31 4 * from 2027-02-01: 2027-05-01, 2028-05-01, 2029-05-01
0 0 29 2 * from 2027-02-01: 2027-03-01, 2028-02-29, 2029-03-01
0 0 13 * fri from 2027-02-01: 2027-08-13, 2028-10-13, 2029-04-13' ]; then
    echo "changed: dates are computed in another way" >&2
    exit 1
fi
