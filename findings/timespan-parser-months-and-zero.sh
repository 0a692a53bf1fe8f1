#!/usr/bin/env bash
# timespan-parser: the unit M that it names is refused, and no time at all is an empty text that it cannot read.
#
# Expected: parse() reads each unit of the README, of which M is a month and m a minute, as in systemd.time(7), and what
# getString() wrote. A fraction such as 5.5s is a time span, too (systemd 252 reads it: systemd-analyze timespan 5.5s).
# Seen: "1M" and "2h 1M" raise "Invalid format", since small letters only are looked for; 1month is read. getString(0)
# is "", and parse("") raises "Expected timespan". 5.5s raises "Invalid format".
#
# Version: timespan-parser 1.2.0, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit timespan-parser@1.2.0 >/dev/null
echo "timespan-parser 1.2.0, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { getString, parse } = require('timespan-parser');

for (const text of ['1m', '1month', '1M', '2h 1M', '5s', '5.5s', '']) {
    let seen;
    try {
        seen = parse(text);
    } catch (error) {
        seen = error.message;
    }
    console.log(`"${text}":`, seen);
}
for (const seconds of [60, 1.5, 0]) {
    console.log(`${seconds} s: "${getString(seconds)}"`);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '"1m": 60
"1month": 2630016
"1M": Invalid format for timespan 1M
"2h 1M": Invalid format for timespan 2h 1M
"5s": 5
"5.5s": Invalid format for timespan 5.5s
"": Expected timespan
60 s: "1m"
1.5 s: "1s 500ms"
0 s: ""' ]; then
    echo "changed: units or zero are read in another way" >&2
    exit 1
fi
